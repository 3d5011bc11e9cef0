/** Which computer a reservation gets, by the rules of VCL's front end (`isAvailable`). */
import { ProvisiondError } from '../errors';
import { STATE_IDS, stateName } from '../model/states';
import type { Queryable, Value } from './database';
import { stateIds } from './poll-sql';

export interface Wish {
  readonly imageId: number;
  readonly revisionId: number;
  readonly imageName: string;
  readonly start: string;
  readonly end: string;
  /** Whether it begins at once: then computers in use are no choice. */
  readonly now: boolean;
  readonly computer?: string;
}

export interface Allocation {
  readonly computerId: number;
  readonly hostComputerId: number;
  readonly managementNodeId: number;
  readonly predictiveModuleId: number;
}

/** Between two reservations of one computer, for its reload. */
const GAP_SECONDS = 15 * 60;
/** How long the front end's allocation lock on a computer holds. */
const SEMAPHORE_SECONDS = 45;

/** States in which a computer is not given out; the second list only when it is wanted at once. */
const NEVER = ['maintenance', 'vmhostinuse', 'hpc', 'failed'];
const NOT_AT_ONCE = ['timeout', 'inuse'];

interface Candidate {
  id: number;
  hostname: string;
  stateid: number;
  hostComputerId: number | null;
  hostHostname: string | null;
  hostStateId: number | null;
  scheduleid: number | null;
  predictivemoduleid: number;
  ramShort: number;
  cpusShort: number;
  speedShort: number;
  networkShort: number;
  otherPlatform: number;
  notInstallable: number;
  hostRamShort: number;
  notMapped: number;
  rivalId: number | null;
  semaphore: number;
  managementNodeId: number | null;
}

/**
 * Reserves a computer for a moment: a `semaphore` row that VCL's front end respects too.
 * @throws CONFLICT, with why each computer was not free in the message and in `details.reasons`
 */
export async function allocate(tx: Queryable, wish: Wish, procId: string): Promise<Allocation> {
  const { now, addSeconds } = tx.dialect;
  // The first statement writes, so that on SQLite no other allocation runs beside this one.
  await tx.change(`delete from semaphore where expires <= ${now}`);
  // On MySQL the rows of the computers are the door.
  await tx.rows(`select id from computer where type = 'virtualmachine' and deleted = 0${tx.dialect.updateLock}`);
  const candidates = await tx.rows<Candidate>(candidatesSql(tx), candidateBindings(wish));
  const reasons = new Map(candidates.map((candidate) => [candidate, whyNot(candidate, wish)]));
  const chosen = candidates.find((candidate) => reasons.get(candidate) === null);
  if (!chosen)
    throw nothingFree(
      wish,
      [...reasons].map(([{ hostname }, reason]) => `${hostname}: ${reason}`),
    );
  await tx.change(
    `insert into semaphore (computerid, imageid, imagerevisionid, managementnodeid, expires, procid)
     values (?, ?, ?, ?, ${addSeconds(now, String(SEMAPHORE_SECONDS))}, ?)`,
    [chosen.id, wish.imageId, wish.revisionId, chosen.managementNodeId, procId],
  );
  return {
    computerId: chosen.id,
    hostComputerId: chosen.hostComputerId!,
    managementNodeId: chosen.managementNodeId!,
    predictiveModuleId: chosen.predictivemoduleid,
  };
}

function nothingFree(wish: Wish, reasons: string[]): ProvisiondError {
  if (reasons.length > 0) {
    const message = `no computer is free for image '${wish.imageName}' from ${wish.start} to ${wish.end}`;
    return new ProvisiondError('CONFLICT', `${message}: ${reasons.join('; ')}`, { details: { reasons } });
  }
  return wish.computer === undefined
    ? new ProvisiondError('CONFLICT', 'there is no computer at all', { hint: 'Add one: provisiond computer add' })
    : new ProvisiondError('NOT_FOUND', `there is no computer '${wish.computer}'`);
}

/** @returns null: it is free */
function whyNot(candidate: Candidate, wish: Wish): string | null {
  const state = stateName(candidate.stateid) ?? `state ${candidate.stateid}`;
  if (NEVER.includes(state) || (wish.now && NOT_AT_ONCE.includes(state))) return `it is ${state}`;
  if (candidate.hostComputerId === null) return 'it is assigned to no VM host';
  if (candidate.hostStateId !== STATE_IDS.vmhostinuse) {
    return `its host ${candidate.hostHostname} is ${stateName(candidate.hostStateId ?? 0) ?? 'gone'}, not vmhostinuse`;
  }
  if (candidate.rivalId !== null) return `request ${candidate.rivalId} has it at that time`;
  if (candidate.semaphore) return 'it is being given to somebody else right now';
  if (candidate.ramShort) return 'it has too little memory';
  if (candidate.cpusShort) return 'it has too few processors';
  if (candidate.speedShort) return 'its processors are too slow';
  if (candidate.networkShort) return 'its network is too slow';
  if (candidate.hostRamShort) return `its host ${candidate.hostHostname} has too little memory left`;
  if (candidate.otherPlatform) return 'it is of another platform';
  if (candidate.notInstallable) return "its provisioning cannot load the image's kind of OS";
  if (candidate.scheduleid === null) return 'it has no schedule';
  if (candidate.notMapped) return "none of its groups is mapped to one of the image's";
  if (candidate.managementNodeId === null) return 'no management node in service is mapped to its groups';
  return null;
}

function candidateBindings({ imageId, revisionId, start, end, computer }: Wish): Value[] {
  const named = computer === undefined ? [] : [computer, `${computer.replace(/[!%_]/g, '!$&')}.%`];
  return [end, start, imageId, ...(named.length > 0 ? named : [null, null]), computer ?? null, revisionId];
}

/** The groups that a resource is in. @param subid an expression: the id of the thing itself */
export const groupsOf = (type: 'image' | 'computer' | 'managementnode', subid: string): string =>
  `select gm.resourcegroupid from resource res join resourcegroupmembers gm on gm.resourceid = res.id
     join resourcetype kind on kind.id = res.resourcetypeid and kind.name = '${type}' where res.subid = ${subid}`;

/** Those that have the revision already come first. */
function candidatesSql({ dialect }: Queryable): string {
  const { now, addSeconds } = dialect;
  return `
    select c.id, c.hostname, c.stateid, h.id as hostComputerId, h.hostname as hostHostname, h.stateid as hostStateId,
      c.scheduleid, c.predictivemoduleid, c.RAM < i.minram as ramShort, c.procnumber < i.minprocnumber as cpusShort,
      c.procspeed < i.minprocspeed as speedShort, c.network < i.minnetwork as networkShort,
      c.platformid <> i.platformid as otherPlatform,
      not exists (select 1 from provisioningOSinstalltype can join OSinstalltype kind on kind.id = can.OSinstalltypeid
        where can.provisioningid = c.provisioningid and kind.name = o.installtype) as notInstallable,
      i.minram + coalesce((select sum(loaded.minram) from computer beside join image loaded on
        loaded.id = beside.currentimageid where beside.vmhostid = c.vmhostid and beside.id <> c.id
        and beside.deleted = 0), 0) >= h.RAM as hostRamShort,
      not exists (select 1 from resourcemap map where map.resourcegroupid1 in (${groupsOf('image', 'i.id')})
        and map.resourcegroupid2 in (${groupsOf('computer', 'c.id')})) as notMapped,
      (select min(q.id) from reservation r join request q on q.id = r.requestid where r.computerid = c.id
        and q.stateid not in (${stateIds('failed', 'complete', 'reload')})
        and not (q.stateid = ${STATE_IDS.pending} and q.laststateid = ${STATE_IDS.reload})
        and q.start < ${addSeconds('?', String(GAP_SECONDS))}
        and q.\`end\` > ${addSeconds('?', String(-GAP_SECONDS))}) as rivalId,
      exists (select 1 from semaphore s where s.computerid = c.id and s.expires > ${now}) as semaphore,
      (select m.id from managementnode m where m.stateid not in (${stateIds('maintenance', 'deleted')})
        and exists (select 1 from resourcemap map where map.resourcegroupid1 in (${groupsOf('managementnode', 'm.id')})
          and map.resourcegroupid2 in (${groupsOf('computer', 'c.id')}))
        order by m.lastcheckin desc, m.id limit 1) as managementNodeId
    from computer c
    join image i on i.id = ?
    join OS o on o.id = i.OSid
    left join vmhost v on v.id = c.vmhostid
    left join computer h on h.id = v.computerid
    where c.type = 'virtualmachine' and c.deleted = 0 and (c.hostname = ? or c.hostname like ? escape '!' or ? is null)
    order by c.imagerevisionid = ? desc, c.id`;
}
