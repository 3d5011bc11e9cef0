/**
 * Half an hour before its start a request's image is loaded, so that its user does not wait: once, and only on a computer
 * that nobody uses. Then the request waits for its start as before.
 */
import type { ComputerState } from '../model/states';
import type { Transition } from '../store/store';
import type { Job, StateHandler } from './job';
import { loadImage } from './load-image';
import { rivalsOf } from './wait-for-computer';

/** What was taken up before its start: any state that VCL preloads, chosen by the clock and not by a note of ours. */
export function preloadHandler(state: StateHandler['state']): StateHandler {
  return {
    state,
    kind: 'load',
    steps: [
      { name: 'look whether the computer is free', run: putOffWhenBusy },
      ...loadImage({ forced: false, inMaintenance: state === 'tovmhostinuse' }),
    ],
    onSuccess: asBefore,
    onFailure: asBefore,
  };
}

/** A computer in use gets the image afterwards, by way of its predictive module. */
async function putOffWhenBusy(job: Job): Promise<Transition | void> {
  const { claim, reservation, store } = job;
  if ((await rivalsOf(job)).length === 0) return;
  await store.setNextImage(claim, reservation.computer.id, reservation.image.id);
  job.log.info('the computer is in use; it gets the image when it is free');
  return { request: claim.state, preloaded: true };
}

function asBefore({ claim, reservation: { computer } }: Job): Transition {
  const state: ComputerState = computer.state === 'reloading' ? 'available' : (computer.state as ComputerState);
  return { request: claim.state, computer: state, preloaded: true };
}
