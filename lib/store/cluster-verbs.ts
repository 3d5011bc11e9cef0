/** The reservations of one request, on whatever management nodes: what each has told, and taking part in their work. */
import { isWorkable, STATE_IDS, stateName } from '../model/states';
import type { Database } from './database';
import { beginStory } from './inbox-verbs';
import { assertLease, leaseHeld } from './lease-verbs';
import type { Claim, Lease, Sibling, Store } from './store';

export function clusterVerbs(db: Database): Pick<Store, 'siblings' | 'join'> {
  return {
    siblings: (requestId) => siblings(db, requestId),
    join: (lease, requestId) => join(db, lease, requestId),
  };
}

interface ToldRow {
  id: number;
  managementnodeid: number;
  IPaddress: string;
  loadstatename: string | null;
  lineId: number | null;
}

async function siblings(db: Database, requestId: number): Promise<Sibling[]> {
  const rows = await db.rows<ToldRow>(
    `select r.id, r.managementnodeid, c.IPaddress, s.loadstatename, l.id as lineId
     from reservation r
     join computer c on c.id = r.computerid
     left join computerloadlog l on l.reservationid = r.id
     left join computerloadstate s on s.id = l.loadstateid
     where r.requestid = ? order by r.id, l.id`,
    [requestId],
  );
  const found = new Map<number, Sibling & { told: Set<string> }>();
  for (const { id, managementnodeid, IPaddress, loadstatename, lineId } of rows) {
    const sibling = found.get(id) ?? {
      reservationId: id,
      managementNodeId: managementnodeid,
      publicIp: IPaddress,
      told: new Set<string>(),
      newestLine: 0,
    };
    if (loadstatename !== null) sibling.told.add(loadstatename);
    found.set(id, { ...sibling, newestLine: lineId ?? 0 });
  }
  return [...found.values()];
}

/** The node that has the reservation with the lowest id took the request up; its note has the name of this work. */
async function join(db: Database, lease: Lease, requestId: number): Promise<Claim | null> {
  return db.transaction(async (tx) => {
    const held = leaseHeld(tx.dialect, lease);
    const job = await tx.one<{ stateid: number; laststateid: number; loadid: string }>(
      `select j.stateid, j.laststateid, j.loadid from provisiond_job j
       join request q on q.id = j.requestid and q.stateid = ${STATE_IDS.pending} and q.laststateid = j.stateid
       where j.requestid = ? and ${held.sql}`,
      [requestId, ...held.bindings],
    );
    if (!job) {
      await assertLease(tx, lease);
      return null;
    }
    const [state, lastState] = [stateName(job.stateid), stateName(job.laststateid)];
    if (!state || !lastState || !isWorkable(state)) return null;
    const claim: Claim = { requestId, state, lastState, loadId: job.loadid, lease, isMember: true };
    await beginStory(tx, claim);
    return claim;
  });
}
