/** What `provisiond check` asks of a VM host. */
import type { Host } from '../host/host';
import { hostFacts } from '../libvirt/host-facts';
import type { PluginRegistry } from '../plugins/registry';
import type { HostSummary } from '../store/front-end';
import type { App } from './app';
import { type Finding, Findings } from './findings';
import { type FolderSight, type HostSight, inspectHost } from './host-inspection';

/** Below this a base image will hardly fit. */
const LITTLE_SPACE_MIB = 5 * 1024;

export async function checkHost(app: App, { name, facts }: HostSummary, plugins: PluginRegistry): Promise<Finding[]> {
  const findings = new Findings(`host ${name}`);
  const { connection, profile } = facts;
  if (connection.transport === 'ssh') {
    if (connection.hostKey === null) {
      findings.problem('host key', 'no key is pinned', `provisiond host add ${name} shows its key and how to pin it`);
      return findings.all;
    }
    findings.ok('host key', connection.hostKey);
  }
  const host = app.hosts.get(facts);
  let sight: HostSight | undefined;
  await findings.examine('reachable', async () => {
    const folders = new Set([profile.datastorePath, profile.vmPath, app.config.xmlDirectory]);
    sight = await inspectHost(host, [...folders]);
    return connection.transport === 'local' ? 'local' : `${connection.user}@${facts.address}:${connection.port}`;
  });
  if (sight === undefined) return findings.all;
  checkTools(findings, sight);
  if (sight.virshVersion !== null && sight.libvirtFault === null) {
    await checkDriver(findings, host, connection.driver, plugins);
  }
  for (const network of new Set([profile.privateNetwork, profile.publicNetwork]))
    checkNetwork(findings, sight, network);
  for (const folder of sight.folders) checkFolder(findings, folder);
  if (profile.repositoryPath !== null) await checkRepository(app, findings, facts, profile.repositoryPath);
  return findings.all;
}

function checkTools(findings: Findings, sight: HostSight): void {
  if (sight.virshVersion === null) {
    findings.problem('virsh', 'there is no virsh', 'Install libvirt: apt-get install libvirt-daemon-system');
  } else if (sight.libvirtFault !== null) {
    findings.problem('virsh', sight.libvirtFault, 'Start libvirtd, and let the account use it (group libvirt)');
  } else findings.ok('virsh', sight.virshVersion);
  if (!sight.hasQemuImg) findings.problem('qemu-img', 'there is no qemu-img', 'apt-get install qemu-utils');
}

/** Which driver it would be, and whether KVM really runs something: the device file alone proves nothing. */
async function checkDriver(findings: Findings, host: Host, pinned: string | null, plugins: PluginRegistry) {
  await findings.examine('driver', async () => {
    const driver = await plugins.chooseDriver(await hostFacts(host), pinned);
    return pinned === null ? driver.name : `${driver.name}, pinned`;
  });
  await findings.examine('KVM', async () => {
    const facts = await hostFacts(host);
    if (await facts.kvmWorks()) return 'works';
    const remedy = 'Switch virtualisation on in the firmware and load kvm_intel or kvm_amd; guests are slow without';
    findings.warning(
      'KVM',
      `not there or not working; domain types: ${facts.domainTypes.join(', ') || 'none'}`,
      remedy,
    );
    return undefined;
  });
}

function checkNetwork(findings: Findings, sight: HostSight, name: string): void {
  const check = `network ${name}`;
  if (sight.activeNetworks.includes(name)) findings.ok(check, 'libvirt network, active');
  else if (sight.networks.includes(name)) {
    findings.problem(check, 'is not started', `virsh net-start ${name}; virsh net-autostart ${name}`);
  } else if (sight.bridges.includes(name)) findings.ok(check, 'bridge');
  else {
    const there = [...sight.networks, ...sight.bridges].join(', ') || 'none';
    findings.problem(
      check,
      `there is neither a libvirt network nor a bridge of that name; there are: ${there}`,
      RENAME,
    );
  }
}

const RENAME = 'Name one that is there: provisiond host add HOST --private-network NAME --public-network NAME';

function checkFolder(findings: Findings, { path, isThere, isWritable, freeMiB }: FolderSight): void {
  const check = `folder ${path}`;
  const space = freeMiB === null ? '' : `, ${freeMiB} MiB free`;
  if (!isWritable)
    findings.problem(check, 'cannot be written', 'Let the account that provisiond logs in with write it');
  else if (freeMiB !== null && freeMiB < LITTLE_SPACE_MIB && !path.startsWith('/tmp/')) {
    findings.warning(check, `writable${space}`, 'Make room before images are copied there');
  } else findings.ok(check, (isThere ? 'writable' : 'will be made') + space);
}

async function checkRepository(app: App, findings: Findings, facts: HostSummary['facts'], path: string): Promise<void> {
  await findings.examine('repository', async () => {
    const { exitCode } = await app.hosts.get(facts).run(['test', '-r', path], { expect: [0, 1] });
    if (exitCode === 0) return path;
    findings.problem('repository', `${path} is not there or cannot be read`, 'Mount it, or leave the host without one');
    return undefined;
  });
}
