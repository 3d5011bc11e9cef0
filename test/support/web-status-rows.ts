/**
 * What VCL's front end shows of a request that has begun and has not ended: each pair of states, as its
 * `XMLRPCgetRequestStatus` was seen to answer. `ready in …`: with a computer in one of these states, else it is loading.
 */
import type { StateName } from '../../lib/model/states';

export interface StatusRow {
  readonly state: StateName;
  readonly lastState: StateName;
  readonly shows: string;
  readonly readyIn: readonly StateName[];
}

const OF_PENDING: Readonly<Partial<Record<StateName, string>>> = {
  new: 'loading',
  reserved: 'ready in reserved',
  inuse: 'ready in reserved, inuse',
  failed: 'loading',
  reloading: 'loading',
  maintenance: 'loading',
  timeout: 'timedout',
  complete: 'loading',
  image: 'image',
  reload: 'loading',
  checkpoint: 'image',
  serverinuse: 'loading',
  rebootsoft: 'loading',
  reinstall: 'loading',
  reboothard: 'loading',
  servermodified: 'loading',
};

/** The same whether the last state is new, reserved or inuse. */
const OF_OTHERS: Readonly<Partial<Record<StateName, string>>> = {
  new: 'loading',
  reserved: 'loading',
  inuse: 'ready in inuse',
  failed: 'failed',
  reloading: 'loading',
  maintenance: 'maintenance',
  timeout: 'timedout',
  complete: 'timedout',
  image: 'image',
  makeproduction: 'error (unknown requestid)',
  tomaintenance: 'loading',
  reload: 'loading',
  tovmhostinuse: 'loading',
  tohpc: 'loading',
  checkpoint: 'image',
  serverinuse: 'loading',
  rebootsoft: 'loading',
  reinstall: 'loading',
  reboothard: 'loading',
  servermodified: 'ready in reserved, inuse',
};

const LAST_STATES = ['new', 'reserved', 'inuse'] as const;

const rows = (shown: typeof OF_OTHERS) => Object.entries(shown) as [StateName, string][];

export const STATUS_ROWS: readonly StatusRow[] = [
  ...rows(OF_PENDING).map(([lastState, text]) => rowOf('pending', lastState, text)),
  ...rows(OF_OTHERS).flatMap(([state, text]) => LAST_STATES.map((lastState) => rowOf(state, lastState, text))),
];

/** Of the computer, in each of which every row was looked at. */
export const COMPUTER_STATES = [
  'available',
  'reserved',
  'reloading',
  'inuse',
  'failed',
  'pending',
  'timeout',
] as const satisfies readonly StateName[];

export function shownBy(row: StatusRow, computer: StateName): string {
  return row.readyIn.includes(computer) ? 'ready' : row.shows;
}

function rowOf(state: StateName, lastState: StateName, text: string): StatusRow {
  const [, list] = /^ready in (.*)$/.exec(text) ?? [];
  const readyIn = (list?.split(', ') ?? []) as StateName[];
  return { state, lastState, shows: list === undefined ? text : 'loading', readyIn };
}
