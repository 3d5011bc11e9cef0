/** What is written of images: which revision is the one that users get. */
import { STATE_IDS } from '../model/states';
import { insertReloadRow } from './claim-verbs';
import type { Database, Queryable } from './database';
import { assertClaim } from './lease-verbs';
import { stateIds } from './poll-sql';
import type { Claim, Store } from './store';
import type { Reservation } from '../model/reservation';

const RELOAD_SECONDS = 15 * 60;
/** A computer whose next reservation is that near is left to it. */
const BEFORE_SECONDS = 30 * 60;
const AFTER_SECONDS = 5 * 60;

export function imageVerbs(db: Database): Pick<Store, 'makeProduction'> {
  return {
    makeProduction: (claim, reservation) =>
      db.transaction(async (tx) => {
        await assertClaim(tx, claim);
        await chooseRevision(tx, reservation);
        return reloadIdleComputers(tx, claim, reservation);
      }),
  };
}

/** VCL joins the other revisions in its UPDATE, so that the only revision of an image never becomes production. */
async function chooseRevision(tx: Queryable, { image }: Reservation): Promise<void> {
  const { now } = tx.dialect;
  await tx.change(`update image set name = ?, test = 0, lastupdate = ${now} where id = ?`, [image.name, image.id]);
  // In this order: names are unique among the revisions of one production flag.
  await tx.change('update imagerevision set production = 0 where imageid = ? and id <> ? and production = 1', [
    image.id,
    image.revisionId,
  ]);
  await tx.change('update imagerevision set production = 1 where id = ?', [image.revisionId]);
}

async function reloadIdleComputers(tx: Queryable, claim: Claim, { image }: Reservation): Promise<number> {
  const { now, addSeconds } = tx.dialect;
  const computers = await tx.rows<{ id: number; managementNodeId: number | null }>(
    `select c.id, (select s.managementnodeid from sublog s where s.computerid = c.id order by s.id desc limit 1) as managementNodeId
     from computer c
     where c.stateid = ${STATE_IDS.available} and c.deleted = 0 and c.currentimageid = ? and c.imagerevisionid <> ?
       and not exists (select 1 from reservation r join request q on q.id = r.requestid
         where r.computerid = c.id and q.stateid not in (${stateIds('complete', 'failed')})
           and q.start <= ${addSeconds(now, String(BEFORE_SECONDS))} and q.\`end\` >= ${addSeconds(now, `-${AFTER_SECONDS}`)})
     order by c.id`,
    [image.id, image.revisionId],
  );
  for (const { id, managementNodeId } of computers) {
    await insertReloadRow(tx, {
      computerId: id,
      image,
      managementNodeId: managementNodeId ?? claim.lease.managementNodeId,
      lastState: claim.state,
      seconds: RELOAD_SECONDS,
    });
  }
  return computers.length;
}
