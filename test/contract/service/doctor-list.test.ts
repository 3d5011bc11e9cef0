/**
 * What a new site gets wrong, one thing at a time: on a host where all is well exactly that is broken, exactly that is
 * found, and with it comes the command that mends it.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import type { App } from '../../../lib/cli/app';
import { checkHost } from '../../../lib/cli/check-host';
import { checkKeyFiles } from '../../../lib/cli/check-node';
import { examineHost } from '../../../lib/cli/doctor-host';
import { examineFrontEnd, examineNode } from '../../../lib/cli/doctor-node';
import type { Finding } from '../../../lib/cli/findings';
import { type ErrorCode, ProvisiondError } from '../../../lib/errors';
import type { Host } from '../../../lib/host/host';
import { forgetHostFacts } from '../../../lib/libvirt/host-facts';
import { PluginRegistry } from '../../../lib/plugins/registry';
import { FakeSite } from '../../support/fake-site';

/** A good host, as its programs tell; what they tell of this machine is nobody's business here. */
const GOOD: Readonly<Record<string, string>> = {
  date: 'case "$1" in +%s) exec /bin/date +%s ;; +%s%N) exec /bin/date +%s%N ;; *) echo UTC +0000 ;; esac',
  timedatectl: 'echo yes',
  sshd: 'echo maxsessions 100',
  dd: ':',
  'virt-host-validate': "echo '  QEMU: Checking if device /dev/kvm is accessible : PASS'",
  cat: 'case "$1" in /sys/module/apparmor/*) echo N ;; *) exec /bin/cat "$@" ;; esac',
};

let site: FakeSite;
let good: Finding[];
/** What is said of the host in the rows, where it is not as in the site; what the host says, where it is not as it is. */
let profile: Record<string, unknown> = {};
let connection: Record<string, unknown> = {};
let retell = (text: string): string => text;
let fault: ErrorCode | null = null;

beforeAll(async () => {
  site = await FakeSite.open();
  for (const [name, text] of Object.entries(GOOD)) program(name, text);
  good = await examine();
});
afterEach(() => {
  site.host.heal();
  [profile, connection, fault, retell] = [{}, {}, null, (text) => text];
  for (const name of ['virsh', 'df']) rmSync(site.host.path('bin', name), { force: true });
  writeFileSync(site.host.path('networks/private/autostart'), '');
  for (const [name, text] of Object.entries(GOOD)) program(name, text);
});
afterAll(() => site.close());

/** A program of the host, before the one that this machine has. */
function program(name: string, text: string): void {
  const file = site.host.path('bin', name);
  writeFileSync(file, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o755);
}

const host: Pick<Host, 'run' | 'name'> = {
  name: 'host1',
  run: async (argv, options) => {
    if (fault) throw new ProvisiondError(fault, 'connecting to host host1');
    const result = await site.host.run(argv, options);
    return { ...result, stdout: retell(result.stdout) };
  },
};

async function examine(): Promise<Finding[]> {
  forgetHostFacts(host);
  const [summary] = await site.frontEnd.listHosts();
  const { facts } = summary!;
  const changed = {
    ...facts,
    profile: { ...facts.profile, ...profile },
    connection: { ...facts.connection, ...connection },
  };
  const app = { hosts: { get: () => host }, config: site.config } as unknown as App;
  const plugins = new PluginRegistry(site.config, site.log);
  const asked = { ...summary!, facts: changed };
  return [...(await checkHost(app, asked, plugins)), ...(await examineHost(app, asked))];
}

const isBad = ({ verdict }: Finding) => verdict === 'problem' || verdict === 'warning';
/** What is worse than on the good host. */
function news(findings: readonly Finding[]): Finding[] {
  const known = new Map(good.map((finding) => [finding.check, finding.verdict]));
  return findings.filter((finding) => finding.verdict !== 'ok' && known.get(finding.check) !== finding.verdict);
}

describe('of a good host', () => {
  it('nothing is complained of but that its guests are emulated', () => {
    expect(good.filter(isBad)).toEqual([
      expect.objectContaining({ check: 'KVM', remedy: expect.stringMatching(/^modprobe kvm/) }),
    ]);
  });
});

interface Case {
  readonly what: string;
  readonly spoil: () => void;
  readonly check: RegExp;
  readonly verdict: Finding['verdict'];
  readonly mend: RegExp;
  /** What cannot but come with it. */
  readonly also?: RegExp;
}

const CASES: readonly Case[] = [
  {
    what: 'libvirt is not installed',
    spoil: () => program('virsh', 'exit 127'),
    check: /^virsh$/,
    verdict: 'problem',
    mend: /^apt-get install libvirt-daemon-system/,
    also: /^(network|DHCP on|libvirt$)/,
  },
  {
    what: 'libvirtd does not run, or does not let the account in',
    spoil: () => site.host.fail('virsh list', { message: 'error: authentication unavailable: no polkit agent' }),
    check: /^virsh$/,
    verdict: 'problem',
    mend: /^systemctl enable --now libvirtd && usermod -aG libvirt root/,
    also: /^network /,
  },
  {
    what: 'libvirt does not tell its version',
    spoil: () => site.host.fail('virsh version'),
    check: /^libvirt$/,
    verdict: 'unknown',
    mend: /^virsh version/,
  },
  {
    what: 'the clock is wrong',
    spoil: () =>
      program('date', 'case "$1" in +%s) echo 1000000000 ;; +%s%N) exec /bin/date +%s%N ;; *) echo UTC ;; esac'),
    check: /^clock$/,
    verdict: 'problem',
    mend: /^timedatectl set-ntp true/,
  },
  {
    what: 'nothing keeps the clock right',
    spoil: () => program('timedatectl', 'echo no'),
    check: /^clock$/,
    verdict: 'warning',
    mend: /^timedatectl set-ntp true/,
  },
  {
    what: 'nobody can tell whether something keeps the clock right',
    spoil: () => program('timedatectl', 'exit 1'),
    check: /^clock$/,
    verdict: 'unknown',
    mend: /^timedatectl/,
  },
  {
    what: 'sshd lets too few sessions in',
    spoil: () => program('sshd', 'echo maxsessions 2'),
    check: /^sshd$/,
    verdict: 'warning',
    mend: /^echo 'MaxSessions \d+' > \/etc\/ssh\/sshd_config\.d/,
  },
  {
    what: 'the account may not read the settings of sshd',
    spoil: () => program('sshd', 'echo maxstartups 10'),
    check: /^sshd$/,
    verdict: 'unknown',
    mend: /^sshd -T/,
  },
  {
    what: 'the disk is slow',
    spoil: () => program('dd', 'sleep 1'),
    check: /^speed of /,
    verdict: 'warning',
    mend: /^iostat -x 1/,
  },
  {
    what: 'the disk is nearly full',
    spoil: () => {
      profile = { vmPath: '/var/lib' };
      program('df', 'echo "fs 1000 900 100 90% /"');
    },
    check: /^folder \/var\/lib$/,
    verdict: 'warning',
    mend: /^provisiond image gc/,
  },
  {
    what: 'libvirt’s own check finds fault',
    spoil: () =>
      program(
        'virt-host-validate',
        'echo "  QEMU: Checking for cgroup \'memory\' controller support : FAIL (Enable it)"',
      ),
    check: /^virt-host-validate: cgroup 'memory'/,
    verdict: 'problem',
    mend: /^systemctl status/,
  },
  {
    what: 'KVM cannot be opened by qemu',
    spoil: () =>
      program('virt-host-validate', "echo '  QEMU: Checking if device /dev/kvm is accessible : FAIL (Check /dev/kvm)'"),
    check: /^virt-host-validate: device \/dev\/kvm is accessible/,
    verdict: 'warning',
    mend: /^usermod -aG kvm libvirt-qemu/,
  },
  {
    what: 'libvirt’s own check is not there',
    spoil: () => program('virt-host-validate', 'exit 127'),
    check: /^virt-host-validate$/,
    verdict: 'unknown',
    mend: /^apt-get install libvirt-clients/,
  },
  {
    what: 'qemu-img is not there',
    spoil: () => (retell = (text) => text.replace(/^qemu-img$/m, '')),
    check: /^qemu-img$/,
    verdict: 'problem',
    mend: /^apt-get install qemu-utils/,
  },
  {
    what: 'libvirt is older than what is tested',
    spoil: () => (retell = (text) => text.replace(/library: libvirt 9/g, 'library: libvirt 4')),
    check: /^libvirt$/,
    verdict: 'warning',
    mend: /^apt-get install libvirt-daemon-system/,
  },
  {
    what: 'SELinux holds and the folders have no label',
    spoil: () => (retell = (text) => text.replace(/^Absent$/m, 'Enforcing')),
    check: /^SELinux for /,
    verdict: 'problem',
    mend: /^semanage fcontext -a -t virt_image_t .* && restorecon -R /,
  },
  {
    what: 'SELinux does not tell whether it holds',
    spoil: () => (retell = (text) => text.replace(/^Absent$/m, '')),
    check: /^SELinux for /,
    verdict: 'unknown',
    mend: /^getenforce/,
  },
  {
    what: 'AppArmor holds and the folders are where it lets qemu not read',
    spoil: () => {
      profile = { vmPath: '/root/provisiond-nowhere' };
      program('cat', 'case "$1" in /sys/module/apparmor/*) echo Y ;; *) exec /bin/cat "$@" ;; esac');
      retell = (text) => text.replace(/(@@\S+ apparmor\n)N/, '$1Y');
    },
    check: /^AppArmor for /,
    verdict: 'warning',
    mend: /^echo .* >> \/etc\/apparmor\.d\/local\/abstractions\/libvirt-qemu && systemctl reload apparmor/,
    also: /^speed of /,
  },
  {
    what: 'nothing can be written where the disks are to be',
    spoil: () => {
      profile = { vmPath: '/proc/provisiond' };
      retell = (text) => text.replace(/(folder \/proc\/provisiond\n)writable\n/, '$1');
    },
    check: /^folder \/proc\/provisiond$/,
    verdict: 'problem',
    mend: /^install -d -o root -m 2775 \/proc\/provisiond/,
    also: /^(speed of|SELinux for|AppArmor for) /,
  },
  {
    what: 'a network is named that the host does not have',
    spoil: () => (profile = { publicNetwork: 'nowhere' }),
    check: /^network nowhere$/,
    verdict: 'problem',
    mend: /^provisiond host add HOST --private-network NAME/,
  },
  {
    what: 'a network is not started',
    spoil: () => {
      site.host.addNetwork({ name: 'still', prefix: '192.168.99', active: false });
      profile = { publicNetwork: 'still' };
    },
    check: /^network still$/,
    verdict: 'problem',
    mend: /^virsh net-start still; virsh net-autostart still/,
  },
  {
    what: 'the private network hands out no addresses',
    spoil: () => {
      site.host.addNetwork({ name: 'dumb' });
      profile = { privateNetwork: 'dumb' };
    },
    check: /^DHCP on dumb$/,
    verdict: 'problem',
    mend: /^virsh net-edit dumb/,
    also: /^start of dumb$/,
  },
  {
    what: 'a network does not start with the host',
    spoil: () => rmSync(site.host.path('networks/private/autostart')),
    check: /^start of private$/,
    verdict: 'warning',
    mend: /^virsh net-autostart private/,
  },
  {
    what: 'addresses come from somewhere that cannot be seen from the host',
    spoil: () => {
      site.host.addLink('br7');
      profile = { privateNetwork: 'br7' };
      retell = (text) => text.replace(/(@@\S+ bridges\n)/, '$1br7\n');
    },
    check: /^DHCP on br7$/,
    verdict: 'unknown',
    mend: /^nmap --script broadcast-dhcp-discover -e br7/,
  },
  {
    what: 'the key of the host is not pinned',
    spoil: () => (connection = { transport: 'ssh', hostKey: null }),
    check: /^host key$/,
    verdict: 'problem',
    mend: /^provisiond host add host1/,
  },
  {
    what: 'the host does not answer',
    spoil: () => (fault = 'HOST_UNREACHABLE'),
    check: /^(reachable|examined)$/,
    verdict: 'problem',
    mend: /ssh -p PORT USER@HOST true/,
  },
  {
    what: 'the host does not know our key',
    spoil: () => (fault = 'HOST_LOGIN_REFUSED'),
    check: /^(reachable|examined)$/,
    verdict: 'problem',
    mend: /^ssh-copy-id -i /,
  },
  {
    what: 'its driver is pinned and not there',
    spoil: () => (connection = { driver: 'vapour' }),
    check: /^driver$/,
    verdict: 'problem',
    mend: /drivers\/README\.md/,
  },
  {
    what: 'its repository is not mounted',
    spoil: () => (profile = { repositoryPath: '/nowhere/repository' }),
    check: /^repository$/,
    verdict: 'problem',
    mend: /^mount \/nowhere\/repository/,
  },
];

describe('the doctor', () => {
  it.each(CASES)('sees that $what, and nothing else', async ({ spoil, check, verdict, mend, also }) => {
    spoil();
    const found = news(await examine());
    const wanted = found.filter((finding) => check.test(finding.check));
    expect(found.filter((finding) => !wanted.includes(finding) && !also?.test(finding.check))).toEqual([]);
    expect(wanted.length).toBeGreaterThan(0);
    for (const finding of wanted) expect(finding).toMatchObject({ verdict, remedy: expect.stringMatching(mend) });
  });

  it('calls nothing ok that it could not look at: on a host whose programs all fail there is no good word', async () => {
    for (const name of ['timedatectl', 'virt-host-validate', 'dd', 'virsh', 'df', 'date']) program(name, 'exit 1');
    program('sshd', ':'); // the one of this machine is not to be asked instead
    retell = (text) => text.replace(/^Absent$/m, '').replace(/(@@\S+ apparmor\n)[YN]/, '$1');
    const findings = await examine();
    const seen = /^(reachable|examined|qemu-img|driver)$/; // it was reached, and the file of qemu-img is there
    expect(findings.filter(({ check, verdict }) => verdict === 'ok' && !seen.test(check))).toEqual([]);
    for (const { verdict, remedy } of findings) if (verdict !== 'ok') expect(remedy).toBeTruthy();
  });
});

describe('of this node the doctor', () => {
  it('sees that there is no key, and how to make one; that others can read it, and how to shut them out', () => {
    const file = site.host.path('root', 'key');
    const config = { ...site.config, sshKeyFiles: [file] };
    expect(checkKeyFiles(config)).toMatchObject([
      { verdict: 'problem', remedy: `ssh-keygen -t ed25519 -N '' -f ${file}` },
    ]);
    writeFileSync(file, '', { mode: 0o644 });
    expect(checkKeyFiles(config)).toMatchObject([{ verdict: 'warning', remedy: `chmod 600 ${file}` }]);
    chmodSync(file, 0o600);
    expect(checkKeyFiles(config)).toMatchObject([{ verdict: 'ok' }]);
  });

  it('sees that its name cannot be looked up, and where to enter it', async () => {
    const config = { ...site.config, managementNode: 'node.invalid' };
    const findings = await examineNode({ config } as unknown as App);
    expect(findings.find(({ check }) => check === 'name')).toMatchObject({
      verdict: 'warning',
      remedy: expect.stringMatching(/^echo "ADDRESS node\.invalid" >> \/etc\/hosts/),
    });
  });

  it('says that it did not ask the front end when nobody said where it is', async () => {
    expect(await examineFrontEnd(null)).toMatchObject([
      { verdict: 'unknown', remedy: expect.stringMatching(/^provisiond doctor --front-end /) },
    ]);
  });
});
