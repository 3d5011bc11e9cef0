/** Reads a request's reservations whole: one statement, frozen. */
import { chooseWanted } from '../model/volume';
import { plannedVolumesColumn } from './volume-plan-verbs';
import { ProvisiondError } from '../errors';
import type { Reservation } from '../model/reservation';
import { STATE_IDS } from '../model/states';
import type { Database } from './database';
import { connectMethodsColumn, chooseConnectMethods, type ConnectMethodRow } from './connect-methods';
import { type Dialect, rowsOfJson } from './dialect';
import { toReservation, type ReservationRow } from './reservation-rows';
import type { Claim, Store } from './store';

export function readerVerbs(db: Database): Pick<Store, 'readReservations' | 'variables'> {
  return {
    readReservations: (claim) => readReservations(db, claim),
    variables: async () => {
      const rows = await db.rows<{ name: string; value: string }>(
        "select name, value from variable where serialization = 'none'",
      );
      return new Map(rows.map(({ name, value }) => [name, String(value)]));
    },
  };
}

/** Of the host's computer `h`, its profile `p` with the image types `dt` and `rt`, and our `way` to it. */
export const HOST_COLUMNS = `h.id as hostComputerId, h.hostname as hostHostname, h.privateIPaddress as hostPrivateIp,
    p.id as profileId, p.profilename, p.datastorepath, p.vmpath, p.repositorypath, dt.name as datastoreFormat,
    rt.name as repositoryFormat, p.virtualswitch0, p.virtualswitch1, p.eth0generated, p.eth1generated,
    way.transport, way.port as hostPort, way.user as hostUser, way.hostkey as hostKey, way.driver, way.maxloads`;

/** Of a user `u` and its affiliation `a`. */
export const USER_COLUMNS = 'u.unityid, u.uid, u.email, u.usepublickeys, u.sshpublickeys, a.name as affiliation';

/**
 * A block allocation ordered its reloads hours ahead: its users get what is production by then. The row stays as it is
 * (VCL's new state does the same in its memory).
 */
const REVISION = `coalesce(case when q.stateid = ${STATE_IDS.pending} and q.laststateid = ${STATE_IDS.reload}
    and exists (select 1 from blockComputers b where b.computerid = r.computerid and b.reloadrequestid = q.id) then
    (select max(p.id) from imagerevision p where p.imageid = r.imageid and p.production = 1 and p.deleted = 0) end,
    r.imagerevisionid)`;

const reservationSql = (dialect: Dialect): string => `
  select r.id as reservationId, r.pw, r.remoteIP, r.managementnodeid,
    (select count(*) from reservation sibling where sibling.requestid = r.requestid) as reservationCount,
    (select min(sibling.id) from reservation sibling where sibling.requestid = r.requestid) as parentId,
    ${dialect.secondsBetween(dialect.now, 'q.start')} as secondsToStart,
    q.id as requestId, q.logid, q.forimaging, q.checkuser, q.preload, q.start, q.\`end\`,
    ${dialect.secondsBetween(dialect.now, 'q.`end`')} as secondsToEnd,
    i.id as imageId, i.ownerid as imageOwnerId, i.prettyname, i.minram, i.minprocnumber, i.project, i.architecture,
    i.reloadtime, v.id as revisionId, v.revision, v.imagename, v.datecreated,
    i.deleted as imageDeleted, v.deleted as revisionDeleted,
    meta.checkuser as metaCheckUser, meta.rootaccess, meta.sethostname,
    o.id as osId, o.name as osName, o.type as osType, o.installtype, o.minram as osMinRam, om.perlpackage as osPackage,
    c.id as computerId, c.stateid as computerStateId, c.hostname, c.type as computerType, c.IPaddress,
    c.privateIPaddress, c.eth0macaddress, c.eth1macaddress, c.currentimageid, c.imagerevisionid as currentRevisionId,
    c.nextimageid, pm.perlpackage as provisioningPackage, xm.perlpackage as predictivePackage, guest.hostkey as guestKey,
    exists (select 1 from nathostcomputermap nat where nat.computerid = c.id) as behindNat,
    coalesce(bootc.parameters, booti.parameters, bootp.parameters) as boot,
    ${HOST_COLUMNS},
    m.id as nodeId, m.hostname as nodeHostname, m.\`keys\` as nodeKeys, m.publicIPconfiguration, m.publicSubnetMask,
    m.publicDefaultGateway, m.publicDNSserver, m.NOT_STANDALONE,
    u.id as userId, ${USER_COLUMNS},
    s.id as serverId, s.name as serverName, s.fixedIP, s.fixedMAC, s.admingroupid, s.logingroupid,
    ${plannedVolumesColumn(dialect)},
    ${connectMethodsColumn(dialect)}
  from reservation r
  join request q on q.id = r.requestid
  join image i on i.id = r.imageid
  join imagerevision v on v.id = ${REVISION}
  left join imagemeta meta on meta.id = i.imagemetaid
  join OS o on o.id = i.OSid
  left join module om on om.id = o.moduleid
  join computer c on c.id = r.computerid
  join provisioning on provisioning.id = c.provisioningid
  join module pm on pm.id = provisioning.moduleid
  join module xm on xm.id = c.predictivemoduleid
  left join provisiond_guest guest on guest.computerid = c.id
  left join vmhost on vmhost.id = c.vmhostid
  left join computer h on h.id = vmhost.computerid
  left join vmprofile p on p.id = vmhost.vmprofileid
  left join imagetype dt on dt.id = p.datastoreimagetypeid
  left join imagetype rt on rt.id = p.repositoryimagetypeid
  left join provisiond_host way on way.computerid = h.id
  left join provisiond_boot bootc on bootc.kind = 'computer' and bootc.targetid = c.id
  left join provisiond_boot booti on booti.kind = 'image' and booti.targetid = i.id
  left join provisiond_boot bootp on bootp.kind = 'profile' and bootp.targetid = p.id
  join managementnode m on m.id = r.managementnodeid
  join user u on u.id = q.userid
  left join affiliation a on a.id = u.affiliationid
  left join serverrequest s on s.requestid = q.id
  where r.requestid = ?
  order by r.id`;

async function readReservations(db: Database, claim: Claim): Promise<Reservation[]> {
  const rows = await db.rows<ReservationRow & { plannedVolumes: unknown }>(reservationSql(db.dialect), [
    claim.requestId,
  ]);
  const ours = rows.filter((row) => row.managementnodeid === claim.lease.managementNodeId);
  if (ours.length === 0) {
    const message = `request ${claim.requestId} has no complete reservation on this management node`;
    throw new ProvisiondError('REQUEST_NOT_FOUND', message);
  }
  return ours.map((row) => {
    const methods = rowsOfJson<ConnectMethodRow>(row.connectMethods);
    const volumes = chooseWanted(rowsOfJson(row.plannedVolumes));
    return freeze({ ...toReservation(row, claim, chooseConnectMethods(methods, row)), volumes });
  });
}

/** To the last leaf: whoever holds it sees what was read. */
function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(freeze);
  }
  return value;
}
