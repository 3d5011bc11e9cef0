/** What a `pending` request was before, where nobody wrote it down (vcld keeps it in memory only). */
import type { StateName, WorkableState } from '../model/states';

export interface Evidence {
  /** `log.loaded` is set: it once was ready for its user. */
  readonly loaded: boolean;
  /** `log.ending`. */
  readonly ending: string | null;
  /** `reservation.remoteIP` is set: the user asked to connect. */
  readonly acknowledged: boolean;
}

/** Where a request stands before each state, in the ordinary walk. */
const ORDINARY: Partial<Record<WorkableState, StateName>> = {
  reserved: 'new',
  inuse: 'reserved',
  imageinuse: 'reserved',
  image: 'inuse',
  checkpoint: 'inuse',
  makeproduction: 'inuse',
  rebootsoft: 'inuse',
  reboothard: 'inuse',
  servermodified: 'inuse',
  reinstall: 'inuse',
};

/**
 * The last state by the transitions of VCL. Where the evidence leaves two, the one after which more is cleaned up:
 * a machine that a user may have been on is `inuse`, and so is reloaded.
 */
export function forgottenLastState(state: WorkableState, evidence: Evidence): StateName {
  if (state === 'timeout') return ['noack', 'nologin'].includes(evidence.ending ?? '') ? 'reserved' : 'inuse';
  if (state === 'deleted') return evidence.loaded && evidence.acknowledged ? 'inuse' : 'reserved';
  return ORDINARY[state] ?? state;
}
