/** The inventory as lists. */
import type { HostFacts } from '../model/reservation';
import type { Database } from './database';
import type { ComputerSummary, FrontEnd, HostSummary, ImageSummary } from './front-end';
import { knownState } from './inbox-verbs';
import { HOST_COLUMNS } from './reservation-reader';
import { type HostRow, toHost } from './reservation-rows';

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
  const rows = await db.rows<HostRow & { computers: number }>(
    `select ${HOST_COLUMNS},
       (select count(*) from computer c where c.vmhostid = v.id and c.deleted = 0) as computers
     from vmhost v
     join computer h on h.id = v.computerid and h.deleted = 0
     join vmprofile p on p.id = v.vmprofileid
     left join imagetype dt on dt.id = p.datastoreimagetypeid
     left join imagetype rt on rt.id = p.repositoryimagetypeid
     left join provisiond_host way on way.computerid = h.id
     order by h.hostname`,
  );
  return rows.map((row) => toHostSummary(toHost(row)!, row.computers));
}

function toHostSummary(facts: HostFacts, computers: number): HostSummary {
  const { computerId, hostname: name, address, profile, connection } = facts;
  const { transport, port, user, hostKey, driver } = connection;
  return { computerId, name, address, transport, port, user, hostKey, driver, profile: profile.name, computers, facts };
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
