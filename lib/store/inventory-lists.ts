/** The inventory as lists. */
import type { Database } from './database';
import type { ComputerSummary, FrontEnd, HostSummary, ImageSummary } from './front-end';
import { knownState } from './inbox-verbs';

export function inventoryListVerbs(db: Database): Pick<FrontEnd, 'listComputers' | 'listHosts' | 'listImages'> {
  return {
    listComputers: () => listComputers(db),
    listHosts: () => listHosts(db),
    listImages: () => listImages(db),
  };
}

async function listComputers(db: Database): Promise<ComputerSummary[]> {
  const rows = await db.rows<Omit<ComputerSummary, 'state'> & { stateid: number }>(
    `select c.id, c.hostname as name, c.stateid, h.hostname as host, i.prettyname as image,
       c.privateIPaddress as privateIp, c.IPaddress as publicIp
     from computer c
     join image i on i.id = c.currentimageid
     left join vmhost v on v.id = c.vmhostid
     left join computer h on h.id = v.computerid
     where c.deleted = 0 and c.type = 'virtualmachine' order by c.hostname`,
  );
  return rows.map(({ stateid, ...row }) => ({ ...row, state: knownState(stateid, `computer '${row.name}'`) }));
}

async function listHosts(db: Database): Promise<HostSummary[]> {
  return db.rows<HostSummary>(
    `select h.id as computerId, h.hostname as name, coalesce(h.privateIPaddress, h.hostname) as address,
       coalesce(w.transport, 'ssh') as transport, coalesce(w.port, 22) as port, coalesce(w.user, 'root') as user,
       w.hostkey as hostKey, w.driver, p.profilename as profile,
       (select count(*) from computer c where c.vmhostid = v.id and c.deleted = 0) as computers
     from vmhost v
     join computer h on h.id = v.computerid and h.deleted = 0
     join vmprofile p on p.id = v.vmprofileid
     left join provisiond_host w on w.computerid = h.id
     order by h.hostname`,
  );
}

async function listImages(db: Database): Promise<ImageSummary[]> {
  const rows = await db.rows<Omit<ImageSummary, 'production'> & { production: number }>(
    `select i.id, v.id as revisionId, v.imagename as name, i.prettyname as prettyName, o.name as os,
       i.size as sizeMiB, v.production
     from image i
     join imagerevision v on v.imageid = i.id and v.deleted = 0
     join OS o on o.id = i.OSid
     where i.deleted = 0 and i.id <> 1 order by i.prettyname, v.revision`,
  );
  return rows.map((row) => ({ ...row, production: row.production === 1 }));
}
