/** Appliances and instances as the daemon works with them. */
import { ProvisiondError } from '../errors';
import type { Appliance, Consistency, Instance, InstanceFile } from '../model/instance';
import { shortName } from '../model/names';
import type { Database, Queryable } from './database';
import type { InstanceStore, NewInstance, RevisionUses } from './instance-store';
import { joinGroups } from './inventory-rows';
import { assertLease } from './lease-verbs';
import { stateIds } from './poll-sql';
import { HOST_COLUMNS } from './reservation-reader';
import { type HostRow, toHost } from './reservation-rows';
import type { Lease } from './store';

/** `image.size` is a small number without a sign. */
const MAX_SIZE_MIB = 65_535;

export function instanceVerbs(db: Database): InstanceStore {
  return {
    appliance: (name) => readAppliance(db, name),
    setUndeployed: (lease, computerId, uuid) =>
      db.transaction(async (tx) => {
        await assertLease(tx, lease);
        await tx.change('update provisiond_appliance_vm set undeployed = ? where computerid = ?', [uuid, computerId]);
      }),
    registerInstances: (lease, operationId, instances) =>
      db.transaction((tx) => registerInstances(tx, lease, operationId, instances)),
    instances: () => readInstances(db),
    revisionUses: (id) => readUses(db, id),
    deleteRevision: (lease, id) => db.transaction((tx) => deleteRevision(tx, lease, id)),
    registerMaster: (lease, from, names) =>
      db.transaction(async (tx) => {
        await assertLease(tx, lease);
        if (await tx.one('select 1 from imagerevision where imagename = ? and deleted = 0', [names.imageName])) return;
        await refuseTaken(tx, names);
        await copyImage(tx, from, names, null, 'promoted from an instance');
      }),
    noteChildOperation: (lease, parent, computerId, kind) =>
      db.transaction((tx) => noteChild(tx, lease, parent.id, computerId, kind)),
    forgetChildOperation: (lease, id) =>
      db.transaction(async (tx) => {
        await assertLease(tx, lease);
        await tx.change("delete from provisiond_operation where id = ? and state = 'done'", [id]);
      }),
    vmHost: (computerId) => readHost(db, computerId),
  };
}

async function readAppliance(db: Queryable, name: string): Promise<Appliance | null> {
  const found = await db.one<{ id: number; name: string }>('select id, name from provisiond_appliance where name = ?', [
    name,
  ]);
  if (!found) return null;
  // A domain that was loaded since is another one, and deployed.
  const rows = await db.rows<{ computerid: number; hostname: string; undeployed: string | null }>(
    `select m.computerid, c.hostname, case when vm.uuid is null or vm.uuid = m.undeployed then m.undeployed end as undeployed
     from provisiond_appliance_vm m join computer c on c.id = m.computerid and c.deleted = 0
     left join provisiond_vm vm on vm.computerid = c.id where m.applianceid = ? order by c.hostname`,
    [found.id],
  );
  const members = rows.map(({ computerid, hostname, undeployed }) => {
    return { computerId: computerid, shortName: shortName(hostname), undeployed };
  });
  return { ...found, members };
}

async function registerInstances(tx: Queryable, lease: Lease, operationId: number, instances: readonly NewInstance[]) {
  await assertLease(tx, lease);
  if (await tx.one('select 1 from provisiond_instance where operationid = ?', [operationId])) return;
  for (const instance of instances) {
    const { sourceRevisionId, consistency, moment, files } = instance;
    await refuseTaken(tx, instance);
    const master = await tx.one<{ masterrevisionid: number | null }>(
      'select masterrevisionid from provisiond_instance where imagerevisionid = ?',
      [sourceRevisionId],
    );
    const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
    const comments = `instance, ${consistency}, ${moment}`;
    const ids = await copyImage(tx, sourceRevisionId, instance, sizeBytes, comments);
    const { time } = (await tx.one<{ time: string }>(`select ${tx.dialect.now} as time`))!;
    await tx.insert('provisiond_instance', {
      ...ids,
      masterrevisionid: master ? master.masterrevisionid : sourceRevisionId,
      sourcerevisionid: sourceRevisionId,
      operationid: operationId,
      computerid: instance.computerId,
      hostcomputerid: instance.hostId,
      ...{ consistency, moment, files: JSON.stringify(files), created: time },
    });
  }
}

/** @throws CONFLICT; deleted ones count too: their files may still be there */
async function refuseTaken(tx: Queryable, { imageName, prettyName }: Pick<NewInstance, 'imageName' | 'prettyName'>) {
  const holder = await tx.one<{ prettyname: string }>(
    `select i.prettyname from image i where i.name = ? or i.prettyname = ?
     union select i.prettyname from imagerevision v join image i on i.id = v.imageid where v.imagename = ?`,
    [imageName, prettyName, imageName],
  );
  if (!holder) return;
  const message = `image '${holder.prettyname}' has the name ${prettyName} or ${imageName} already`;
  throw new ProvisiondError('CONFLICT', message, { blame: 'request' });
}

/** An image with one revision, of the same kind and needs, owner and groups as that of another revision. */
async function copyImage(
  tx: Queryable,
  fromRevisionId: number,
  { imageName, prettyName }: Pick<NewInstance, 'imageName' | 'prettyName'>,
  sizeBytes: number | null,
  comments: string,
): Promise<{ imageid: number; imagerevisionid: number }> {
  const from = await tx.one<Record<string, string | number | null> & { id: number; size: number }>(
    'select i.* from image i join imagerevision v on v.imageid = i.id where v.id = ?',
    [fromRevisionId],
  );
  if (!from) throw new ProvisiondError('IMAGE_NOT_FOUND', `image revision ${fromRevisionId} is not there any more`);
  const { now } = (await tx.one<{ now: string }>(`select ${tx.dialect.now} as now`))!;
  const { id: fromId, ...row } = from;
  const size = sizeBytes === null ? from.size : Math.min(MAX_SIZE_MIB, Math.ceil(sizeBytes / 2 ** 20));
  const fresh = { name: imageName, prettyname: prettyName, size, lastupdate: now, deleted: 0, test: 0 };
  const imageid = await tx.insert('image', { ...row, ...fresh, basedoffrevisionid: fromRevisionId });
  const imagerevisionid = await tx.insert('imagerevision', {
    ...{ imageid, revision: 0, userid: row.ownerid ?? 1, datecreated: now },
    ...{ deleted: 0, production: 1, comments, imagename: imageName },
  });
  const groups = await tx.rows<{ name: string }>(
    `select g.name from resourcegroup g join resourcegroupmembers m on m.resourcegroupid = g.id
     join resource r on r.id = m.resourceid join resourcetype t on t.id = r.resourcetypeid and t.name = 'image'
     where r.subid = ?`,
    [fromId],
  );
  await joinGroups(tx, 'image', imageid, groups.length > 0 ? groups.map(({ name }) => name) : ['allImages']);
  return { imageid, imagerevisionid };
}

interface InstanceRow {
  imageid: number;
  imagerevisionid: number;
  imagename: string;
  prettyname: string;
  masterrevisionid: number | null;
  sourcerevisionid: number;
  operationid: number;
  computerid: number;
  hostname: string | null;
  hostcomputerid: number;
  consistency: Consistency;
  moment: string;
  files: string;
}

export async function readInstances(db: Queryable): Promise<Instance[]> {
  const rows = await db.rows<InstanceRow>(
    `select s.*, v.imagename, i.prettyname, c.hostname from provisiond_instance s
     join imagerevision v on v.id = s.imagerevisionid and v.deleted = 0
     join image i on i.id = v.imageid and i.deleted = 0
     left join computer c on c.id = s.computerid order by s.imagerevisionid`,
  );
  return rows.map((row) => ({
    imageId: row.imageid,
    imageRevisionId: row.imagerevisionid,
    imageName: row.imagename,
    prettyName: row.prettyname,
    masterRevisionId: row.masterrevisionid,
    sourceRevisionId: row.sourcerevisionid,
    operationId: row.operationid,
    computerId: row.computerid,
    computer: shortName(row.hostname ?? `computer ${row.computerid}`),
    hostId: row.hostcomputerid,
    consistency: row.consistency,
    moment: row.moment,
    files: JSON.parse(row.files) as InstanceFile[],
  }));
}

async function readUses(db: Database, id: number): Promise<RevisionUses> {
  const requests = await db.one<{ count: number }>(
    `select count(*) as count from reservation r join request q on q.id = r.requestid
     where r.imagerevisionid = ? and q.stateid not in (${stateIds('complete', 'failed')})`,
    [id],
  );
  const computers = await db.rows<{ hostname: string }>(
    'select hostname from computer where deleted = 0 and imagerevisionid = ? order by hostname',
    [id],
  );
  const slaves = (await readInstances(db)).filter(({ masterRevisionId }) => masterRevisionId === id);
  return {
    requests: Number(requests!.count),
    computers: computers.map(({ hostname }) => shortName(hostname)),
    instances: slaves.map(({ prettyName }) => prettyName),
  };
}

/** The image goes with its last revision. */
async function deleteRevision(tx: Queryable, lease: Lease, id: number): Promise<void> {
  await assertLease(tx, lease);
  await tx.change(
    `update imagerevision set deleted = 1, datedeleted = ${tx.dialect.now} where id = ? and deleted = 0`,
    [id],
  );
  await tx.change(
    `update image set deleted = 1, lastupdate = ${tx.dialect.now} where deleted = 0
       and id = (select v.imageid from imagerevision v where v.id = ?)
       and not exists (select 1 from imagerevision o where o.imageid = image.id and o.deleted = 0)`,
    [id],
  );
}

async function noteChild(tx: Queryable, lease: Lease, parent: number, computerid: number, kind: string) {
  await assertLease(tx, lease);
  const idempotencykey = `${kind} ${parent}:${computerid}`;
  const known = await tx.one<{ id: number }>('select id from provisiond_operation where idempotencykey = ?', [
    idempotencykey,
  ]);
  if (known) return known.id;
  const { time } = (await tx.one<{ time: string }>(`select ${tx.dialect.now} as time`))!;
  const times = { created: time, started: time, ended: time };
  const row = { kind, computerid, idempotencykey, requestedby: `operation ${parent}`, state: 'done', percent: 100 };
  return tx.insert('provisiond_operation', { ...row, ...times, managementnodeid: lease.managementNodeId });
}

async function readHost(db: Database, computerId: number) {
  const row = await db.one<HostRow>(
    `select ${HOST_COLUMNS} from vmhost v
     join computer h on h.id = v.computerid and h.deleted = 0
     join vmprofile p on p.id = v.vmprofileid
     left join imagetype dt on dt.id = p.datastoreimagetypeid
     left join imagetype rt on rt.id = p.repositoryimagetypeid
     left join provisiond_host way on way.computerid = h.id where h.id = ?`,
    [computerId],
  );
  return row ? toHost(row) : null;
}
