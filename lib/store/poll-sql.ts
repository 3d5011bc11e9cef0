/**
 * What may be due: first ids, asked so that the database walks VCL's own indexes (request.stateid, start, end) and
 * hardly more rows than are due; then the rows of these. The exact timing rules follow in `lib/model/timings.ts`.
 */
import { SHARED_STATES, STATE_IDS, type StateName } from '../model/states';
import { REMOVED_AT_ONCE } from '../model/timings';
import type { Dialect } from './dialect';

export const stateIds = (...names: StateName[]): string => names.map((name) => STATE_IDS[name]).join(', ');

/** Worked once their start has come, or preloaded up to 35 minutes before (`check_time` of VCL). */
const WAIT_FOR_START = stateIds('new', 'imageprep', 'reload', 'tovmhostinuse', 'tomaintenance');
const PRELOAD_SECONDS = 36 * 60;

/** Looked at near their end, when long not checked, or when the user did something. */
const IN_USE = stateIds('inuse', 'imageinuse');
/** VCL looks 6 minutes (and rounding) before the first notice. */
const BEFORE_NOTICE_SECONDS = 7 * 60;

/** Worked at once. */
const AT_ONCE = stateIds(
  'reserved',
  'deleted',
  'timeout',
  'image',
  'checkpoint',
  'reinstall',
  'rebootsoft',
  'reboothard',
  'servermodified',
  'makeproduction',
);

const JOINED = stateIds(...SHARED_STATES);

const AT_REST = stateIds('complete', 'failed');
/** Of requests at rest: those whose row nobody waits to see. */
const REMOVABLE = stateIds(...REMOVED_AT_ONCE);

/** Null and zero: never checked. */
const OLDEST_CHECK = "min(coalesce(r.lastcheck, '0000-00-00 00:00:00'))";

/** A setting of the site in seconds: the smallest or largest, as affiliations may have their own. */
const setting = (pick: 'min' | 'max', pattern: string, otherwise: number): string =>
  `coalesce((select ${pick}(value + 0) from variable where name like '${pattern}' escape '!'), ${otherwise})`;

/** The front end's newest rows: a touch is seen at the next poll, long before so many others came. */
const RECENT_CHANGES = 1000;

/**
 * Ids of what may be due on any node; with `joinable` = 1 those that another node has in hand and in which the node of
 * the only binding has reservations, not the first, that did not tell `exited` yet. The sign before `managementnodeid`
 * keeps SQLite from walking all reservations of the node for the few pending requests: 1.6 ms instead of 0.05.
 */
export function candidatesSql({ now, addSeconds }: Dialect): string {
  const checkedBefore = addSeconds(now, `-${setting('min', '%inuse!_check%', 300)}`);
  const endsBefore = addSeconds(
    now,
    `(${setting('max', 'general!_end!_notice!_first%', 600)} + ${BEFORE_NOTICE_SECONDS})`,
  );
  return `
    select id, 0 as joinable from request
      where stateid in (${WAIT_FOR_START}) and start <= ${addSeconds(now, String(PRELOAD_SECONDS))}
    union select id, 0 from request where stateid in (${IN_USE}) and \`end\` <= ${endsBefore}
    union select q.id, 0 from request q where q.stateid in (${IN_USE})
      and (select ${OLDEST_CHECK} from reservation r where r.requestid = q.id) <= ${checkedBefore}
    union select id, 0 from request where stateid in (${IN_USE}) and logid in (select c.logid from changelog c
      where c.id > (select max(id) from changelog) - ${RECENT_CHANGES} and c.remoteIP is not null
        and c.timestamp >= ${checkedBefore})
    union select id, 0 from request where stateid in (${AT_REST}) and \`end\` < ${now}
    union select id, 0 from request where stateid in (${AT_REST}) and laststateid in (${REMOVABLE})
    union select id, 0 from request where stateid in (${AT_ONCE})
    union select q.id, 1 from request q where q.stateid = ${STATE_IDS.pending} and q.laststateid in (${JOINED})
      and exists (select 1 from reservation r where r.requestid = q.id
        and +r.managementnodeid = ?
        and not exists (select 1 from computerloadlog l where l.reservationid = r.id
          and l.loadstateid = (select id from computerloadstate where loadstatename = 'exited'))
        and r.managementnodeid <> (select parent.managementnodeid from reservation parent
          where parent.id = (select min(first.id) from reservation first where first.requestid = q.id)))`;
}

/** The present rows of requests, with all that the timing rules ask; `mine`: of the given management node. */
export function requestRowsSql({ now, secondsBetween }: Dialect, count: number): string {
  return `
    select q.id, q.stateid, q.laststateid, q.preload, q.checkuser, parent.remoteIP,
      (select a.name from user u join affiliation a on a.id = u.affiliationid where u.id = q.userid) as affiliation,
      coalesce(parent.managementnodeid = ?, 0) as mine,
      ${secondsBetween(now, 'q.start')} as secondsToStart, ${secondsBetween(now, 'q.`end`')} as secondsToEnd,
      (select ${secondsBetween(OLDEST_CHECK, now)} from reservation r where r.requestid = q.id) as secondsSinceCheck,
      (select ${OLDEST_CHECK} from reservation r where r.requestid = q.id) as oldestCheck,
      (select max(c.timestamp) from changelog c where c.logid = q.logid and c.remoteIP is not null
         and c.timestamp <= ${now}) as newestTouch,
      exists (select 1 from serverrequest s where s.requestid = q.id) as isServer,
      (select count(*) from reservation r where r.requestid = q.id) as reservationCount
    from request q
    left join reservation parent on parent.id = (select min(r.id) from reservation r where r.requestid = q.id)
    where q.id in (${Array(count).fill('?').join(', ')})
    order by q.start, q.id`;
}

export const POLL_SQL = {
  removableLastStates: REMOVABLE,
  /** Every pending request of a node (its reservation with the lowest id decides whose it is), with our note of it and what tells how far it came. */
  orphans: `
    select q.id, q.laststateid, j.stateid as jobState, j.laststateid as jobLastState, j.loadid,
      l.loaded, l.ending, parent.remoteIP
    from request q
    join reservation parent on parent.id = (select min(r.id) from reservation r where r.requestid = q.id)
      and parent.managementnodeid = ?
    left join provisiond_job j on j.requestid = q.id
    left join log l on l.id = q.logid
    where q.stateid = ${STATE_IDS.pending}
    order by q.id`,
};
