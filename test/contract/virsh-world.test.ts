/**
 * The fake virsh is held to the real one: the same statements in a fake world and in a real private libvirtd must give
 * the same exit codes, the same words on both streams and the same effects.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import type { RunResult } from '../../lib/host/host';
import { LocalHost } from '../../lib/host/local-host';
import { FakeHost } from '../support/fake-host';

const LAB = path.join(__dirname, '..', 'lab', 'namespace-host');
const URI = 'https://provisiond.org/xmlns/domain/1';

const missing = [
  ...(existsSync(LAB) ? [] : ['test/lab/namespace-host is missing']),
  ...(userInfo().uid === 0 ? [] : ['a private libvirtd needs root']),
  ...['/usr/sbin/libvirtd', '/usr/bin/virsh', '/usr/bin/qemu-system-x86_64'].filter((file) => !existsSync(file)),
];
if (missing.length > 0) process.stderr.write(`NOT RUN: fake virsh against the real one: ${missing.join(', ')}\n`);

function domainXml(name: string, uuid: string | null, disk: string, more = ''): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<domain type="qemu">
  <name>${name}</name>
  ${uuid === null ? '' : `<uuid>${uuid}</uuid>`}
  <metadata>
    <provisiond:identity xmlns:provisiond="${URI}" computerId="3" loadId="l1"/>
  </metadata>
  <memory unit="MiB">64</memory>
  <vcpu>1</vcpu>
  <os><type arch="x86_64" machine="pc">hvm</type><boot dev="hd"/></os>
  <devices>
    <disk type="file" device="disk"><driver name="qemu" type="qcow2"/><source file="${disk}"/><target dev="vda" bus="virtio"/></disk>
    ${more}
  </devices>
</domain>
`;
}

const nic = (mac: string, source: string, type = 'network') =>
  `<interface type="${type}"><mac address="${mac}"/><source ${type}="${source}"/><model type="virtio"/></interface>`;
const dhcp = (mac: string, name: string, ip: string) => `<host mac='${mac}' name='${name}' ip='${ip}'/>`;
const update = (verb: string, xml: string, ...flags: string[]) => [
  'net-update',
  'private',
  verb,
  'ip-dhcp-host',
  xml,
  ...flags,
];
const BOTH = ['--live', '--config'];
const [MAC1, MAC2, MAC3] = ['52:54:00:00:00:01', '52:54:00:00:00:02', '52:54:00:00:00:03'] as const;
const UUID = '11111111-2222-8333-8444-555555555555';

/** The walk: argv by argv, in one world from the first to the last. Files are named in both worlds alike. */
function walk(file: (name: string) => string): string[][] {
  const each = (...lines: string[]) => lines.map((line) => line.split(' '));
  return [
    ...each('version', 'uri', 'list --all', 'list --all --name', '-q list --all'),
    // Definitions
    ['define', file('vm1.xml')],
    ['define', file('none.xml')],
    ['define', file('broken.xml')],
    ['define', file('same-uuid.xml')],
    ['define', file('same-name.xml')],
    ['define', file('vm1.xml')],
    ['define', file('bee.xml')],
    ...each('list --all', 'list', 'list --all --name', 'list --name', 'list --inactive --name', '-q list --all'),
    ...each('domuuid vm1', `domname ${UUID}`, `domstate ${UUID}`, 'domstate --domain vm1', 'dominfo vm1', 'domid vm1'),
    ...each('domblklist vm1', 'domblklist vm1 --details', 'domstate --reason vm1', 'domstate -- vm1', 'domiflist vm1'),
    ...each('domstats --state', 'domstats --state vm1', 'domstats --state bee vm1'),
    // Running
    ...each('start vm1', 'start vm1', 'list --all', 'list --name', 'domstate --reason vm1', 'domstats --state'),
    ...each('list --state-running --name', 'list --state-paused --name', 'list --state-shutoff --name', 'dominfo vm1'),
    ...each(
      'start bee',
      'list --all',
      'list --all --id --name',
      '-q domstats --state',
      'net-dumpxml private',
      'destroy bee',
    ),
    ...each('suspend vm1', 'list --all', 'domstate --reason vm1', 'resume vm1', 'domstate --reason vm1', 'resume vm1'),
    ...each('reset vm1', 'reboot vm1', 'managedsave vm1', 'domstate --reason vm1', 'dominfo vm1', 'managedsave vm1'),
    ...each('list --all --managed-save', 'list --all --with-managed-save --name', 'undefine vm1', 'start vm1'),
    ...each('domstate --reason vm1', 'destroy vm1', 'domstate --reason vm1', 'managedsave-remove vm1'),
    ...each('destroy vm1', 'shutdown vm1', 'reboot vm1', 'reset vm1', 'suspend vm1', 'resume vm1', 'managedsave vm1'),
    ...each('autostart vm1', 'list --all --autostart --name', 'autostart vm1 --disable', 'list --all --autostart'),
    // Snapshots
    ...each(
      'snapshot-list vm1',
      'snapshot-list --name vm1',
      'snapshot-create-as vm1 s1 words',
      'snapshot-create-as vm1 s1',
    ),
    ...each('snapshot-create-as --domain vm1 --name s2 --atomic', 'snapshot-list vm1', 'snapshot-list vm1 --name'),
    ...each('undefine vm1', 'snapshot-delete vm1 nope', 'snapshot-delete vm1 s1', 'snapshot-list --parent vm1'),
    // Power, and what is saved
    ...each('start vm1 --paused', 'domstate --reason vm1', 'domjobinfo vm1', 'suspend vm1', 'domstate --reason vm1'),
    ...each('domjobabort vm1', 'shutdown vm1', 'managedsave vm1', 'domjobinfo vm1'),
    ...each('start vm1', 'domstate --reason vm1', 'resume vm1', 'domstate --reason vm1', 'managedsave vm1'),
    ...each('start vm1 --paused', 'domstate --reason vm1', 'destroy vm1', 'dompmwakeup vm1', 'domjobabort vm1'),
    ...each('start vm1 --paused', 'snapshot-create-as vm1 p1', 'snapshot-revert vm1 p1', 'domstate --reason vm1'),
    ...each('resume vm1', 'snapshot-create-as vm1 r1', 'snapshot-revert vm1 p1', 'domstate --reason vm1'),
    ...each('snapshot-revert vm1 r1', 'domstate --reason vm1', 'managedsave vm1', 'snapshot-revert vm1 r1 --paused'),
    ...each('domstate --reason vm1', 'list --all --with-managed-save --name', 'managedsave-remove vm1', 'destroy vm1'),
    ...each('snapshot-revert vm1 r1', 'domstate --reason vm1', 'snapshot-revert vm1 s2', 'domstate --reason vm1'),
    ...each(
      'snapshot-revert vm1 nope',
      'snapshot-dumpxml vm1 nope',
      'snapshot-delete vm1 p1',
      'snapshot-delete vm1 r1',
    ),
    ...each('event vm1 --event reboot --timeout 1'),
    // Metadata
    ['metadata', 'vm1', URI],
    ['metadata', 'vm1', 'https://elsewhere.example'],
    ['metadata', 'vm1', URI, '--config', '--key', 'p', '--set', "<domain><a b='c'/></domain>"],
    ['metadata', 'vm1', URI],
    ['metadata', 'vm1', URI, '--config', '--remove'],
    ['metadata', 'vm1', URI],
    // What is missing when it starts
    ['define', file('no-network.xml')],
    ...each('start lost', 'domstate --reason lost', 'undefine lost'),
    ['define', file('no-bridge.xml')],
    ...each('start lost', 'undefine lost'),
    ['define', file('no-disk.xml')],
    ...each('start lost', 'domstats --state lost', 'undefine lost'),
    // Unknown names
    ...each('domstate nope', '-q domstate nope', 'start nope', 'destroy nope', 'undefine nope', 'dumpxml nope'),
    ...each(
      'dominfo nope',
      'domuuid nope',
      'autostart nope',
      'snapshot-list nope',
      'managedsave nope',
      'metadata nope x',
    ),
    ...each(
      'net-info nope',
      'net-dumpxml nope',
      'net-start nope',
      'net-dhcp-leases nope',
      'net-update nope add ip-dhcp-host x',
    ),
    // Networks
    ...each(
      'net-list',
      'net-list --all',
      'net-list --all --name',
      'net-list --name',
      '-q net-list --all',
      'net-info private',
    ),
    ...each('net-dumpxml private', 'net-dhcp-leases private', `net-dhcp-leases private --mac ${MAC1}`),
    update('add', dhcp(MAC1, 'vm1', '192.168.121.50'), ...BOTH),
    update('add', dhcp(MAC1, 'vm1', '192.168.121.50'), ...BOTH),
    update('add', dhcp(MAC2, 'vm1', '192.168.121.51'), ...BOTH),
    update('add', dhcp(MAC2, 'vm2', '192.168.121.50'), ...BOTH),
    update('add-last', dhcp(MAC2, 'vm2', '192.168.121.51'), ...BOTH),
    update('add-first', `<host mac="${MAC3}" ip="192.168.121.53"/>`, ...BOTH),
    update('modify', dhcp(MAC2, 'vm2', '192.168.121.52'), ...BOTH),
    update('modify', dhcp('52:54:00:00:00:99', 'vm9', '192.168.121.99'), ...BOTH),
    ['net-dumpxml', 'private'],
    ['net-dumpxml', '--inactive', 'private'],
    update('delete', `<host mac='${MAC3}'/>`, ...BOTH),
    update('delete', `<host mac='${MAC3}'/>`, ...BOTH),
    update('delete', dhcp(MAC1, 'vm1', '192.168.121.77'), ...BOTH),
    ['-q', ...update('delete', dhcp(MAC1, 'vm1', '192.168.121.50'), ...BOTH)],
    update('add', dhcp(MAC1, 'vm1', '192.168.121.50')),
    update('delete', dhcp(MAC1, 'vm1', '192.168.121.50'), '--live'),
    ...each('net-dumpxml private', 'net-destroy private', 'net-destroy private', 'net-list', 'net-info private'),
    update('add', dhcp(MAC1, 'vm1', '192.168.121.50'), ...BOTH),
    update('add', dhcp(MAC1, 'vm1', '192.168.121.50'), '--config'),
    ...each('start bee', 'net-start private', 'net-start private', 'net-dumpxml private'),
    // Several statements in one line
    ['domstate vm1; domstate nope; domuuid vm1'],
    ['domstate nope; list --all --name'],
    ['list --all --name; domstate nope'],
    ["list --name ; ; domuuid 'vm1'"],
    ['-q', 'echo \'a\nb\n\'; list --all --uuid --name; echo "c \\"d\\"" e\\ f'],
    ['echo one; nosuch; echo two'],
    ['echo one; domstate; echo two'],
    ['echo one; echo "two'],
    [`net-update private delete ip-dhcp-host "<host mac='${MAC1}'/>" --live --config; net-dumpxml private`],
    ['# nothing'],
    [''],
    // What cannot be understood
    ...each('no-such-verb', 'domstate', 'list --bogus', 'domstate a b c', 'list --all --name ; list', 'define'),
    // The end
    ...each('start vm1', 'undefine vm1 --managed-save --snapshots-metadata --nvram', 'list --all --transient --name'),
    ...each(
      'list --all --persistent --name',
      'undefine vm1',
      'dominfo vm1',
      'managedsave vm1',
      'destroy vm1',
      'list --all',
    ),
    ...each('undefine bee --managed-save --snapshots-metadata --nvram', 'undefine bee', 'list --all --name'),
  ];
}

/** `domstats` shows the domains in the order of libvirt's hash table. */
function sortRecords(text: string): string {
  if (!text.startsWith('Domain: ')) return text;
  return text.trim().split('\n\n').sort().join('\n\n');
}

/** What may differ between two hosts that behave alike. */
function withoutChance(text: string): string {
  return text
    .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, (uuid) =>
      uuid === UUID ? uuid : 'UUID',
    )
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}/g, 'TIME')
    .replace(/^(CPU time: +)\S+/m, '$1SECONDS')
    .replace(/<mac address='[^']*'\/>/, 'MAC')
    .replace(/ +vnet\d+ +/g, ' CARD ')
    .replace(/QEMU \d+\.\d+\.\d+/g, 'QEMU')
    .replace(/\(domain_definition\)[^]*/, 'not well-formed\n')
    .replace(/^error: fake virsh: not in this world.*\n/m, '')
    .replace(/ \(as uid:\d+, gid:\d+\)/, '');
}

const wherever = missing.length === 0 ? describe : describe.skip;

wherever('the fake virsh beside the real one', () => {
  const fake = new FakeHost();
  const folder = mkdtempSync(path.join(tmpdir(), 'provisiond-virsh-'));
  const file = (name: string) => path.join(folder, name);
  const real = new LocalHost({ name: 'real', prefix: [LAB, 'exec', file('host')], commandTimeoutMs: 120_000 });

  beforeAll(() => {
    execFileSync('chmod', ['755', folder]);
    execFileSync(LAB, ['start', file('host')], { stdio: 'inherit' });
    for (const disk of ['a', 'b'])
      execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file(`${disk}.qcow2`), '8M']);
    const write = (name: string, xml: string) => writeFileSync(file(name), xml);
    write('vm1.xml', domainXml('vm1', UUID, file('a.qcow2'), nic(MAC1, 'private')));
    write('bee.xml', domainXml('bee', null, file('b.qcow2'), nic(MAC2, 'private')));
    write('same-uuid.xml', domainXml('other', UUID, file('a.qcow2')));
    write('same-name.xml', domainXml('vm1', null, file('a.qcow2')));
    write('broken.xml', '<domain type="qemu"><name>vm1</name>');
    write('no-network.xml', domainXml('lost', null, file('a.qcow2'), nic(MAC3, 'nonet')));
    write('no-bridge.xml', domainXml('lost', null, file('a.qcow2'), nic(MAC3, 'br987', 'bridge')));
    write('no-disk.xml', domainXml('lost', null, file('none.qcow2')));
  });

  afterAll(async () => {
    await fake.close();
    execFileSync(LAB, ['stop', file('host')], { stdio: 'inherit' });
    rmSync(folder, { recursive: true, force: true });
  });

  it('says the same, word for word, all along a walk through its verbs', async () => {
    const differences: object[] = [];
    const show = ({ exitCode, stdout, stderr }: RunResult) => ({
      exitCode,
      stdout: sortRecords(withoutChance(stdout)),
      stderr: withoutChance(stderr),
    });
    for (const argv of walk(file)) {
      const command = ['virsh', '-c', 'qemu:///system', ...argv];
      const [played, truth] = await Promise.all([
        fake.run(command, { expect: 'any' }),
        real.run(command, { expect: 'any' }),
      ]);
      if (JSON.stringify(show(played)) !== JSON.stringify(show(truth))) {
        differences.push({ argv, fake: show(played), real: show(truth) });
      }
    }
    expect(differences).toEqual([]);
  });

  it('offers the same domain types for the same architectures', async () => {
    const read = async (host: LocalHost | FakeHost) => {
      const { stdout } = await host.run(['virsh', 'capabilities']);
      return [...stdout.matchAll(/<arch name='(i686|x86_64)'>[^]*?<\/arch>/g)].map(([text, arch]) => [
        arch,
        [...text.matchAll(/<domain type='(\w+)'\/>/g)].map(([, type]) => type),
      ]);
    };
    expect(await read(fake)).toEqual(await read(real));
    const kvm = ['virsh', '-q', 'domcapabilities', 'kvm'];
    const [played, truth] = [await fake.run(kvm, { expect: 'any' }), await real.run(kvm, { expect: 'any' })];
    expect(played).toEqual(truth);
  });
});
