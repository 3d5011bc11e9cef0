/** Rows that several entries of the inventory share, and the ids that VCL gives them. */
import { ProvisiondError } from '../errors';
import type { Queryable } from './database';

/** Ids of VCL's `provisioning` table. */
export const PROVISIONING = { libvirt: 9, none: 10 } as const;

/** Ids of VCL's predictive modules: unload (Level_2), or load the same image again (Level_0). */
export const PREDICTIVE_MODULES = { unload: 31, reload: 8 } as const;

/** Refuses what the database would silently cut. @throws REQUEST_INVALID */
export function requireFit(what: string, value: string, length: number): void {
  if (value.length > length) {
    throw new ProvisiondError('REQUEST_INVALID', `${what} has ${value.length} characters, ${length} fit`);
  }
}

/** Makes the thing a resource and puts it into those of the groups that the site has. */
export async function joinGroups(tx: Queryable, type: string, subid: number, groups: readonly string[]): Promise<void> {
  const resource =
    'select r.id from resource r join resourcetype t on t.id = r.resourcetypeid where t.name = ? and r.subid = ?';
  if (!(await tx.one(resource, [type, subid]))) {
    await tx.change('insert into resource (resourcetypeid, subid) select id, ? from resourcetype where name = ?', [
      subid,
      type,
    ]);
  }
  const places = groups.map(() => '?').join(', ');
  await tx.change(
    `insert into resourcegroupmembers (resourceid, resourcegroupid)
     select r.id, g.id from resource r join resourcetype t on t.id = r.resourcetypeid and t.name = ?
       join resourcegroup g on g.resourcetypeid = t.id and g.name in (${places})
     where r.subid = ? and not exists (select 1 from resourcegroupmembers m
       where m.resourceid = r.id and m.resourcegroupid = g.id)`,
    [type, ...groups, subid],
  );
}

/** By full name or its first label. @throws NOT_FOUND */
export async function findHost(tx: Queryable, name: string): Promise<{ computerId: number; vmHostId: number }> {
  const row = await tx.one<{ computerId: number; vmHostId: number }>(
    `select c.id as computerId, v.id as vmHostId from computer c join vmhost v on v.computerid = c.id
     where c.deleted = 0 and (c.hostname = ? or c.hostname like ? escape '!') order by c.hostname = ? desc, v.id`,
    [name, `${name.replace(/[!%_]/g, '!$&')}.%`, name],
  );
  if (!row) throw new ProvisiondError('NOT_FOUND', `there is no VM host '${name}'`);
  return row;
}
