/** Base files on hosts, as recorded; and what the rows still need of them. */
import type { BaseFile, BaseRecords, ImageUse, KnownBaseFile } from '../model/base-file';
import type { ImagePartner } from '../model/image-library';
import { capturedImageName, shortName } from '../model/names';
import type { Database } from './database';
import type { FrontEnd } from './front-end';
import { requireFit } from './inventory-rows';
import { stateIds } from './poll-sql';
import type { Store } from './store';

interface BaseRow {
  hostid: number;
  path: string;
  imagename: string;
  format: string;
  virtualsize: number | string;
  size: number | string;
  modified: number | string;
  sha256: string;
  source: string;
  recorded: string;
  checked: string | null;
  damage: string | null;
}

/** Of a checksum: the column came with none that may be null. */
const NOT_READ_YET = '';
const LONGEST_PATH = 400;
const LONGEST_TEXT = 500;

export function baseVerbs(db: Database): BaseRecords & Pick<Store, 'imagePartners'> {
  const { now } = db.dialect;
  return {
    imagePartners: (managementNodeId) => imagePartners(db, managementNodeId),
    findBaseFiles: async (imageName) =>
      (await db.rows<BaseRow>('select * from provisiond_base where imagename = ? order by hostid', [imageName])).map(
        toBaseFile,
      ),
    listBaseFiles: async () =>
      (await db.rows<BaseRow>('select * from provisiond_base order by hostid, path')).map(toBaseFile),
    recordBaseFile: (file) => recordBaseFile(db, file),
    noteBaseCheck: async ({ hostId, path }, damage) => {
      await db.change(`update provisiond_base set checked = ${now}, damage = ? where hostid = ? and path = ?`, [
        damage?.slice(0, LONGEST_TEXT) ?? null,
        hostId,
        path,
      ]);
    },
    forgetBaseFile: async ({ hostId, path }) => {
      await db.change('delete from provisiond_base where hostid = ? and path = ?', [hostId, path]);
    },
  };
}

async function recordBaseFile(db: Database, file: BaseFile): Promise<void> {
  requireFit('the path of a base file', file.path, LONGEST_PATH);
  const columns = {
    imagename: file.imageName,
    format: file.format,
    virtualsize: file.virtualSizeBytes,
    size: file.sizeBytes,
    modified: file.modified,
    sha256: file.sha256 ?? NOT_READ_YET,
    source: file.source.slice(0, LONGEST_TEXT),
  };
  const names = Object.keys(columns);
  const overwrite = db.dialect.overwrite(['hostid', 'path'], [...names, 'recorded', 'checked', 'damage']);
  await db.change(
    `insert into provisiond_base (hostid, path, ${names.join(', ')}, recorded, checked, damage)
     values (?, ?, ${names.map(() => '?').join(', ')}, ${db.dialect.now}, null, null) ${overwrite}`,
    [file.hostId, file.path, ...Object.values(columns)],
  );
}

function toBaseFile(row: BaseRow): KnownBaseFile {
  const { hostid: hostId, imagename: imageName, virtualsize, size, modified, sha256, ...rest } = row;
  return {
    ...rest,
    sha256: sha256 === NOT_READ_YET ? null : sha256,
    hostId,
    imageName,
    virtualSizeBytes: Number(virtualsize),
    sizeBytes: Number(size),
    modified: Number(modified),
  };
}

/** The other members of the node's image library group; none where the library is switched off. */
async function imagePartners(db: Database, managementNodeId: number): Promise<ImagePartner[]> {
  const rows = await db.rows<Omit<ImagePartner, 'name'> & { hostname: string }>(
    `select p.id as managementNodeId, p.hostname, p.IPaddress as address, p.sshport as port,
       coalesce(m.imagelibuser, 'vclstaff') as user, coalesce(m.imagelibkey, '/etc/vcl/imagelib.key') as keyFile,
       p.installpath as installPath
     from managementnode m
     join resourcegroupmembers g on g.resourcegroupid = m.imagelibgroupid
     join resource r on r.id = g.resourceid
     join resourcetype t on t.id = r.resourcetypeid and t.name = 'managementnode'
     join managementnode p on p.id = r.subid and p.id <> m.id
     where m.id = ? and m.imagelibenable = 1 order by p.id`,
    [managementNodeId],
  );
  return rows.map(({ hostname, ...row }) => ({ ...row, name: shortName(hostname) }));
}

export function imageUseVerbs(db: Database): Pick<FrontEnd, 'listImageUse'> {
  return { listImageUse: () => listImageUse(db) };
}

/** All revisions, the deleted ones as well. */
async function listImageUse(db: Database): Promise<ImageUse[]> {
  const rows = await db.rows<
    Record<'imageName' | 'prettyName' | 'os', string> &
      Record<'id' | 'revision' | 'production' | 'deleted', number> &
      Counts
  >(
    `select v.imagename as imageName, i.prettyname as prettyName, v.production, i.id, v.revision, o.name as os,
       case when v.deleted = 1 or i.deleted = 1 then 1 else 0 end as deleted,
       (select count(*) from reservation r join request q on q.id = r.requestid
        where r.imagerevisionid = v.id and q.stateid not in (${stateIds('complete', 'failed')})) as requests,
       (select count(*) from computer c where c.deleted = 0 and (c.imagerevisionid = v.id
        or c.nextimageid = i.id and v.production = 1)) as computers,
       (select count(*) from provisiond_instance s join imagerevision sv on sv.id = s.imagerevisionid and sv.deleted = 0
        where s.masterrevisionid = v.id) as instances,
       (select count(*) from provisiond_instance s where s.imagerevisionid = v.id) as isInstance
     from imagerevision v join image i on i.id = v.imageid join OS o on o.id = i.OSid where i.id <> 1 order by i.prettyname, v.revision`,
  );
  // What an operation is about to make stands in its journal before it is made.
  const wishes = (
    await db.rows<{ arguments: string | null; journal: string | null }>(
      'select arguments, journal from provisiond_operation where ended is null',
    )
  ).map((row) => `${row.arguments ?? ''}${row.journal ?? ''}`);
  return rows.flatMap(({ id, revision, os, ...row }) => {
    const named = [row.imageName, row.prettyName].map((name) => JSON.stringify(name));
    const use = {
      ...row,
      operations: wishes.filter((wish) => named.some((name) => wish.includes(name))).length,
      production: row.production === 1,
      deleted: Number(row.deleted) === 1,
      requests: Number(row.requests),
      computers: Number(row.computers),
      instances: Number(row.instances),
      isInstance: Number(row.isInstance) > 0,
    };
    // What a capture has made that was given up before its rows came alive: they do not have its name yet.
    const captured = capturedImageName({ id, revision, prettyName: row.prettyName, os: { name: os } });
    return use.deleted && captured !== row.imageName ? [use, { ...use, imageName: captured }] : [use];
  });
}

type Counts = Record<'requests' | 'computers' | 'instances' | 'isInstance', number>;
