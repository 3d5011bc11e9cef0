/**
 * From the error of a state's work to what becomes of request and computer (`reservation_failed` of VCL, with the
 * difference that the computer is only taken out of service when it is to blame: VCL-280).
 */
import { findError, type Blame, type ProvisiondError } from '../errors';
import type { ComputerState, WorkableState } from '../model/states';
import type { Transition } from '../store/store';

/** The computer of a failed load, by who must act. All but `failed` leave it to other reservations. */
const COMPUTER_BY_BLAME: Readonly<Record<Blame, ComputerState>> = {
  host: 'available',
  computer: 'failed',
  image: 'available',
  request: 'available',
  plugin: 'available',
  config: 'available',
  daemon: 'available',
};

export interface FailureFacts {
  readonly state: WorkableState;
  readonly error: ProvisiondError;
  /** What the undo could not remove: the computer must not be handed out then. */
  readonly leftovers: readonly string[];
  /** Seconds to the end of the reservation, negative when past. */
  readonly secondsToEnd: number;
}

export function failureTransition({ state, error, leftovers, secondsToEnd }: FailureFacts): Transition {
  // A computer that others have, or an admin put aside, is theirs: nothing was done to it.
  const isOthers = findError(error, 'COMPUTER_NOT_AVAILABLE') !== undefined;
  const computer = leftovers.length > 0 ? 'failed' : isOthers ? undefined : COMPUTER_BY_BLAME[error.blame];
  switch (state) {
    case 'inuse':
    case 'imageinuse':
    case 'rebootsoft':
    case 'reboothard':
    case 'servermodified':
      // The user still works on it: go on watching. vcld asks for complete/failed after the end but is overridden back
      // to inuse, so that the request loops for ever; here it ends as any reservation whose time is over.
      return secondsToEnd > 0
        ? { request: 'inuse', computer: 'inuse' }
        : { request: 'timeout', computer: 'timeout', ending: 'EOR' };
    case 'image':
    case 'checkpoint':
      return { request: 'maintenance', computer: 'maintenance' };
    case 'deleted':
    case 'timeout':
      // What is left on it is unknown: nobody else may get it.
      return { request: 'complete', computer: 'failed' };
    case 'new':
    case 'reserved':
      return { request: 'failed', computer, ending: 'failed' };
    case 'reload':
    case 'imageprep':
    case 'tovmhostinuse':
      // Nobody waits for it. VCL: complete where the computer was not to be had.
      return isOthers ? { request: 'complete' } : { request: 'failed', computer };
    case 'reinstall':
      // vcld leaves the log open: the user's time would count for ever.
      return { request: 'failed', computer, ending: 'failed' };
    case 'makeproduction':
    case 'tomaintenance':
      return { request: 'failed', computer };
  }
}
