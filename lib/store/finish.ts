/** How a claim ends: story, log, computer and request in one transaction (`state_exit` of VCL). */
import type { Reservation } from '../model/reservation';
import { STATE_IDS } from '../model/states';
import type { Database, Queryable } from './database';
import { assertLease, leaseHeld } from './lease-verbs';
import { stateIds } from './poll-sql';
import type { Claim, Store, Transition } from './store';

/** What a computer is in while somebody uses or prepares it. */
const OCCUPIED = stateIds('reloading', 'reload', 'reserved', 'inuse', 'timeout');

export function finishVerbs(db: Database): Pick<Store, 'finish'> {
  return {
    finish: (claim, reservations, transition) => db.transaction((tx) => finish(tx, claim, reservations, transition)),
  };
}

/**
 * A front end that wrote meanwhile overtakes us: its state stays, and the rest is written as if it had come a moment
 * after us. A request that it deleted leaves the computer free.
 */
async function finish(
  tx: Queryable,
  claim: Claim,
  reservations: readonly Reservation[],
  transition: Transition,
): Promise<'done' | 'overtaken'> {
  const won = await moveRequest(tx, claim, transition);
  const there = won || (await tx.one('select id from request where id = ?', [claim.requestId])) !== undefined;
  await closeLog(tx, reservations, transition);
  if (there) await moveComputers(tx, reservations, transition);
  else await freeComputers(tx, reservations);
  if (there && transition.request !== 'remove') await endStory(tx, claim, reservations, transition);
  await tx.change('delete from provisiond_job where requestid = ? and token = ?', [claim.requestId, claim.lease.token]);
  return won ? 'done' : 'overtaken';
}

/** @returns false when the request is not ours any more @throws LEASE_LOST */
async function moveRequest(tx: Queryable, claim: Claim, { request }: Transition): Promise<boolean> {
  const held = leaseHeld(tx.dialect, claim.lease);
  const where = `where id = ? and stateid = ${STATE_IDS.pending} and laststateid = ? and ${held.sql}`;
  const bindings = [claim.requestId, STATE_IDS[claim.state], ...held.bindings];
  const moved =
    request === 'remove'
      ? await tx.change(`delete from request ${where}`, bindings)
      : await tx.change(`update request set stateid = ${STATE_IDS[request]} ${where}`, bindings);
  if (moved === 0) await assertLease(tx, claim.lease);
  return moved > 0;
}

/** Closed once: how it ended first is how it ended. */
async function closeLog(tx: Queryable, [parent]: readonly Reservation[], { ending }: Transition): Promise<void> {
  if (ending === undefined || !parent || parent.request.logId === null) return;
  const update = `update log set ending = ?, finalend = ${tx.dialect.now} where id = ? and ending = 'none'`;
  await tx.change(update, [ending, parent.request.logId]);
}

async function moveComputers(tx: Queryable, reservations: readonly Reservation[], { computer }: Transition) {
  if (computer === undefined || reservations.length === 0) return;
  await tx.change(
    `update computer set stateid = ? where stateid not in (${stateIds('maintenance', 'deleted')})
       and id in (${reservations.map(() => '?').join(', ')})`,
    [STATE_IDS[computer], ...reservations.map((reservation) => reservation.computer.id)],
  );
}

async function freeComputers(tx: Queryable, reservations: readonly Reservation[]): Promise<void> {
  if (reservations.length === 0) return;
  await tx.change(
    `update computer set stateid = ${STATE_IDS.available} where stateid in (${OCCUPIED})
       and id in (${reservations.map(() => '?').join(', ')})
       and not exists (select 1 from reservation r join request q on q.id = r.requestid
         where r.computerid = computer.id and q.stateid not in (${stateIds('complete', 'failed', 'new')}))`,
    reservations.map((reservation) => reservation.computer.id),
  );
}

/** Only `begin` goes after new and reserved, whose story the user still reads; then `exited` comes. */
async function endStory(
  tx: Queryable,
  claim: Claim,
  reservations: readonly Reservation[],
  { request }: Transition,
): Promise<void> {
  const { now } = tx.dialect;
  const idOf = (name: string) => `(select id from computerloadstate where loadstatename = '${name}')`;
  const onlyBegin = claim.state === 'new' || claim.state === 'reserved';
  await tx.change(
    `delete from computerloadlog where reservationid in (select id from reservation where requestid = ?)
       ${onlyBegin ? `and loadstateid = ${idOf('begin')}` : ''}`,
    [claim.requestId],
  );
  const ours = reservations.map(() => '?').join(', ');
  await tx.change(
    `insert into computerloadlog (reservationid, computerid, loadstateid, timestamp, additionalinfo)
     select id, computerid, ${idOf('exited')}, ${now}, ? from reservation where id in (${ours || 'null'}) order by id`,
    ['', ...reservations.map(({ id }) => id)],
  );
  if (['reserved', 'inuse', 'rebootsoft', 'reboothard', 'servermodified'].includes(request)) {
    await tx.change(`update reservation set lastcheck = ${now} where requestid = ?`, [claim.requestId]);
  }
}
