import type { Transition } from '../store/store';
import type { Job, StateHandler } from './job';

/** The revision that the user tried becomes the one that everybody gets; his reservation ends with it. */
export const makeproductionState: StateHandler = {
  state: 'makeproduction',
  kind: 'attend',
  steps: [{ name: 'make the revision production', run: makeProduction }],
  onSuccess: afterwards,
};

async function makeProduction(job: Job): Promise<void> {
  const reloads = await job.store.makeProduction(job.claim, job.reservation);
  job.log.info(`revision ${job.reservation.image.name} is production`, { idleComputersToReload: reloads });
}

/** The computer says whether its user was on it: the last state may be one before `inuse`. */
function afterwards({ claim, reservation: { computer } }: Job): Transition {
  if (claim.lastState === 'inuse' || computer.state === 'inuse') return { request: 'deleted', ending: 'released' };
  return { request: 'deleted', computer: 'available', ending: 'deleted' };
}
