/** What `provisiond doctor` asks of a VM host beyond `check`: one script, and libvirt's own opinion. It changes nothing. */
import { isIP } from 'node:net';
import { atExit } from '../host/at-exit';
import { script } from '../host/host';
import { drawMark, SECTION, splitSections } from '../libvirt/sections';
import type { HostSummary } from '../store/front-end';
import type { App } from './app';
import { type Finding, Findings } from './findings';

/** `$1` mark `$2` private network, then the folders of images. A slow disk is found by 16 MiB that are written and removed. */
const EXAMINE = `
mark=$1 network=$2; shift 2
${SECTION}
section clock; date +%s
section zone; date '+%Z %z'
section synchronised; timedatectl show --property=NTPSynchronized --value 2>/dev/null
section version; virsh version --daemon 2>/dev/null
section network; virsh -q net-dumpxml "$network" 2>/dev/null
section autostart; virsh -q net-info "$network" 2>/dev/null
section apparmor; if [ -d /sys/module/apparmor ]; then cat /sys/module/apparmor/parameters/enabled; else echo N; fi 2>/dev/null
section selinux; if [ -d /sys/fs/selinux ]; then getenforce 2>/dev/null || /usr/sbin/getenforce 2>/dev/null; else echo Absent; fi
section sshd; { sshd -T || /usr/sbin/sshd -T; } 2>/dev/null | grep -i -e '^maxsessions' -e '^maxstartups' -e '^usedns'
section libvirt-service; systemctl is-enabled libvirtd.service libvirtd.socket virtqemud.socket 2>/dev/null
section validate; virt-host-validate qemu 2>&1
for folder; do
  section "speed $folder"
  [ ! -w "$folder" ] || {
    part="$folder/.provisiond-speed.$$"
    ${atExit('rm -f "$part"')}
    from=$(date +%s%N)
    dd if=/dev/zero of="$part" bs=1M count=16 conv=fdatasync 2>/dev/null
    echo $(( ($(date +%s%N) - from) / 1000000 ))
    rm -f "$part"
  }
  section "context $folder"; ls -dZ "$folder" 2>/dev/null
done
exit 0
`;

const SPEED_MIB = 16;
const SLOW_MIB_PER_SECOND = 20;

export async function examineHost(app: App, { name, facts }: HostSummary): Promise<Finding[]> {
  const findings = new Findings(`host ${name}`);
  const { profile, address } = facts;
  const folders = [...new Set([profile.datastorePath, profile.vmPath])];
  await findings.examine('examined', async () => {
    const mark = drawMark();
    const asked = Date.now();
    const argv = script(EXAMINE, mark, profile.privateNetwork, ...folders);
    const { stdout } = await app.hosts.get(facts).run(argv);
    const sections = splitSections(stdout, mark);
    const read = (section: string) => (sections.get(section) ?? []).join('\n').trim();
    judgeClock(findings, Number(read('clock')), (asked + Date.now()) / 2000, read('synchronised'));
    judgeZone(findings, read('zone'));
    judgeNetwork(findings, profile.privateNetwork, read('network'), read('autostart'));
    judgeVersion(findings, read('version'));
    judgeSshd(findings, read('sshd'), app.config.sshMaxChannels);
    for (const folder of folders) judgeFolder(findings, folder, read);
    judgeValidations(findings, parseHostValidate(read('validate')));
    return isIP(address) === 0 ? `${address} by its name` : address;
  });
  return findings.all;
}

function judgeClock(findings: Findings, theirs: number, ours: number, synchronised: string): void {
  const seconds = Math.round(Math.abs(theirs - ours));
  const mend = 'timedatectl set-ntp true   # on the host';
  if (seconds > 5) findings.problem('clock', `${seconds} s away from this node`, mend);
  else if (synchronised === 'no') findings.warning('clock', 'right now, but not kept by NTP', mend);
  else if (synchronised === 'yes') findings.ok('clock', `${seconds} s away from this node, kept by NTP`);
  else
    findings.unknown(
      'clock',
      `${seconds} s away from this node; whether NTP keeps it is not told`,
      'timedatectl   # on the host',
    );
}

/** It matters to people only, who read two logs side by side: rows have the database's times. */
function judgeZone(findings: Findings, theirs: string): void {
  if (theirs === '') findings.unknown('time zone', 'date says nothing of it', 'date +%z   # on the host');
  else findings.ok('time zone', `${theirs}; the times of its own logs`);
}

function judgeNetwork(findings: Findings, name: string, xml: string, info: string): void {
  const check = `DHCP on ${name}`;
  if (xml === '') {
    const mend = `nmap --script broadcast-dhcp-discover -e ${name}   # on the host: does something answer?`;
    return findings.unknown(check, 'libvirt tells of no such network: addresses come from elsewhere', mend);
  }
  if (/<dhcp>/.test(xml)) findings.ok(check, 'libvirt hands out addresses');
  else
    findings.problem(
      check,
      'the network hands out no addresses: guests would get none',
      `virsh net-edit ${name}   # <ip …><dhcp><range start='…' end='…'/></dhcp></ip>; then net-destroy and net-start`,
    );
  if (/^Autostart:\s+no/m.test(info))
    findings.warning(`start of ${name}`, 'the network is not started with the host', `virsh net-autostart ${name}`);
}

function judgeVersion(findings: Findings, text: string): void {
  const version = /Running against daemon: (\d+)\.(\d+)/.exec(text) ?? /Using library: libvirt (\d+)\.(\d+)/.exec(text);
  if (!version)
    return findings.unknown('libvirt', 'it does not tell its version', 'virsh version --daemon   # on the host');
  const [, major, minor] = version;
  const shown = `${major}.${minor}`;
  if (Number(major) >= 7) findings.ok('libvirt', shown);
  else
    findings.warning(
      'libvirt',
      `${shown} is older than what provisiond is tested with`,
      'apt-get install libvirt-daemon-system',
    );
}

function judgeSshd(findings: Findings, text: string, channels: number): void {
  const sessions = Number(/^maxsessions (\d+)/im.exec(text)?.[1]);
  if (Number.isNaN(sessions)) {
    const mend = 'sshd -T | grep -i maxsessions   # on the host, as root';
    findings.unknown('sshd', `the account may not read its settings; MaxSessions must be above ${channels}`, mend);
  } else if (sessions > channels) findings.ok('sshd', `MaxSessions ${sessions}`);
  else
    findings.warning(
      'sshd',
      `MaxSessions ${sessions} is not above sshMaxChannels ${channels}`,
      `echo 'MaxSessions ${channels + 2}' > /etc/ssh/sshd_config.d/provisiond.conf && systemctl reload ssh   # on the host`,
    );
}

function judgeFolder(findings: Findings, folder: string, read: (section: string) => string): void {
  judgeSpeed(findings, folder, Number(read(`speed ${folder}`)));
  if (read('apparmor') === 'Y' && /^\/(home|root|mnt|media)\//.test(folder)) {
    findings.warning(
      `AppArmor for ${folder}`,
      'qemu may be refused a backing file outside of the folders that libvirt knows',
      `echo '  "${folder}/**" rwk,' >> /etc/apparmor.d/local/abstractions/libvirt-qemu && systemctl reload apparmor   # on the host`,
    );
  } else if (/^[YN]$/.test(read('apparmor'))) findings.ok(`AppArmor for ${folder}`, 'lets qemu read and write there');
  else findings.unknown(`AppArmor for ${folder}`, 'it does not tell whether it is on', 'aa-status   # on the host');
  judgeLabel(findings, folder, read('selinux'), read(`context ${folder}`));
}

function judgeSpeed(findings: Findings, folder: string, milliseconds: number): void {
  const check = `speed of ${folder}`;
  if (!(milliseconds > 0)) {
    const mend = `dd if=/dev/zero of=${folder}/speed bs=1M count=64 conv=fdatasync; rm ${folder}/speed   # on the host`;
    return findings.unknown(check, 'nothing could be written there', mend);
  }
  const speed = Math.round((SPEED_MIB * 1000) / milliseconds);
  const text = `${speed} MiB/s written and on the disk`;
  if (speed >= SLOW_MIB_PER_SECOND) findings.ok(check, text);
  else findings.warning(check, text, `iostat -x 1   # on the host: what keeps the disk of ${folder} busy`);
}

function judgeLabel(findings: Findings, folder: string, selinux: string, context: string): void {
  const check = `SELinux for ${folder}`;
  const standard = folder === '/var/lib/libvirt/images' || folder.startsWith('/var/lib/libvirt/images/');
  if (selinux === '') findings.unknown(check, 'it does not tell whether it is on', 'getenforce   # on the host');
  else if (selinux !== 'Enforcing') findings.ok(check, `${selinux.toLowerCase()}, refuses nothing`);
  else if (standard || context.includes('virt_image_t')) findings.ok(check, 'labelled as images of machines');
  else
    findings.problem(
      check,
      'its files are not labelled as images of machines',
      `semanage fcontext -a -t virt_image_t '${folder}(/.*)?' && restorecon -R ${folder}   # on the host`,
    );
}

export interface Validation {
  readonly driver: string;
  readonly check: string;
  readonly verdict: 'PASS' | 'WARN' | 'FAIL';
  readonly advice: string;
}

/** The lines of `virt-host-validate`: `  QEMU: Checking for hardware virtualization   : PASS`, with advice in brackets. */
export function parseHostValidate(text: string): Validation[] {
  // eslint-disable-next-line no-control-regex
  const plain = text.replace(/\u001b\[[0-9;]*m/g, '');
  const lines = plain.matchAll(/^\s*(\w+): Checking (?:for |if )?(.+?)\s*: (PASS|WARN|FAIL)(?: \((.*)\))?$/gm);
  return [...lines].map(([, driver, check, verdict, advice]) => ({
    driver: driver!,
    check: check!,
    verdict: verdict as Validation['verdict'],
    advice: advice ?? '',
  }));
}

/** What libvirt advises, as a command where we know one. */
const MENDS: readonly (readonly [RegExp, string])[] = [
  [
    /hardware virtualization/,
    'modprobe kvm_intel || modprobe kvm_amd   # and switch virtualisation on in the firmware',
  ],
  [/\/dev\/kvm is accessible/, 'usermod -aG kvm libvirt-qemu   # on the host'],
  [/\/dev\/kvm exists/, 'modprobe kvm_intel || modprobe kvm_amd   # on the host'],
  [/\/dev\/vhost-net/, 'modprobe vhost_net   # on the host'],
  [/\/dev\/net\/tun/, 'modprobe tun   # on the host'],
  [/cgroup/, 'systemctl status   # the host needs cgroups with that controller'],
  [/IOMMU/i, 'add intel_iommu=on to the command line of the kernel; only needed to hand devices to guests'],
];

/** Nothing of ours needs these. */
const UNNEEDED = /IOMMU|secure guest/i;

function judgeValidations(findings: Findings, validations: readonly Validation[]): void {
  for (const validation of validations) judgeValidation(findings, validation);
  if (validations.length === 0) {
    const mend = 'apt-get install libvirt-clients && virt-host-validate qemu   # on the host';
    findings.unknown('virt-host-validate', 'it is not there, or says nothing', mend);
  }
}

function judgeValidation(findings: Findings, { check, verdict, advice }: Validation): void {
  const name = `virt-host-validate: ${check}`;
  if (verdict === 'PASS' || UNNEEDED.test(check))
    return findings.ok(name, verdict === 'PASS' ? 'passed' : 'not needed');
  const mend =
    MENDS.find(([pattern]) => pattern.test(check))?.[1] ?? `virt-host-validate qemu   # ${advice || 'on the host'}`;
  // Without KVM guests are emulated: slow, not wrong.
  if (verdict === 'FAIL' && !/virtualization|kvm/.test(check)) findings.problem(name, advice || 'failed', mend);
  else findings.warning(name, advice || 'warned', mend);
}
