/** What is written while a request is in hand; each statement proves lease and claim in its WHERE. */
import { ProvisiondError } from '../errors';
import { STATE_IDS, type StateName } from '../model/states';
import type { Bindings, Database, Queryable } from './database';
import { knownState } from './inbox-verbs';
import { assertClaim, claimHeld, leaseHeld } from './lease-verbs';
import { stateIds } from './poll-sql';
import type { Claim, Competitor, Store } from './store';

/** VCL's image `noimage` and its revision. */
export const NO_IMAGE = { id: 1, revisionId: 1 } as const;

const MAX_PASSWORD = 40;
const RELOAD_SECONDS = 30 * 60;
/** User `vclreload`. */
const RELOAD_USER_ID = 2;

type ClaimVerbs = Pick<
  Store,
  | 'setComputerState'
  | 'setCurrentImage'
  | 'setNextImage'
  | 'unassignComputer'
  | 'setGuestKey'
  | 'setPublicIp'
  | 'setPassword'
  | 'setLoaded'
  | 'setRemoteIp'
  | 'touchLastCheck'
  | 'competitors'
  | 'isHeldByOthers'
  | 'completeCompetitor'
  | 'insertReload'
>;

export function claimVerbs(db: Database): ClaimVerbs {
  const { now } = db.dialect;
  return {
    setComputerState: (claim, computerId, state) =>
      writeHeld(
        db,
        claim,
        `update computer set stateid = ? where id = ? and stateid not in (${stateIds('maintenance', 'deleted')})`,
        [STATE_IDS[state], computerId],
      ),
    setCurrentImage: (claim, computerId, image) => {
      const { id, revisionId } = image ?? NO_IMAGE;
      const update = 'update computer set currentimageid = ?, imagerevisionid = ? where id = ?';
      return writeHeld(db, claim, update, [id, revisionId, computerId]);
    },
    setNextImage: (claim, computerId, imageId) =>
      writeHeld(db, claim, 'update computer set nextimageid = ? where id = ?', [imageId, computerId]),
    unassignComputer: (claim, computerId) =>
      writeHeld(db, claim, 'update computer set vmhostid = null where id = ?', [computerId]),
    setGuestKey: (claim, computerId, key) => setGuestKey(db, claim, computerId, key),
    setPublicIp: async (claim, { computer, request }, publicIp) => {
      if (publicIp !== computer.publicIp)
        await writeHeld(db, claim, 'update computer set IPaddress = ? where id = ?', [publicIp, computer.id]);
      const log = 'update sublog set IPaddress = ? where logid = ? and computerid = ?';
      if (request.logId !== null) await writeHeld(db, claim, log, [publicIp, request.logId, computer.id]);
    },
    setPassword: (claim, reservation, password) => setPassword(db, claim, reservation, password),
    setLoaded: async (claim, { request }) => {
      if (request.logId === null) return;
      await writeHeld(db, claim, `update log set loaded = ${now} where id = ? and loaded is null`, [request.logId]);
    },
    setRemoteIp: (claim, reservationId, remoteIp) =>
      writeHeld(db, claim, 'update reservation set remoteIP = ? where id = ?', [remoteIp, reservationId]),
    // A later value was set on purpose, to put the next check off.
    touchLastCheck: (claim, reservationId) =>
      writeHeld(
        db,
        claim,
        `update reservation set lastcheck = ${now} where id = ? and (lastcheck is null or lastcheck <= ${now})`,
        [reservationId],
      ),
    competitors: (computerId, requestId) => competitors(db, computerId, requestId),
    isHeldByOthers: async (computerId, requestId) => {
      const other = `select q.id from reservation r join request q on q.id = r.requestid
        where r.computerid = ? and q.id <> ? and q.stateid not in (${stateIds('complete', 'failed', 'new')})`;
      return (await db.one(other, [computerId, requestId])) !== undefined;
    },
    completeCompetitor: (claim, competitor) => completeCompetitor(db, claim, competitor),
    insertReload: (claim, reservation, image) => insertReload(db, claim, reservation, image),
  };
}

/** Changing nothing is well while the claim is held: the row has no need, or an admin's state forbids it. */
async function writeHeld(db: Queryable, claim: Claim, update: string, bindings: Bindings): Promise<void> {
  const held = claimHeld(db.dialect, claim);
  const changed = await db.change(`${update} and ${held.sql}`, [...bindings, ...held.bindings]);
  if (changed === 0) await assertClaim(db, claim);
}

async function setGuestKey(db: Database, claim: Claim, computerId: number, key: string | null): Promise<void> {
  if (key === null) return writeHeld(db, claim, 'delete from provisiond_guest where computerid = ?', [computerId]);
  const held = claimHeld(db.dialect, claim);
  const overwrite = db.dialect.overwrite(['computerid'], ['hostkey']);
  const insert = `insert into provisiond_guest (computerid, hostkey)
    select it.computerid, it.hostkey from (select ? as computerid, ? as hostkey) it where ${held.sql} ${overwrite}`;
  if ((await db.change(insert, [computerId, key, ...held.bindings])) === 0) await assertClaim(db, claim);
}

const setPassword = async (...[db, claim, { id, user }, password]: [Database, ...Parameters<Store['setPassword']>]) => {
  if (password !== null && password.length > MAX_PASSWORD) {
    throw new ProvisiondError('INTERNAL', `a password of ${password.length} characters does not fit reservation.pw`);
  }
  // No transaction: the step is run again until both are written, and the front end shows neither before the claim ends.
  await writeHeld(db, claim, 'update reservation set pw = ? where id = ?', [password, id]);
  const held = claimHeld(db.dialect, claim);
  await db.change(
    `insert into reservationaccounts (reservationid, userid, password)
     select it.id, it.userid, it.password from (select ? as id, ? as userid, ? as password) it where ${held.sql}
     ${db.dialect.overwrite(['reservationid', 'userid'], ['password'])}`,
    [id, user.id, password, ...held.bindings],
  );
};

interface CompetitorRow {
  id: number;
  stateid: number;
  laststateid: number;
  secondsToStart: number | null;
  secondsToEnd: number | null;
  imagerevisionid: number;
}

async function competitors(db: Database, computerId: number, requestId: number): Promise<Competitor[]> {
  const { now, secondsBetween } = db.dialect;
  const rows = await db.rows<CompetitorRow>(
    `select other.id, other.stateid, other.laststateid, r.imagerevisionid,
       ${secondsBetween(now, 'other.start')} as secondsToStart, ${secondsBetween(now, 'other.end')} as secondsToEnd
     from reservation r
     join request other on other.id = r.requestid
     where r.computerid = ? and other.id <> ? and other.stateid not in (${stateIds('complete', 'failed')})
       and other.start < (select mine.\`end\` from request mine where mine.id = ?)
     order by other.id`,
    [computerId, requestId, requestId],
  );
  return rows.map((row) => ({
    requestId: row.id,
    state: knownState(row.stateid, `request ${row.id}`),
    lastState: knownState(row.laststateid, `request ${row.id}`),
    secondsToStart: row.secondsToStart ?? 0,
    secondsToEnd: row.secondsToEnd ?? 0,
    imageRevisionId: row.imagerevisionid,
  }));
}

/** `complete/<what it was at>`, as every request that came to rest. */
async function completeCompetitor(db: Database, claim: Claim, competitor: Competitor): Promise<void> {
  const { requestId, state, lastState } = competitor;
  const lease = leaseHeld(db.dialect, claim.lease);
  await db.transaction(async (tx) => {
    await assertClaim(tx, claim);
    await tx.change(
      `update request set stateid = ${STATE_IDS.complete}, laststateid = ?
       where id = ? and stateid = ? and laststateid = ? and ${lease.sql}`,
      [
        STATE_IDS[state === 'pending' ? lastState : state],
        requestId,
        STATE_IDS[state],
        STATE_IDS[lastState],
        ...lease.bindings,
      ],
    );
  });
}

const insertReload = (...[db, claim, reservation, image]: [Database, ...Parameters<Store['insertReload']>]) =>
  db.transaction(async (tx) => {
    await assertClaim(tx, claim);
    return insertReloadRow(tx, {
      computerId: reservation.computer.id,
      image: { id: image.id, revisionId: image.revisionId },
      managementNodeId: reservation.managementNode.id,
      lastState: claim.lastState,
      seconds: RELOAD_SECONDS,
      except: claim.requestId,
    });
  });

interface ReloadWish {
  readonly computerId: number;
  readonly image: { readonly id: number; readonly revisionId: number };
  readonly managementNodeId: number;
  readonly lastState: StateName;
  readonly seconds: number;
  /** The request that orders it. */
  readonly except?: number;
}

/** @returns the id of the reload that waits for the computer: the new one, or one that was there */
export async function insertReloadRow(tx: Queryable, wish: ReloadWish): Promise<number> {
  const { now, addSeconds, updateLock } = tx.dialect;
  const { reload, pending } = STATE_IDS;
  // The computer's row is the door: two reloads of one computer are never inserted at once.
  await tx.one(`select id from computer where id = ?${updateLock}`, [wish.computerId]);
  const waiting = await tx.one<{ id: number }>(
    `select q.id from request q join reservation r on r.requestid = q.id where r.computerid = ?
       and (q.stateid = ${reload} or (q.stateid = ${pending} and q.laststateid = ${reload})) and q.id <> ?`,
    [wish.computerId, wish.except ?? 0],
  );
  if (waiting) return waiting.id;
  const times = await tx.one<{ start: string; end: string }>(
    `select ${now} as start, ${addSeconds(now, String(wish.seconds))} as \`end\``,
  );
  const id = await tx.insert('request', {
    stateid: reload,
    userid: RELOAD_USER_ID,
    laststateid: STATE_IDS[wish.lastState],
    ...times!,
    daterequested: times!.start,
  });
  await tx.insert('reservation', {
    requestid: id,
    computerid: wish.computerId,
    imageid: wish.image.id,
    imagerevisionid: wish.image.revisionId,
    managementnodeid: wish.managementNodeId,
  });
  return id;
}
