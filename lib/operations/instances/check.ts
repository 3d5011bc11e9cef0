/** What stands against an operation on an appliance: each VM is asked before anything is done with the first. */
import { ProvisiondError } from '../../errors';
import { powerOf, type VmSight } from '../../libvirt/vm-sight';
import { type Condition, conditionOf } from '../../model/vm-states';
import { type ApplianceJob, requireDomain, type VmJob } from '../kind';
import { refuseSnapshots } from '../volumes/present';

/** What a VM may be in to be captured, or to be undeployed: nothing of it is only in memory that would be lost unasked. */
const CAPTURABLE: readonly Condition[] = ['Halted', 'Running', 'Paused'];

/** @throws OPERATION_INVALID */
export function requireMembers({ appliance, members }: ApplianceJob): void {
  if (members.length > 0) return;
  const hint = `provisiond appliance add ${appliance.name} VM`;
  throw new ProvisiondError('OPERATION_INVALID', `appliance '${appliance.name}' has no VMs`, { hint });
}

/** Members by their names; left out: all. @throws OPERATION_INVALID for none, NOT_FOUND for a VM that is not in it */
export function chooseMembers({ appliance, members }: ApplianceJob, names: readonly string[] | undefined): VmJob[] {
  if (names === undefined) return [...members];
  if (names.length === 0) throw new ProvisiondError('OPERATION_INVALID', 'no VM was selected');
  return [...new Set(names)].map((name) => {
    const found = members.find(({ computer }) => computer.shortName === name || computer.hostname === name);
    if (found) return found;
    const there = members.map(({ computer }) => computer.shortName).join(', ');
    throw new ProvisiondError('NOT_FOUND', `'${name}' is no VM of appliance '${appliance.name}'; it has ${there}`);
  });
}

export function isDeployed({ appliance }: ApplianceJob, { computer }: VmJob): boolean {
  return appliance.members.some((one) => one.computerId === computer.id && one.undeployed === null);
}

/** In the order of the Xen API: blocked, power state, other operations; then what only this operation minds. */
export async function requireFit(member: VmJob, kind: string, allowed = CAPTURABLE): Promise<VmSight> {
  const { shortName, blocked, inHand } = member.computer;
  const what = `${kind} of ${shortName}`;
  const sight = await requireDomain(member);
  const reason = blocked.get(kind);
  if (reason !== undefined) {
    throw new ProvisiondError('OPERATION_BLOCKED', `${what}: it is blocked: ${reason}`, { details: { reason } });
  }
  const actual = conditionOf(powerOf(sight));
  if (!allowed.includes(actual)) {
    const message = `${what}: it is ${actual}, and '${kind}' is for VMs that are ${allowed.join(' or ')}`;
    throw new ProvisiondError('VM_BAD_POWER_STATE', message, {
      details: { vm: shortName, expected: allowed, actual },
    });
  }
  requireAlone(member, what, sight);
  if (inHand) {
    const message = `${what}: request ${inHand.requestId} (${inHand.state}) is at work on the computer`;
    throw new ProvisiondError('OTHER_OPERATION_IN_PROGRESS', message);
  }
  return sight;
}

function requireAlone(member: VmJob, what: string, { words }: VmSight): void {
  const rival = member.underWay()[0];
  const busy = rival
    ? `operation ${rival.id} (${rival.kind}) is under way`
    : words.jobActive && 'a job of libvirt is at work on its domain';
  if (!busy) return;
  throw new ProvisiondError('OTHER_OPERATION_IN_PROGRESS', `${what}: ${busy}`, {
    details: { vm: member.computer.shortName, ...(rival && { operation: rival.id }) },
  });
}

/** Its disks are about to be replaced. @throws CONFLICT, OPERATION_BLOCKED for a base that others may stand on */
export async function requireReplaceable(member: VmJob, sight: VmSight): Promise<void> {
  refuseSnapshots(member, sight);
  const bases = await member.store.vmBases();
  if (!bases.some(({ computerId, uuid }) => computerId === member.computer.id && uuid === sight.uuid)) return;
  const message = `${member.computer.shortName} is a base, and others may stand on its disks`;
  throw new ProvisiondError('OPERATION_BLOCKED', message, {
    hint: `provisiond vm remove_base ${member.computer.shortName} makes a VM of it again`,
  });
}

/** @throws CONFLICT naming the VMs whose changes would be lost without anybody having said that they may be */
export function requireAcknowledged(job: ApplianceJob, lost: readonly VmJob[], acknowledged: readonly string[]): void {
  chooseMembers(job, acknowledged.length === 0 ? undefined : acknowledged);
  const names = lost.map(({ computer }) => computer.shortName);
  const open = lost.filter(
    ({ computer }) => !acknowledged.includes(computer.shortName) && !acknowledged.includes(computer.hostname),
  );
  if (open.length === 0) return;
  const what = open.map(({ computer }) => computer.shortName).join(', ');
  throw new ProvisiondError('CONFLICT', `undeploying the appliance discards all changes of ${what}`, {
    blame: 'request',
    hint: `Capture them as well, or say that they may go: --acknowledge-discard ${names.join(',')}`,
    details: { discards: names },
  });
}
