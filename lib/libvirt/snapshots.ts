/** Snapshots of a computer's domain. */
import type { HostedComputer } from './hosted-computer';
import type { SeenDomain } from './look';
import type { SnapshotInfo } from './provisioner';
import { parseSnapshots, virshError } from './virsh';

/** `$@` a virsh command, which takes the lock of the fence with it: a snapshot is not made on a newer load's domain. */
const CHANGE = `
set -u
fence
exec virsh -q "$@"
`;

/** @throws LIBVIRT_FAILED, also where the hypervisor's driver has no snapshots (Xen) */
export async function listSnapshots(computer: HostedComputer, domain: SeenDomain): Promise<SnapshotInfo[]> {
  const result = await computer.run(['virsh', '-q', 'snapshot-list', domain.uuid], { expect: 'any' });
  if (result.exitCode === 0) return parseSnapshots(result.stdout);
  throw virshError('LIBVIRT_FAILED', doingTo(computer, domain, 'listing the snapshots'), result);
}

/** @returns the name that it was given: `vcl-` and the time, unique to the millisecond */
export async function createSnapshot(computer: HostedComputer, domain: SeenDomain, description: string) {
  const name = `vcl-${new Date().toISOString().replace(/[-:]/g, '')}`;
  const argv = ['snapshot-create-as', '--domain', domain.uuid, '--name', name, '--description', description];
  await change(computer, domain, 'making a snapshot', [...argv, '--atomic']);
  return name;
}

/** Deletes that one; its children stay, attached to its parent. */
export async function deleteSnapshot(computer: HostedComputer, domain: SeenDomain, snapshot: string): Promise<void> {
  const argv = ['snapshot-delete', '--domain', domain.uuid, '--snapshotname', snapshot];
  await change(computer, domain, `deleting snapshot ${snapshot}`, argv);
}

async function change(computer: HostedComputer, domain: SeenDomain, what: string, argv: readonly string[]) {
  // A snapshot of a running guest carries its memory.
  const { imageTimeoutMs: timeoutMs } = computer.settings;
  const doing = doingTo(computer, domain, what);
  const result = await computer.runScript(CHANGE, argv, doing, { timeoutMs });
  if (result.exitCode !== 0) throw virshError('LIBVIRT_FAILED', doing, result);
}

function doingTo({ host }: HostedComputer, { name }: SeenDomain, what: string): string {
  return `${what} of domain ${name} on host ${host.name}`;
}
