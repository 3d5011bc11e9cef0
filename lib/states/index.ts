/** Every request state and who works it. A state without a handler does not compile. */
import type { Reservation } from '../model/reservation';
import type { WorkableState } from '../model/states';
import { checkpointState } from './checkpoint';
import { deletedState } from './deleted';
import { imageState } from './image';
import { imageinuseState } from './imageinuse';
import { imageprepState } from './imageprep';
import { inuseState } from './inuse';
import type { StateHandler } from './job';
import { makeproductionState } from './makeproduction';
import { newState } from './new';
import { preloadHandler } from './preload';
import { reboothardState, rebootsoftState } from './reboot';
import { reinstallState } from './reinstall';
import { reloadState } from './reload';
import { reservedState } from './reserved';
import { servermodifiedState } from './servermodified';
import { timeoutState } from './timeout';
import { tomaintenanceState } from './tomaintenance';
import { tovmhostinuseState } from './tovmhostinuse';

export const STATE_HANDLERS: Readonly<Record<WorkableState, StateHandler>> = {
  new: newState,
  reload: reloadState,
  reinstall: reinstallState,
  reserved: reservedState,
  inuse: inuseState,
  timeout: timeoutState,
  deleted: deletedState,
  imageinuse: imageinuseState,
  image: imageState,
  checkpoint: checkpointState,
  imageprep: imageprepState,
  makeproduction: makeproductionState,
  rebootsoft: rebootsoftState,
  reboothard: reboothardState,
  servermodified: servermodifiedState,
  tomaintenance: tomaintenanceState,
  tovmhostinuse: tovmhostinuseState,
};

/** What VCL's poll calls preload: taken up before its start, so loaded ahead of it. */
const PRELOADED: readonly WorkableState[] = ['new', 'reload', 'imageprep', 'tovmhostinuse'];

export function handlerFor({ request: { state, secondsToStart } }: Reservation): StateHandler {
  return secondsToStart > 0 && PRELOADED.includes(state) ? preloadHandler(state) : STATE_HANDLERS[state];
}
