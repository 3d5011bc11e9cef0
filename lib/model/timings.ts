/**
 * When a request is due, as a pure function of its row and of VCL's timing variables
 * (`check_time` and the `variable` table of Apache VCL 2.5.1).
 */
import type { StateName } from './states';

/** Seconds, each under the name of its row in `variable`. */
export interface Timings {
  readonly acknowledgetimeout: number;
  readonly initialconnecttimeout: number;
  readonly reconnecttimeout: number;
  readonly general_end_notice_first: number;
  readonly general_end_notice_second: number;
  readonly general_inuse_check: number;
  readonly server_inuse_check: number;
  readonly cluster_inuse_check: number;
  /** Minutes in the table: reservations at least that long are not checked for a connected user. */
  readonly ignore_connections_gte: number;
}

/** VCL's defaults, for sites whose table lacks a row. */
export const DEFAULT_TIMINGS: Timings = {
  acknowledgetimeout: 900,
  initialconnecttimeout: 900,
  reconnecttimeout: 900,
  general_end_notice_first: 600,
  general_end_notice_second: 300,
  general_inuse_check: 300,
  server_inuse_check: 900,
  cluster_inuse_check: 900,
  ignore_connections_gte: 1440,
};

/** The site's settings by the names of `variable`; `name|affiliation` is for the users of one affiliation. */
export type Variables = ReadonlyMap<string, string>;

/** A setting for the users of an affiliation: theirs, else everybody's. */
export function variableFor(variables: Variables, name: string, affiliation: string): string | undefined {
  return variables.get(`${name}|${affiliation}`) ?? variables.get(name);
}

/** The timings for an affiliation: numbers above zero from `variable`, VCL's defaults for the rest. */
export function timingsFrom(variables: Variables, affiliation = ''): Timings {
  const timings = { ...DEFAULT_TIMINGS };
  for (const name of Object.keys(timings) as (keyof Timings)[]) {
    const value = Number(variableFor(variables, name, affiliation));
    if (Number.isFinite(value) && value > 0) (timings as Record<keyof Timings, number>)[name] = value;
  }
  return timings;
}

/** What the row says that the rules need. Seconds by the database's clock, negative when past. */
export interface RequestClock {
  readonly state: StateName;
  readonly lastState: StateName;
  readonly preload: boolean;
  readonly secondsToStart: number;
  readonly secondsToEnd: number;
  /** Age of the oldest `reservation.lastcheck` of the request; null: never checked. */
  readonly secondsSinceCheck: number | null;
  /** The newest `changelog` row with a remote address came after the last check. */
  readonly touchedSinceCheck: boolean;
  readonly isServer: boolean;
  readonly reservationCount: number;
}

/** Work it, load it ahead of its start, delete its rows, or leave it alone for now. */
export type Due = 'work' | 'preload' | 'remove' | 'not yet';

const PRELOAD_FROM_SECONDS = 35 * 60;
const PRELOAD_UNTIL_SECONDS = 25 * 60;
/** VCL's monitor takes an ending reservation up this long before its end. */
export const END_LOOKAHEAD_SECONDS = 10 * 60;

/** Requests that ended out of these are deleted at once; others stay for the front end to show until their end. */
export const REMOVED_AT_ONCE: readonly StateName[] = [
  'image',
  'imageprep',
  'imageinuse',
  'deleted',
  'makeproduction',
  'reload',
  'tomaintenance',
  'tovmhostinuse',
];

export function whenDue(clock: RequestClock, timings: Timings): Due {
  switch (clock.state) {
    case 'new':
    case 'imageprep':
    case 'reload':
    case 'tovmhostinuse':
      return startDue(clock);
    case 'tomaintenance':
      return clock.secondsToStart <= 0 ? 'work' : 'not yet';
    case 'inuse':
    case 'imageinuse':
      return inuseDue(clock, timings);
    case 'complete':
    case 'failed':
      return REMOVED_AT_ONCE.includes(clock.lastState) || clock.secondsToEnd < 0 ? 'remove' : 'not yet';
    case 'pending':
    case 'maintenance':
      return 'not yet';
    default:
      return 'work';
  }
}

function startDue(clock: RequestClock): Due {
  if (clock.secondsToStart <= 0) return 'work';
  const inWindow = clock.secondsToStart <= PRELOAD_FROM_SECONDS && clock.secondsToStart >= PRELOAD_UNTIL_SECONDS;
  return inWindow && !clock.preload ? 'preload' : 'not yet';
}

function inuseDue(clock: RequestClock, timings: Timings): Due {
  if (clock.secondsToEnd <= END_LOOKAHEAD_SECONDS) return 'work';
  if (clock.secondsSinceCheck === null || clock.touchedSinceCheck) return 'work';
  return clock.secondsSinceCheck >= inuseCheckSeconds(clock, timings) ? 'work' : 'not yet';
}

function inuseCheckSeconds(clock: RequestClock, timings: Timings): number {
  if (clock.isServer) return timings.server_inuse_check;
  return clock.reservationCount > 1 ? timings.cluster_inuse_check : timings.general_inuse_check;
}
