/** What is known of reservations: the list, and one of them with its story. */
import { ProvisiondError, type Blame } from '../errors';
import { STATE_IDS, stateName, type StateName } from '../model/states';
import { POWER_STATES } from '../model/vm-states';
import { chooseConnectMethods, connectMethodsColumn, type ConnectMethodRow } from './connect-methods';
import type { Database } from './database';
import { rowsOfJson } from './dialect';
import { displayStatus } from './display-status';
import type { FrontEnd, MachinePower, ReservationDetails, ReservationSummary, TimelineEntry } from './front-end';
import { knownState } from './inbox-verbs';

export function listingVerbs(db: Database): Pick<FrontEnd, 'listReservations' | 'show'> {
  return {
    listReservations: async () => {
      const rows = await db.rows<SummaryRow>(`${summarySql(db)} order by q.start, q.id, r.id`);
      const requests = new Map<number, SummaryRow[]>();
      for (const row of rows) requests.set(row.requestId, [...(requests.get(row.requestId) ?? []), row]);
      return [...requests.values()].map(toSummary);
    },
    show: (requestId, sinceEventId) => showReservation(db, requestId, sinceEventId),
  };
}

interface SummaryRow {
  requestId: number;
  reservationId: number;
  stateid: number;
  laststateid: number;
  unityid: string;
  prettyname: string;
  hostname: string;
  hostHostname: string | null;
  computerStateId: number;
  start: string;
  end: string;
  future: number;
  pw: string | null;
  remoteIP: string | null;
  address: string | null;
  natPort: number | null;
  osType: string;
  osId: number;
  revisionId: number;
  powerstate: string | null;
  reason: string;
  guestsleeping: number;
  fault: string | null;
}

const summarySql = ({ dialect }: Database): string => `
  select q.id as requestId, r.id as reservationId, q.stateid, q.laststateid, u.unityid, i.prettyname, c.hostname,
    h.hostname as hostHostname, c.stateid as computerStateId, q.start, q.\`end\`, q.start > ${dialect.now} as future,
    r.pw, r.remoteIP,
    coalesce((select n.publicIPaddress from nathostcomputermap nm join nathost n on n.id = nm.nathostid
      where nm.computerid = c.id limit 1), c.IPaddress) as address,
    (select min(np.publicport) from natport np where np.reservationid = r.id) as natPort,
    o.type as osType, o.id as osId, r.imagerevisionid as revisionId, vm.powerstate, vm.reason, vm.guestsleeping, vm.fault
  from request q
  join reservation r on r.requestid = q.id
  join user u on u.id = q.userid
  join image i on i.id = r.imageid
  join OS o on o.id = i.OSid
  join computer c on c.id = r.computerid
  left join vmhost v on v.id = c.vmhostid
  left join computer h on h.id = v.computerid
  left join provisiond_vm vm on vm.computerid = c.id`;

function toSummary(rows: readonly SummaryRow[]): ReservationSummary {
  const parent = rows[0]!;
  const state = knownState(parent.stateid, `request ${parent.requestId}`);
  const lastState = knownState(parent.laststateid, `request ${parent.requestId}`);
  const computers = rows.map((row) => stateName(row.computerStateId) ?? 'failed');
  return {
    requestId: parent.requestId,
    reservationId: parent.reservationId,
    state,
    lastState,
    status: displayStatus({ state, lastState, computers, future: parent.future === 1 }),
    user: parent.unityid,
    image: parent.prettyname,
    computer: parent.hostname,
    host: parent.hostHostname,
    start: parent.start,
    end: parent.end,
  };
}

function toPower({ hostname, powerstate, reason, guestsleeping, fault }: SummaryRow): MachinePower {
  const powerState = POWER_STATES.find((known) => known === powerstate) ?? 'Unknown';
  return { computer: hostname, powerState, reason, guestSleeping: guestsleeping === 1, fault };
}

/** @throws REQUEST_NOT_FOUND */
export async function showReservation(
  db: Database,
  requestId: number,
  sinceEventId?: number,
): Promise<ReservationDetails> {
  const rows = await db.rows<SummaryRow>(`${summarySql(db)} where q.id = ? order by r.id`, [requestId]);
  const [parent] = rows;
  const timeline = await readTimeline(db, requestId, sinceEventId);
  if (!parent) return { ...(await recall(db, requestId)), timeline };
  const found = await db.one<{ connectMethods: unknown }>(
    `select ${connectMethodsColumn(db.dialect)} from OS o, imagerevision v where o.id = ? and v.id = ?`,
    [parent.osId, parent.revisionId],
  );
  const methods = chooseConnectMethods(rowsOfJson<ConnectMethodRow>(found?.connectMethods), parent);
  return {
    ...toSummary(rows),
    address: parent.address || null,
    password: parent.pw || null,
    port: parent.natPort ?? methods[0]?.ports[0]?.port ?? null,
    acknowledged: Boolean(parent.remoteIP),
    power: rows.filter(({ powerstate }) => powerstate !== null).map(toPower),
    timeline,
  };
}

interface EventRow {
  id: number;
  time: string;
  state: string;
  step: string;
  kind: string;
  milliseconds: number | null;
  loadstate: string | null;
  text: string | null;
  errorcode: string | null;
  blame: Blame | null;
  hint: string | null;
}

/** Our events, and between them by time the lines of the progress log that are not ours (the front end's, vcld's). */
async function readTimeline(db: Database, requestId: number, sinceEventId?: number): Promise<TimelineEntry[]> {
  const events = await db.rows<EventRow>('select * from provisiond_event where requestid = ? and id > ? order by id', [
    requestId,
    sinceEventId ?? 0,
  ]);
  const timeline = events.map(toEntry);
  if (sinceEventId !== undefined) return timeline;
  const ours = new Set(timeline.map(({ loadState, text }) => `${loadState} ${text}`));
  const lines = await db.rows<{ time: string; name: string; text: string | null }>(
    `select l.timestamp as time, s.loadstatename as name, l.additionalinfo as text
     from computerloadlog l join computerloadstate s on s.id = l.loadstateid
     where l.reservationid in (select id from reservation where requestid = ?) order by l.id`,
    [requestId],
  );
  const theirs = lines.filter(({ name, text }) => !ours.has(`${name} ${text ?? ''}`));
  const merged = [...timeline, ...theirs.map(({ time, name, text }) => lineEntry(time ?? '', name, text ?? ''))];
  return merged.sort((a, b) => a.time.localeCompare(b.time));
}

const toEntry = (row: EventRow): TimelineEntry => ({
  id: row.id,
  time: row.time,
  state: row.state,
  step: row.step,
  kind: row.kind,
  milliseconds: row.milliseconds,
  loadState: row.loadstate,
  text: row.text ?? '',
  errorCode: row.errorcode,
  blame: row.blame,
  hint: row.hint,
});

/** Id 0: it is no event, and is not told again to who asks for what is new. */
const lineEntry = (time: string, name: string, text: string): TimelineEntry => ({
  id: 0,
  time,
  state: '',
  step: name,
  kind: 'note',
  milliseconds: null,
  loadState: name,
  text,
  errorCode: null,
  blame: null,
  hint: null,
});

interface RecalledRow {
  reservationId: number | null;
  computerid: number | null;
  state: string | null;
  ending: string | null;
  unityid: string | null;
  prettyname: string | null;
  hostname: string | null;
  hostHostname: string | null;
  start: string | null;
  finalend: string | null;
  address: string | null;
}

/** A request whose rows are gone, from VCL's log (which stays) and our events. @throws REQUEST_NOT_FOUND */
async function recall(db: Database, requestId: number): Promise<Omit<ReservationDetails, 'timeline'>> {
  const row = await db.one<RecalledRow>(
    `select e.reservationid as reservationId, e.computerid, e.state, l.ending, u.unityid, i.prettyname, c.hostname,
       h.hostname as hostHostname, l.start, l.finalend, s.IPaddress as address
     from (select ? as requestid) it
     left join provisiond_event e on e.id = (select max(id) from provisiond_event where requestid = it.requestid)
     left join log l on l.id = (select max(id) from log where requestid = it.requestid)
     left join sublog s on s.id = (select min(id) from sublog where logid = l.id)
     left join user u on u.id = l.userid
     left join image i on i.id = l.imageid
     left join computer c on c.id = coalesce(s.computerid, e.computerid)
     left join computer h on h.id = s.hostcomputerid`,
    [requestId],
  );
  if (!row || (row.reservationId === null && row.unityid === null)) {
    throw new ProvisiondError('REQUEST_NOT_FOUND', `there is no request ${requestId}, and there was none`);
  }
  const lastState = row.state !== null && row.state in STATE_IDS ? (row.state as StateName) : 'deleted';
  return {
    requestId,
    reservationId: row.reservationId ?? 0,
    state: 'complete',
    lastState,
    status: row.ending === null || row.ending === 'none' ? 'gone' : row.ending,
    user: row.unityid ?? 'vclreload',
    image: row.prettyname ?? '',
    computer: row.hostname ?? '',
    host: row.hostHostname,
    start: row.start ?? '',
    end: row.finalend ?? '',
    address: row.address || null,
    password: null,
    port: null,
    acknowledged: false,
    power: [],
  };
}
