/** Snapshots of a computer's domain. */
import type { HostedComputer } from './hosted-computer';
import type { SeenDomain } from './look';
import type { SnapshotInfo } from './provisioner';
import { parseSnapshots, virshError } from './virsh';

/** @throws LIBVIRT_FAILED, also where the hypervisor's driver has no snapshots (Xen) */
export async function listSnapshots(computer: HostedComputer, domain: SeenDomain): Promise<SnapshotInfo[]> {
  const result = await virsh(computer, domain, 'listing the snapshots', ['snapshot-list', domain.uuid]);
  return parseSnapshots(result.stdout);
}

/** @returns the name that it was given: `vcl-` and the time, unique to the millisecond */
export async function createSnapshot(computer: HostedComputer, domain: SeenDomain, description: string) {
  const name = `vcl-${new Date().toISOString().replace(/[-:]/g, '')}`;
  const argv = ['snapshot-create-as', '--domain', domain.uuid, '--name', name, '--description', description];
  await virsh(computer, domain, 'making a snapshot', [...argv, '--atomic']);
  return name;
}

/** Deletes that one; its children stay, attached to its parent. */
export async function deleteSnapshot(computer: HostedComputer, domain: SeenDomain, snapshot: string): Promise<void> {
  const argv = ['snapshot-delete', '--domain', domain.uuid, '--snapshotname', snapshot];
  await virsh(computer, domain, `deleting snapshot ${snapshot}`, argv);
}

async function virsh(computer: HostedComputer, domain: SeenDomain, doing: string, argv: readonly string[]) {
  // A snapshot of a running guest carries its memory.
  const { imageTimeoutMs: timeoutMs } = computer.settings;
  const result = await computer.run(['virsh', '-q', ...argv], { expect: 'any', timeoutMs });
  if (result.exitCode === 0) return result;
  throw virshError('LIBVIRT_FAILED', `${doing} of domain ${domain.name} on host ${computer.host.name}`, result);
}
