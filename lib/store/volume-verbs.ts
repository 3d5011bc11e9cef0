/** Volumes of VMs, the trash, and images by name. */
import { VOLUME_TYPES } from '../model/volume';
import type { Database, Queryable, Value } from './database';
import { assertLease, leaseHeld } from './lease-verbs';
import type { Lease } from './store';
import type { NewTrash, RevisionFacts, SizedVolume, Trash, VolumeStore } from './volume-store';

export function volumeVerbs(db: Database): VolumeStore {
  return {
    volumesOf: (computerId) => readVolumes(db, computerId),
    writeVolumes: (lease, computerId, volumes, gone = []) =>
      db.transaction((tx) => writeVolumes(tx, lease, computerId, volumes, gone)),
    setLoadedImage: (lease, computerId, { imageId, imageRevisionId }) =>
      change(db, lease, 'update computer set currentimageid = ?, imagerevisionid = ? where id = ?', [
        ...(imageId === 0 ? [1, 1] : [imageId, imageRevisionId]),
        computerId,
      ]),
    revisionsNamed: (name) =>
      readRevisions(db, 'v.imagename = ? or (i.prettyname = ? and v.production = 1)', [name, name]),
    revision: async (id) => (await readRevisions(db, 'v.id = ?', [id]))[0] ?? null,
    keepTrash: (lease, trash) => keepTrash(db, lease, trash),
    listTrash: (id) => (id === null ? readTrash(db, '1 = 1', []) : readTrash(db, 'computerid = ?', [id])),
    takeTrash: async (lease, operationId, state) => {
      const condition = state === 'taken' ? "state in ('kept', 'taken')" : "state in ('kept', 'purging')";
      const sql = `update provisiond_trash set state = ? where operationid = ? and ${condition}`;
      return (await db.change(...held(db, lease, sql, [state, operationId]))) > 0;
    },
    releaseTrash: async (lease, operationId) => {
      const sql = "update provisiond_trash set state = 'kept' where operationid = ? and state = 'taken'";
      await db.change(...held(db, lease, sql, [operationId]));
    },
    forgetTrash: async (lease, operationId) => {
      await db.change(...held(db, lease, 'delete from provisiond_trash where operationid = ?', [operationId]));
    },
    expiredTrash: ({ managementNodeId }) =>
      readTrash(
        db,
        `managementnodeid = ? and (state = 'purging' or (state = 'kept' and expires < ${db.dialect.clock}))`,
        [managementNodeId],
      ),
  };
}

function held(db: Queryable, lease: Lease, sql: string, bindings: readonly Value[]): [string, Value[]] {
  const condition = leaseHeld(db.dialect, lease);
  return [`${sql} and ${condition.sql}`, [...bindings, ...condition.bindings] as Value[]];
}

/** @throws LEASE_LOST */
async function change(db: Queryable, lease: Lease, sql: string, bindings: readonly Value[]): Promise<void> {
  if ((await db.change(...held(db, lease, sql, bindings))) === 0) await assertLease(db, lease);
}

async function writeVolumes(
  tx: Queryable,
  lease: Lease,
  computerId: number,
  volumes: readonly SizedVolume[],
  gone: readonly string[],
) {
  await assertLease(tx, lease);
  const paths = volumes.map(({ path }) => path);
  const known = await tx.rows<{ id: number; type: string; path: string }>(
    'select id, type, path from provisiond_volume where computerid = ?',
    [computerId],
  );
  for (const { id, type, path } of known) {
    if (paths.includes(path) || gone.includes(path) || type !== 'data')
      await tx.change('delete from provisiond_volume where id = ?', [id]);
    else await tx.change('update provisiond_volume set target = null where id = ?', [id]);
  }
  const host = await tx.one<{ host: number | null }>(
    'select v.computerid as host from computer c left join vmhost v on v.id = c.vmhostid where c.id = ?',
    [computerId],
  );
  const { time } = (await tx.one<{ time: string }>(`select ${tx.dialect.now} as time`))!;
  for (const { name, type, target, path, format, generation, sizeBytes } of volumes) {
    const place = { computerid: computerId, hostcomputerid: host?.host ?? null, target, path, changed: time };
    await tx.insert('provisiond_volume', { ...place, name, type, format, generation, size: sizeBytes });
  }
}

interface VolumeRow {
  name: string;
  type: string;
  target: string | null;
  path: string;
  format: string;
  generation: number;
  size: number | string;
}

/** As they were seen last, in the order of their targets; those without one come last. */
export async function readVolumes(db: Queryable, computerId: number): Promise<(SizedVolume & { attached: boolean })[]> {
  const rows = await db.rows<VolumeRow>(
    `select name, type, target, path, format, generation, size from provisiond_volume where computerid = ?
     order by target is null, length(target), target, name`,
    [computerId],
  );
  return rows.map(({ target, size, type, ...row }) => ({
    ...row,
    type: VOLUME_TYPES.find((known) => known === type) ?? 'data',
    target: target ?? '',
    attached: target !== null,
    sizeBytes: Number(size),
  }));
}

async function readRevisions(db: Queryable, condition: string, bindings: readonly Value[]): Promise<RevisionFacts[]> {
  const rows = await db.rows<Omit<RevisionFacts, 'production' | 'deleted'> & { production: number; deleted: number }>(
    `select i.id as imageId, v.id as imageRevisionId, v.imagename as imageName, i.prettyname as prettyName, v.production,
       case when v.deleted = 1 or i.deleted = 1 then 1 else 0 end as deleted, i.architecture
     from imagerevision v join image i on i.id = v.imageid where i.id <> 1 and (${condition}) order by v.id`,
    bindings,
  );
  return rows.map((row) => ({ ...row, production: row.production === 1, deleted: Number(row.deleted) === 1 }));
}

async function keepTrash(db: Database, lease: Lease, trash: NewTrash): Promise<string> {
  const { operationId, computerId, folder, plan, days } = trash;
  const { now, clock, keep, addSeconds } = db.dialect;
  const condition = leaseHeld(db.dialect, lease);
  const values = [operationId, computerId, lease.managementNodeId, folder, plan];
  await db.change(
    `insert into provisiond_trash (operationid, computerid, managementnodeid, folder, plan, created, expires)
     select it.* from (select ? as a, ? as b, ? as c, ? as d, ? as e, ${now} as f, ${clock} + ? as g) it
     where ${condition.sql} ${keep('operationid')}`,
    [...values, days * 24 * 3600, ...condition.bindings],
  );
  const row = await db.one<{ until: string }>(
    `select ${addSeconds(now, `(expires - ${clock})`)} as until from provisiond_trash where operationid = ?`,
    [operationId],
  );
  if (!row) await assertLease(db, lease);
  return row?.until ?? '';
}

export async function readTrash(db: Queryable, condition: string, bindings: readonly Value[]): Promise<Trash[]> {
  return db.rows<Trash>(
    `select operationid as operationId, computerid as computerId, folder, plan, state, created,
       expires - ${db.dialect.clock} as secondsLeft
     from provisiond_trash where ${condition} order by operationid desc`,
    bindings,
  );
}
