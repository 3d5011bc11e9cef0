/** VMs: the computers that operations are for, and what is known of their power. */
import { whyUndeployed } from '../model/instance';
import { CRASH_POLICIES, NOT_FOR_BASES, WHY_NOT_FOR_BASES } from '../model/vm-rules';
import { type ExitReason, POWER_STATES } from '../model/vm-states';
import { shortName } from '../model/names';
import type { Database, Queryable, Value } from './database';
import type { Dialect } from './dialect';
import { knownState } from './inbox-verbs';
import { assertLease, leaseHeld } from './lease-verbs';
import type { OperationStore, VmComputer, VmRecord, VmWrite } from './operation-store';
import { managedBy, PENDING, tellVmEvents, WORKING_STATES } from './operation-verbs';
import { HOST_COLUMNS } from './reservation-reader';
import { type HostRow, toHost } from './reservation-rows';
import type { Lease } from './store';
import { fit } from './story-verbs';

export function vmVerbs(db: Database): Pick<OperationStore, 'vmComputer' | 'vmComputers' | 'writeVm'> {
  return {
    vmComputer: async (computerId) => (await readComputers(db, 'c.id = ?', [computerId]))[0] ?? null,
    vmComputers: (node, hostId) =>
      hostId === undefined
        ? readComputers(db, `h.id is not null and ${managedBy('?', 'c.id')}`, [node])
        : readComputers(db, `h.id = ? and ${managedBy('?', 'c.id')}`, [hostId, node]),
    writeVm: (lease, computerId, vm, change) =>
      change === undefined
        ? writeVm(db, lease, computerId, vm)
        : db.transaction(async (tx) => {
            await writeVm(tx, lease, computerId, vm);
            await tellVmEvents(tx, [{ ...change, computerId, kind: 'state' }]);
          }),
  };
}

interface KnownRow {
  vmHost: number | null;
  domain: string | null;
  uuid: string | null;
  powerstate: string | null;
  lastpowerstate: string | null;
  reason: string;
  fault: string | null;
  guestsleeping: number;
  lastexit: string | null;
  secondsUp: number | null;
  allowed: string | null;
}

interface ComputerRow extends HostRow, KnownRow {
  id: number;
  hostname: string;
  stateid: number;
  aftercrash: string | null;
  /** The operation that made a base of the domain that the computer has. */
  base: number | null;
  /** The appliance that it is an undeployed VM of. */
  undeployed: string | null;
}

/** Of a VM's row `vm`. */
export const vmColumns = ({ clock }: Dialect): string =>
  `vm.hostcomputerid as vmHost, vm.domain, vm.uuid, vm.powerstate, vm.lastpowerstate, vm.reason, vm.fault,
   vm.guestsleeping, vm.lastexit, ${clock} - vm.startedat as secondsUp, vm.allowed`;

async function readComputers(db: Database, condition: string, bindings: readonly Value[]): Promise<VmComputer[]> {
  const rows = await db.rows<ComputerRow>(
    `select c.id, c.hostname, c.stateid, policy.aftercrash, base.operationid as base, a.name as undeployed, ${vmColumns(db.dialect)}, ${HOST_COLUMNS}
     from computer c
     left join vmhost v on v.id = c.vmhostid
     left join computer h on h.id = v.computerid
     left join vmprofile p on p.id = v.vmprofileid
     left join imagetype dt on dt.id = p.datastoreimagetypeid
     left join imagetype rt on rt.id = p.repositoryimagetypeid
     left join provisiond_host way on way.computerid = h.id
     left join provisiond_vm vm on vm.computerid = c.id
     left join provisiond_vm_base base on base.computerid = c.id and (vm.uuid is null or vm.uuid = base.uuid)
     left join provisiond_appliance_vm am on am.computerid = c.id and am.undeployed is not null
       and (vm.uuid is null or vm.uuid = am.undeployed)
     left join provisiond_appliance a on a.id = am.applianceid
     left join provisiond_vm_policy policy on policy.computerid = c.id
     where c.deleted = 0 and c.type = 'virtualmachine' and ${condition} order by c.id`,
    bindings,
  );
  if (rows.length === 0) return [];
  const ids = rows.map(({ id }) => id);
  const places = ids.map(() => '?').join(', ');
  const blocks = await db.rows<{ computerid: number; operation: string; reason: string }>(
    `select computerid, operation, reason from provisiond_vm_block where computerid in (${places})`,
    ids,
  );
  const inHand = await db.rows<{ computerid: number; requestid: number; laststateid: number }>(
    `select r.computerid, q.id as requestid, q.laststateid from request q join reservation r on r.requestid = q.id
     where q.stateid = ${PENDING} and q.laststateid in (${WORKING_STATES}) and r.computerid in (${places})`,
    ids,
  );
  return rows.map((row) => {
    const pending = inHand.find(({ computerid }) => computerid === row.id);
    const own = blocks.filter(({ computerid }) => computerid === row.id);
    return {
      id: row.id,
      hostname: row.hostname,
      shortName: shortName(row.hostname),
      state: knownState(row.stateid, `computer '${row.hostname}'`),
      host: toHost(row),
      blocked: new Map([
        ...(row.base === null ? [] : NOT_FOR_BASES.map((kind) => [kind, WHY_NOT_FOR_BASES] as const)),
        ...(row.undeployed === null ? [] : [['start', whyUndeployed(row.undeployed)] as const]),
        ...own.map(({ operation, reason }) => [operation, reason] as const),
      ]),
      afterCrash: CRASH_POLICIES.find((policy) => policy === row.aftercrash) ?? 'preserve',
      inHand: pending
        ? { requestId: pending.requestid, state: knownState(pending.laststateid, `request ${pending.requestid}`) }
        : null,
      known: toRecord(row),
    };
  });
}

/** @returns null where nothing is known yet */
export function toRecord(row: KnownRow): VmRecord | null {
  if (row.powerstate === null) return null;
  const known = (state: string | null) => POWER_STATES.find((name) => name === state);
  return {
    hostComputerId: row.vmHost,
    domain: row.domain,
    uuid: row.uuid,
    powerState: known(row.powerstate) ?? 'Unknown',
    lastPowerState: known(row.lastpowerstate) ?? null,
    reason: row.reason,
    fault: row.fault,
    guestSleeping: row.guestsleeping === 1,
    lastExit: row.lastexit as ExitReason | null,
    secondsUp: row.secondsUp,
    allowed: readNames(row.allowed),
  };
}

function readNames(json: string | null): string[] {
  try {
    const names: unknown = JSON.parse(json ?? '[]');
    return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
  } catch {
    return [];
  }
}

async function writeVm(db: Queryable, lease: Lease, computerId: number, vm: VmWrite): Promise<void> {
  const { now, clock, overwrite } = db.dialect;
  const held = leaseHeld(db.dialect, lease);
  const values: Record<string, Value> = {
    hostcomputerid: vm.hostComputerId,
    domain: vm.domain,
    uuid: vm.uuid,
    powerstate: vm.powerState,
    lastpowerstate: vm.lastPowerState,
    reason: fit(vm.reason, 255),
    fault: vm.fault,
    guestsleeping: vm.guestSleeping ? 1 : 0,
    lastexit: vm.lastExit,
    allowed: JSON.stringify(vm.allowed),
  };
  const computed: Record<string, string> = {
    changed: now,
    ...(vm.up !== undefined && { startedat: vm.up === 'started' ? clock : 'null' }),
    ...(vm.exited && { lastexittime: now }),
  };
  const columns = [...Object.keys(values), ...Object.keys(computed)];
  const selected = ['?', ...Object.keys(values).map(() => '?'), ...Object.values(computed)];
  const names = ['computerid', ...columns];
  const changed = await db.change(
    `insert into provisiond_vm (${names.join(', ')})
     select ${names.map((name) => `it.${name}`).join(', ')} from
       (select ${selected.map((value, index) => `${value} as ${names[index]}`).join(', ')}) it
     where ${held.sql} ${overwrite(['computerid'], columns)}`,
    [computerId, ...Object.values(values), ...held.bindings],
  );
  if (changed === 0) await assertLease(db, lease);
}
