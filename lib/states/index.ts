/** Every request state and who works it. A state without a handler does not compile. */
import type { WorkableState } from '../model/states';
import { deletedState } from './deleted';
import { inuseState } from './inuse';
import type { StateHandler } from './job';
import { newState } from './new';
import { notYet } from './not-yet';
import { reinstallState } from './reinstall';
import { reloadState } from './reload';
import { reservedState } from './reserved';
import { timeoutState } from './timeout';

export const STATE_HANDLERS: Readonly<Record<WorkableState, StateHandler>> = {
  new: newState,
  reload: reloadState,
  reinstall: reinstallState,
  reserved: reservedState,
  inuse: inuseState,
  timeout: timeoutState,
  deleted: deletedState,
  imageinuse: notYet('imageinuse'),
  image: notYet('image'),
  checkpoint: notYet('checkpoint'),
  imageprep: notYet('imageprep'),
  makeproduction: notYet('makeproduction'),
  rebootsoft: notYet('rebootsoft'),
  reboothard: notYet('reboothard'),
  servermodified: notYet('servermodified'),
  tomaintenance: notYet('tomaintenance'),
  tovmhostinuse: notYet('tovmhostinuse'),
};
