/** The inbox: which requests may be due, taking them up, and taking over what a predecessor left. */
import { randomUUID } from 'node:crypto';
import { ProvisiondError } from '../errors';
import type { RequestRow } from '../model/reservation';
import { isWorkable, STATE_IDS, stateName, type StateName, type WorkableState } from '../model/states';
import type { Database, Queryable } from './database';
import { assertLease, leaseHeld } from './lease-verbs';
import { forgottenLastState } from './orphans';
import { candidatesSql, POLL_SQL, requestRowsSql, stateIds } from './poll-sql';
import type { Claim, DueRequest, Lease, PollAnswer, Store } from './store';

export function inboxVerbs(db: Database): Pick<Store, 'poll' | 'claim' | 'adoptOrphans' | 'removeAtRest'> {
  return {
    poll: (managementNodeId, inHand) => poll(db, managementNodeId, inHand),
    claim: (lease, due) => claim(db, lease, due),
    adoptOrphans: (lease, except) => adoptOrphans(db, lease, except),
    removeAtRest: (lease, requestId) => removeAtRest(db, lease, requestId),
  };
}

/** Of a row's state id. @throws REQUEST_INVALID */
export function knownState(id: number, what: string): StateName {
  const name = stateName(id);
  if (!name) throw new ProvisiondError('REQUEST_INVALID', `${what} has state ${id}, which VCL does not have`);
  return name;
}

interface PolledRow {
  id: number;
  stateid: number;
  laststateid: number;
  preload: number;
  checkuser: number;
  affiliation: string | null;
  remoteIP: string | null;
  mine: number;
  secondsToStart: number | null;
  secondsToEnd: number | null;
  secondsSinceCheck: number | null;
  oldestCheck: string | null;
  newestTouch: string | null;
  isServer: number;
  reservationCount: number;
}

/** Two statements, one when there is nothing. A request without reservations is not complete yet: not due. */
async function poll(db: Database, managementNodeId: number, inHand: readonly number[]): Promise<PollAnswer> {
  const found = await db.rows<{ id: number; joinable: number }>(candidatesSql(db.dialect), [managementNodeId]);
  const candidates = new Set(found.filter(({ joinable }) => !joinable).map(({ id }) => id));
  const joinable = found.filter((row) => row.joinable && !inHand.includes(row.id)).map(({ id }) => id);
  const wanted = [...new Set([...candidates, ...inHand])];
  if (wanted.length === 0) return { due: [], joinable, inHand: new Map() };
  const rows = await db.rows<PolledRow>(requestRowsSql(db.dialect, wanted.length), [managementNodeId, ...wanted]);
  const known = rows.filter((row) => stateName(row.stateid) && stateName(row.laststateid));
  return {
    due: known.filter((row) => row.mine === 1 && candidates.has(row.id)).map(toDueRequest),
    joinable,
    inHand: new Map(rows.filter(({ id }) => inHand.includes(id)).map((row) => [row.id, toRequestRow(row)])),
  };
}

function toDueRequest(row: PolledRow): DueRequest {
  return {
    requestId: row.id,
    state: stateName(row.stateid)!,
    lastState: stateName(row.laststateid)!,
    preload: row.preload === 1,
    // VCL takes a zero date for "now".
    secondsToStart: row.secondsToStart ?? 0,
    secondsToEnd: row.secondsToEnd ?? 0,
    secondsSinceCheck: row.secondsSinceCheck,
    touchedSinceCheck: row.newestTouch !== null && row.newestTouch >= (row.oldestCheck ?? ''),
    isServer: row.isServer === 1,
    reservationCount: row.reservationCount,
    affiliation: row.affiliation ?? '',
  };
}

function toRequestRow(row: PolledRow): RequestRow {
  return {
    requestId: row.id,
    state: knownState(row.stateid, `request ${row.id}`),
    lastState: knownState(row.laststateid, `request ${row.id}`),
    secondsToEnd: row.secondsToEnd ?? 0,
    remoteIp: row.remoteIP || null,
    checkUser: row.checkuser === 1,
  };
}

async function claim(
  db: Database,
  lease: Lease,
  due: Pick<DueRequest, 'requestId' | 'state' | 'lastState'>,
): Promise<Claim | null> {
  const { requestId, state, lastState } = due;
  if (!isWorkable(state)) return null;
  const loadId = randomUUID();
  const taken: Claim = { requestId, state, lastState, loadId, lease };
  try {
    return await db.transaction((tx) => takeUp(tx, taken));
  } catch (error) {
    // The commit may have gone through although its answer did not: then the row carries our load id.
    if (!(error instanceof ProvisiondError) || error.code !== 'DATABASE_UNAVAILABLE') throw error;
    const mine = 'select 1 from provisiond_job where requestid = ? and loadid = ?';
    if (await db.one(mine, [requestId, loadId]).catch(() => undefined)) return taken;
    throw error;
  }
}

/** @returns null when the request is not in that state any more */
async function takeUp(tx: Queryable, wanted: Claim): Promise<Claim | null> {
  const { requestId, state, loadId, lease } = wanted;
  const { now, overwrite } = tx.dialect;
  const held = leaseHeld(tx.dialect, lease);
  const won = await tx.change(
    `update request set stateid = ${STATE_IDS.pending}, laststateid = ?
     where id = ? and stateid = ? and laststateid = ? and ${held.sql}`,
    [STATE_IDS[state], requestId, STATE_IDS[state], STATE_IDS[wanted.lastState], ...held.bindings],
  );
  if (won === 0) {
    await assertLease(tx, lease);
    return null;
  }
  const lastState = await trueLastState(tx, wanted);
  await tx.change(
    `insert into provisiond_job (requestid, stateid, laststateid, loadid, token, claimed, attempts)
     values (?, ?, ?, ?, ?, ${now}, 1)
     ${overwrite(['requestid'], ['stateid', 'laststateid', 'loadid', 'token', 'claimed', 'attempts'])}`,
    [requestId, STATE_IDS[state], STATE_IDS[lastState], loadId, lease.token],
  );
  const claim = { ...wanted, lastState };
  await beginStory(tx, claim);
  return claim;
}

/** States that the front end begins requests with, and never writes over another. */
const ONLY_INSERTED: readonly StateName[] = ['new', 'reload', 'imageprep', 'tomaintenance', 'tovmhostinuse'];

/**
 * The front end may write the very state that we have in hand over `pending`: its last state is then the one that we
 * took it up in, and the one before is in our note.
 */
async function trueLastState(tx: Queryable, { requestId, state, lastState }: Claim): Promise<StateName> {
  if (state !== lastState || ONLY_INSERTED.includes(state)) return lastState;
  const note = 'select laststateid from provisiond_job where requestid = ? and stateid = ?';
  const job = await tx.one<{ laststateid: number }>(note, [requestId, STATE_IDS[state]]);
  return (job && stateName(job.laststateid)) ?? lastState;
}

/**
 * What vcld's main loop does when it hands a reservation to a child: `exited` goes, `begin` comes. `lastcheck` is left to
 * the end of the work (`finish.ts`): nobody asks for it while the request is pending.
 */
export async function beginStory(tx: Queryable, claim: Claim): Promise<void> {
  const { now } = tx.dialect;
  const { requestId, state } = claim;
  const idOf = (name: string) => `(select id from computerloadstate where loadstatename = '${name}')`;
  // Who takes the request up begins a new round of the whole cluster: what was told in the last one counts no more.
  if (claim.isMember !== true) await forgetSignals(tx, requestId);
  await tx.change(
    `insert into computerloadlog (reservationid, computerid, loadstateid, timestamp, additionalinfo)
     select id, computerid, ${idOf('begin')}, ${now}, ? from reservation
     where requestid = ? and managementnodeid = ? order by id`,
    [`beginning to process, state is ${state}`, requestId, claim.lease.managementNodeId],
  );
}

/** What the reservations of a cluster tell each other. */
const SIGNALS = ['begin', 'failed', 'nodeready', 'postreserve', 'connected', 'noinitialconnection'];

async function forgetSignals(tx: Queryable, requestId: number): Promise<void> {
  const named = SIGNALS.map((name) => `'${name}'`).join(', ');
  const reservations = '(select id from reservation where requestid = ?)';
  await tx.change(
    `delete from computerloadlog where reservationid in ${reservations}
       and (loadstateid = (select id from computerloadstate where loadstatename = 'exited')
         or (loadstateid in (select id from computerloadstate where loadstatename in (${named}))
           and (select count(*) from reservation where requestid = ?) > 1))`,
    [requestId, requestId],
  );
}

interface OrphanRow {
  id: number;
  laststateid: number;
  jobState: number | null;
  jobLastState: number | null;
  loadid: string | null;
  loaded: string | null;
  ending: string | null;
  remoteIP: string | null;
}

async function adoptOrphans(db: Database, lease: Lease, except: readonly number[]): Promise<Claim[]> {
  return db.transaction(async (tx) => {
    await assertLease(tx, lease);
    await tx.change('delete from provisiond_job where requestid not in (select id from request)');
    const orphans = (await tx.rows<OrphanRow>(POLL_SQL.orphans, [lease.managementNodeId])).filter(
      ({ id, laststateid }) => !except.includes(id) && isWorkable(stateName(laststateid) ?? 'pending'),
    );
    const claims = orphans.map((row) => toClaim(row, lease));
    for (const adopted of claims) await keepJob(tx, adopted);
    return claims;
  });
}

/** vcld leaves no row of ours, and a front end that wrote over our state makes the row a stranger's. */
function toClaim(row: OrphanRow, lease: Lease): Claim {
  const state = stateName(row.laststateid) as WorkableState;
  const ours = row.loadid !== null && row.jobState === row.laststateid;
  const evidence = { loaded: row.loaded !== null, ending: row.ending, acknowledged: Boolean(row.remoteIP) };
  return {
    requestId: row.id,
    state,
    lastState: ours ? knownState(row.jobLastState!, `request ${row.id}`) : forgottenLastState(state, evidence),
    loadId: ours ? row.loadid! : randomUUID(),
    lease,
  };
}

async function keepJob(tx: Queryable, { requestId, state, lastState, loadId, lease }: Claim): Promise<void> {
  const { now } = tx.dialect;
  const again = 'update provisiond_job set token = ?, attempts = attempts + 1 where requestid = ? and loadid = ?';
  if ((await tx.change(again, [lease.token, requestId, loadId])) > 0) return;
  await tx.change(
    `insert into provisiond_job (requestid, stateid, laststateid, loadid, token, claimed, attempts)
     values (?, ?, ?, ?, ?, ${now}, 1)
     ${tx.dialect.overwrite(['requestid'], ['stateid', 'laststateid', 'loadid', 'token', 'claimed', 'attempts'])}`,
    [requestId, STATE_IDS[state], STATE_IDS[lastState], loadId, lease.token],
  );
}

async function removeAtRest(db: Database, lease: Lease, requestId: number): Promise<void> {
  const held = leaseHeld(db.dialect, lease);
  const removed = await db.change(
    `delete from request where id = ? and stateid in (${stateIds('complete', 'failed')})
       and (\`end\` < ${db.dialect.now} or laststateid in (${POLL_SQL.removableLastStates})) and ${held.sql}`,
    [requestId, ...held.bindings],
  );
  if (removed === 0) await assertLease(db, lease);
}
