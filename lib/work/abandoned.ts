/**
 * A request whose row was deleted in the middle of the work: nobody will come for its computers, and no later state will
 * clear them. So what the work has put on them is taken away at once.
 */
import type { WorkableState } from '../model/states';
import type { Job, StateHandler } from '../states/job';

/** Here the machine holds what somebody made or wants to keep; it is left for `provisiond audit` to tell. */
const KEPT: readonly WorkableState[] = ['image', 'checkpoint', 'makeproduction', 'tomaintenance', 'tovmhostinuse'];

/** Worked instead of the state's own steps once the row is gone. Nothing there is success. */
export function abandonedHandler(state: WorkableState): StateHandler {
  return {
    state,
    kind: 'load',
    steps: [{ name: 'clear the computer of a request that is gone', done: isLeftAlone, run: clear }],
    onSuccess: ({ findings }) => ({ request: 'complete', unloaded: findings.reclaim === 'unload' }),
    onFailure: () => ({ request: 'complete', unloaded: false }),
  };
}

/** Others that have the computer by now, or whose work was only waiting for it, lose nothing. */
async function isLeftAlone({ claim, reservation: { computer, host }, store }: Job): Promise<boolean> {
  if (KEPT.includes(claim.state) || host === null) return true;
  if (computer.state === 'maintenance' || computer.state === 'deleted' || computer.state === 'vmhostinuse') return true;
  return store.isHeldByOthers(computer.id, claim.requestId);
}

async function clear(job: Job): Promise<void> {
  await job.guest.forget();
  await job.provisioner.unload();
  job.findings.reclaim = 'unload';
}
