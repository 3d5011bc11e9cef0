/** What is written of a captured image: all of it in one transaction, when its file is whole (`image.pm` of VCL). */
import { ProvisiondError } from '../errors';
import type { Reservation } from '../model/reservation';
import { insertReloadRow } from './claim-verbs';
import type { Database, Queryable } from './database';
import { assertClaim } from './lease-verbs';
import type { CapturedImage, Claim, Store } from './store';

/** `image.size` is a small number without a sign. */
const MAX_SIZE_MIB = 65_535;
const RELOAD_SECONDS = 30 * 60;

export function captureVerbs(db: Database): Pick<Store, 'isImageLive' | 'imageNamed' | 'recordCapture'> {
  return {
    isImageLive: ({ image }) => isImageLive(db, image.revisionId),
    imageNamed: (name, { image }) => imageNamed(db, name, image),
    recordCapture: (claim, reservation, captured) =>
      db.transaction(async (tx) => {
        await assertClaim(tx, claim);
        await writeImage(tx, reservation, captured);
        if (captured.then === 'reload') await orderReload(tx, claim, reservation);
        else await tx.change('update request set checkuser = 0 where id = ?', [claim.requestId]);
      }),
  };
}

async function isImageLive(db: Queryable, revisionId: number): Promise<boolean> {
  const row = await db.one<{ deleted: number; revisionDeleted: number }>(
    `select i.deleted, v.deleted as revisionDeleted from imagerevision v join image i on i.id = v.imageid where v.id = ?`,
    [revisionId],
  );
  return row !== undefined && row.deleted === 0 && row.revisionDeleted === 0;
}

/** Deleted ones count too: their files may still be there. */
async function imageNamed(db: Queryable, name: string, { id, revisionId }: Reservation['image']) {
  const row = await db.one<{ prettyname: string }>(
    `select i.prettyname from image i where i.name = ? and i.id <> ?
     union select i.prettyname from imagerevision v join image i on i.id = v.imageid where v.imagename = ? and v.id <> ?`,
    [name, id, name, revisionId],
  );
  return row?.prettyname ?? null;
}

/**
 * vcld writes `image.name` as it was before the capture renamed it, and does so for revisions that are not production
 * too. Here the image has the name of its production revision, always.
 */
async function writeImage(tx: Queryable, { image }: Reservation, { name, sizeMiB, format }: CapturedImage) {
  const holder = await imageNamed(tx, name, image);
  if (holder !== null) {
    throw new ProvisiondError('CONFLICT', `image '${holder}' is named ${name} already`, { blame: 'image' });
  }
  const { now } = tx.dialect;
  await tx.change(
    `update imagerevision set deleted = 0, datedeleted = null, datecreated = ${now}, imagename = ? where id = ?`,
    [name, image.revisionId],
  );
  await tx.change(
    `update image set deleted = 0, lastupdate = ${now}, size = ?,
       imagetypeid = coalesce((select t.id from imagetype t where t.name = ?), imagetypeid) where id = ?`,
    [Math.min(sizeMiB, MAX_SIZE_MIB), format, image.id],
  );
  const production = await tx.one('select id from imagerevision where id = ? and production = 1', [image.revisionId]);
  if (production) await tx.change('update image set name = ? where id = ?', [name, image.id]);
}

async function orderReload(tx: Queryable, claim: Claim, { computer, image, managementNode }: Reservation) {
  await insertReloadRow(tx, {
    computerId: computer.id,
    image,
    managementNodeId: managementNode.id,
    lastState: claim.lastState,
    seconds: RELOAD_SECONDS,
    except: claim.requestId,
  });
}
