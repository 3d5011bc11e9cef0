/** How a claim ends: story, log, computer and request in one transaction (`state_exit` of VCL). */
import type { Reservation } from '../model/reservation';
import { STATE_IDS, type ComputerState } from '../model/states';
import { NO_IMAGE } from './claim-verbs';
import type { Database, Queryable } from './database';
import { assertLease, leaseHeld } from './lease-verbs';
import { stateIds } from './poll-sql';
import type { Claim, FinishOutcome, Store, Transition } from './store';

/** What a computer is in while somebody uses or prepares it. */
const OCCUPIED = stateIds('reloading', 'reload', 'reserved', 'inuse', 'timeout');

export function finishVerbs(db: Database): Pick<Store, 'finish'> {
  return {
    finish: (claim, reservations, transition) => db.transaction((tx) => finish(tx, claim, reservations, transition)),
  };
}

/**
 * A front end that wrote meanwhile overtakes us: its state stays, and the rest is written as if it had come a moment
 * after us. Of a request that it deleted nothing is written before its computers were cleared; then they are free.
 */
async function finish(
  tx: Queryable,
  claim: Claim,
  reservations: readonly Reservation[],
  transition: Transition,
): Promise<FinishOutcome> {
  if (claim.isMember) return finishPart(tx, claim, reservations, transition);
  const won = await moveRequest(tx, claim, transition);
  const there = won || (await tx.one('select id from request where id = ?', [claim.requestId])) !== undefined;
  if (!there && transition.unloaded === undefined) return 'gone';
  await closeLog(tx, reservations, transition);
  if (there) await moveComputers(tx, reservations, transition);
  else await freeComputers(tx, reservations, transition);
  if (transition.request === 'failed') await leaveBlocks(tx, reservations);
  if (there && transition.request !== 'remove') await endStory(tx, claim, reservations, transition);
  // What is reserved is taken up in a moment: its note will be written over this one.
  if (!won || transition.request !== 'reserved') await forgetJob(tx, claim);
  return won ? 'done' : 'overtaken';
}

async function forgetJob(tx: Queryable, { requestId, lease }: Claim): Promise<void> {
  await tx.change('delete from provisiond_job where requestid = ? and token = ?', [requestId, lease.token]);
}

/** The computers and the `exited` of our own reservations; the node that has the first one moves the request. */
async function finishPart(
  tx: Queryable,
  claim: Claim,
  reservations: readonly Reservation[],
  transition: Transition,
): Promise<FinishOutcome> {
  await assertLease(tx, claim.lease);
  const { pending } = STATE_IDS;
  const sameRound = await tx.one(
    `select 1 from provisiond_job j join request q on q.id = j.requestid and q.stateid = ${pending} and q.laststateid = ?
     where j.requestid = ? and j.loadid = ?`,
    [STATE_IDS[claim.state], claim.requestId, claim.loadId],
  );
  const there = await tx.one('select id from request where id = ?', [claim.requestId]);
  if (!there && transition.unloaded === undefined) return 'gone';
  if (there) await moveComputers(tx, reservations, transition);
  else await freeComputers(tx, reservations, transition);
  if (sameRound) await tellExited(tx, reservations);
  return sameRound ? 'done' : 'overtaken';
}

/** @returns false when the request is not ours any more @throws LEASE_LOST */
async function moveRequest(tx: Queryable, claim: Claim, { request, preloaded }: Transition): Promise<boolean> {
  const held = leaseHeld(tx.dialect, claim.lease);
  const where = `where id = ? and stateid = ${STATE_IDS.pending} and laststateid = ? and ${held.sql}`;
  const bindings = [claim.requestId, STATE_IDS[claim.state], ...held.bindings];
  const moved =
    request === 'remove'
      ? await tx.change(`delete from request ${where}`, bindings)
      : await tx.change(
          `update request set stateid = ${STATE_IDS[request]}${preloaded ? ', preload = 1' : ''} ${where}`,
          bindings,
        );
  if (moved === 0) await assertLease(tx, claim.lease);
  return moved > 0;
}

/** Closed once: how it ended first is how it ended. */
async function closeLog(tx: Queryable, [parent]: readonly Reservation[], { ending }: Transition): Promise<void> {
  if (ending === undefined || !parent || parent.request.logId === null) return;
  const update = `update log set ending = ?, finalend = ${tx.dialect.now} where id = ? and ending = 'none'`;
  await tx.change(update, [ending, parent.request.logId]);
}

async function moveComputers(tx: Queryable, reservations: readonly Reservation[], transition: Transition) {
  const idsByState = new Map<ComputerState, number[]>();
  for (const { computer } of reservations) {
    const state = transition.computers?.get(computer.id) ?? transition.computer;
    if (state !== undefined) idsByState.set(state, [...(idsByState.get(state) ?? []), computer.id]);
  }
  for (const [state, ids] of idsByState) {
    await tx.change(
      `update computer set stateid = ? where stateid not in (${stateIds('maintenance', 'deleted')})
         and id in (${ids.map(() => '?').join(', ')})`,
      [STATE_IDS[state], ...ids],
    );
  }
}

/** A computer that could not be loaded is none that a block allocation can count on. */
async function leaveBlocks(tx: Queryable, reservations: readonly Reservation[]): Promise<void> {
  if (reservations.length === 0) return;
  const ids = reservations.map(({ computer }) => computer.id);
  await tx.change(`delete from blockComputers where computerid in (${ids.map(() => '?').join(', ')})`, ids);
}

async function freeComputers(tx: Queryable, reservations: readonly Reservation[], { unloaded }: Transition) {
  if (reservations.length === 0) return;
  const ids = reservations.map(({ computer }) => computer.id);
  const ours = `in (${ids.map(() => '?').join(', ')})`;
  const isFree = `stateid in (${OCCUPIED})
       and not exists (select 1 from reservation r join request q on q.id = r.requestid
         where r.computerid = computer.id and q.stateid not in (${stateIds('complete', 'failed', 'new')}))`;
  if (unloaded) {
    await tx.change(
      `delete from provisiond_guest where computerid in (select id from computer where id ${ours} and ${isFree})`,
      ids,
    );
  }
  const empty = unloaded ? `, currentimageid = ${NO_IMAGE.id}, imagerevisionid = ${NO_IMAGE.revisionId}` : '';
  await tx.change(`update computer set stateid = ${STATE_IDS.available}${empty} where id ${ours} and ${isFree}`, ids);
}

const isWorkedOn = ({ state }: Claim, next: Transition['request']): boolean =>
  state === 'servermodified' && next !== 'inuse';

/** Only `begin` goes after new and reserved, whose story the user still reads; then `exited` comes. */
async function endStory(
  tx: Queryable,
  claim: Claim,
  reservations: readonly Reservation[],
  { request }: Transition,
): Promise<void> {
  const { now } = tx.dialect;
  const idOf = (name: string) => `(select id from computerloadstate where loadstatename = '${name}')`;
  // A state that only passes the request back to another leaves that one's story alone.
  const onlyBegin = claim.state === 'new' || claim.state === 'reserved' || isWorkedOn(claim, request);
  await tx.change(
    `delete from computerloadlog where reservationid in (select id from reservation where requestid = ?)
       ${onlyBegin ? `and loadstateid = ${idOf('begin')}` : ''}`,
    [claim.requestId],
  );
  await tellExited(tx, reservations);
  // Of a request that is `reserved` nobody asks it.
  if (['inuse', 'rebootsoft', 'reboothard', 'servermodified'].includes(request)) {
    await tx.change(`update reservation set lastcheck = ${now} where requestid = ?`, [claim.requestId]);
  }
}

async function tellExited(tx: Queryable, reservations: readonly Reservation[]): Promise<void> {
  if (reservations.length === 0) return;
  await tx.change(
    `insert into computerloadlog (reservationid, computerid, loadstateid, timestamp, additionalinfo)
     select id, computerid, (select id from computerloadstate where loadstatename = 'exited'), ${tx.dialect.now}, ?
     from reservation where id in (${reservations.map(() => '?').join(', ')}) order by id`,
    ['', ...reservations.map(({ id }) => id)],
  );
}
