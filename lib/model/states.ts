/**
 * The states of VCL's `state` table, which requests and computers share.
 *
 * The ids are constants: VCL's front end writes them as literals, so a site cannot renumber them
 * (`mysql/vcl.sql` of Apache VCL 2.5.1).
 */
export const STATE_IDS = {
  deleted: 1,
  available: 2,
  reserved: 3,
  classreserved: 4,
  failed: 5,
  reloading: 6,
  imageinuse: 7,
  inuse: 8,
  cleaning: 9,
  maintenance: 10,
  timeout: 11,
  complete: 12,
  new: 13,
  pending: 14,
  imageprep: 15,
  image: 16,
  makeproduction: 17,
  tomaintenance: 18,
  reload: 19,
  vmhostinuse: 20,
  tovmhostinuse: 21,
  tohpc: 22,
  hpc: 23,
  checkpoint: 24,
  serverinuse: 25,
  rebootsoft: 26,
  reinstall: 27,
  reboothard: 28,
  servermodified: 29,
} as const;

export type StateName = keyof typeof STATE_IDS;

/** States in which a request waits for this daemon to take it up. */
export const WORKABLE_REQUEST_STATES = [
  'new',
  'reload',
  'reinstall',
  'reserved',
  'inuse',
  'imageinuse',
  'timeout',
  'deleted',
  'image',
  'checkpoint',
  'imageprep',
  'makeproduction',
  'rebootsoft',
  'reboothard',
  'servermodified',
  'tomaintenance',
  'tovmhostinuse',
] as const satisfies readonly StateName[];

/** A request state that a handler works. */
export type WorkableState = (typeof WORKABLE_REQUEST_STATES)[number];

/** Every state a request row can be in: workable, in hand (`pending`), or at rest. */
export type RequestState = WorkableState | 'pending' | 'complete' | 'failed' | 'maintenance';

/** The states that this daemon gives to computers. */
export type ComputerState =
  | 'available'
  | 'reserved'
  | 'reloading'
  | 'reload'
  | 'inuse'
  | 'failed'
  | 'timeout'
  | 'maintenance'
  | 'vmhostinuse'
  | 'checkpoint'
  | 'deleted';

const NAMES_BY_ID: ReadonlyMap<number, StateName> = new Map(
  Object.entries(STATE_IDS).map(([name, id]) => [id, name as StateName]),
);

/**
 * The name of a state id.
 * @returns undefined for an id that VCL's schema does not have.
 */
export function stateName(id: number): StateName | undefined {
  return NAMES_BY_ID.get(id);
}

/** What every reservation of a cluster has a part in; the other states are worked by the first one alone. */
export const SHARED_STATES = [
  'new',
  'reinstall',
  'reload',
  'reserved',
  'deleted',
  'timeout',
  'rebootsoft',
  'reboothard',
] as const satisfies readonly WorkableState[];

/** In which a request in hand waits for people: operations on its machine are let in. In the others it is at work itself. */
export const WAITING_STATES = [
  'reserved',
  'inuse',
  'imageinuse',
  'servermodified',
  'makeproduction',
] as const satisfies readonly WorkableState[];

export function isWaiting(state: WorkableState): boolean {
  return (WAITING_STATES as readonly WorkableState[]).includes(state);
}

export function isShared(state: WorkableState): boolean {
  return (SHARED_STATES as readonly WorkableState[]).includes(state);
}

export function isWorkable(state: StateName): state is WorkableState {
  return (WORKABLE_REQUEST_STATES as readonly StateName[]).includes(state);
}

/** What VCL's `log.ending` column may hold. */
export type LogEnding =
  'deleted' | 'released' | 'failed' | 'failedtest' | 'noack' | 'nologin' | 'timeout' | 'EOR' | 'none';
