/** What `provisiond check` asks of a VM host. */
import type { Host } from '../host/host';
import { hostFacts } from '../libvirt/host-facts';
import type { PluginRegistry } from '../plugins/registry';
import type { HostFacts } from '../model/reservation';
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
  checkTools(findings, sight, connection);
  const libvirtAnswers = sight.virshVersion !== null && sight.libvirtFault === null;
  if (libvirtAnswers) await checkDriver(findings, host, connection.driver, plugins);
  for (const network of new Set([profile.privateNetwork, profile.publicNetwork])) {
    if (libvirtAnswers || sight.bridges.includes(network)) checkNetwork(findings, sight, network);
    else findings.unknown(`network ${network}`, 'libvirt does not answer', `virsh net-info ${network}   # on the host`);
  }
  for (const folder of sight.folders) checkFolder(findings, folder, connection);
  if (profile.repositoryPath !== null) await checkRepository(app, findings, facts, profile.repositoryPath);
  return findings.all;
}

function checkTools(findings: Findings, sight: HostSight, { transport, user }: HostFacts['connection']): void {
  const account = transport === 'local' ? 'root' : user;
  if (sight.virshVersion === null) {
    findings.problem('virsh', 'there is no virsh', 'apt-get install libvirt-daemon-system   # on the host');
  } else if (sight.libvirtFault !== null) {
    const mend = `systemctl enable --now libvirtd && usermod -aG libvirt ${account}   # on the host`;
    findings.problem('virsh', sight.libvirtFault, mend);
  } else findings.ok('virsh', sight.virshVersion);
  if (!sight.hasQemuImg)
    findings.problem('qemu-img', 'there is no qemu-img', 'apt-get install qemu-utils   # on the host');
  else findings.ok('qemu-img', 'is there');
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
    const remedy =
      'modprobe kvm_intel || modprobe kvm_amd   # on the host, with virtualisation on in its firmware; guests are slow without';
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

const RENAME = 'provisiond host add HOST --private-network NAME --public-network NAME   # with one that is there';

function checkFolder(
  findings: Findings,
  { path, isThere, isWritable, freeMiB }: FolderSight,
  { transport, user }: HostFacts['connection'],
): void {
  const check = `folder ${path}`;
  const space = freeMiB === null ? '' : `, ${freeMiB} MiB free`;
  const account = transport === 'local' ? 'root' : user;
  if (!isWritable) {
    findings.problem(check, 'cannot be written', `install -d -o ${account} -m 2775 ${path}   # on the host`);
  } else if (freeMiB === null) {
    findings.unknown(check, 'writable; df does not tell how much is free', `df -h ${path}   # on the host`);
  } else if (freeMiB < LITTLE_SPACE_MIB && !path.startsWith('/tmp/')) {
    findings.warning(check, `writable${space}`, `provisiond image gc   # or more room for ${path} on the host`);
  } else findings.ok(check, (isThere ? 'writable' : 'will be made') + space);
}

async function checkRepository(app: App, findings: Findings, facts: HostSummary['facts'], path: string): Promise<void> {
  await findings.examine('repository', async () => {
    const { exitCode } = await app.hosts.get(facts).run(['test', '-r', path], { expect: [0, 1] });
    if (exitCode === 0) return path;
    findings.problem('repository', `${path} is not there or cannot be read`, `mount ${path}   # on the host`);
    return undefined;
  });
}
