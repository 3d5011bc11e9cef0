import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { createHash } from 'node:crypto';
import kvm from '../../drivers/kvm';
import { LocalHost } from '../../lib/host/local-host';
import { LibvirtProvisioner } from '../../lib/libvirt/libvirt-provisioner';
import { type LoadContext, loadSteps } from '../../lib/libvirt/load-steps';
import type { Log } from '../../lib/log';
import type { GuestStatus } from '../../lib/plugins/api';
import { runSteps } from '../../lib/steps/step';
import { type HostedReservationParts, makeHostedReservation } from '../fixtures/hosted-reservation';
import { eventually } from '../support/eventually';
import { readLab } from '../support/lab';

const lab = readLab();
const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

const COMPUTER = { privateIp: '192.168.121.21', privateMac: '52:54:00:0a:00:01', publicMac: '52:54:00:0a:00:02' };
const IMAGE = 'vmwarelinux-Tiny12-v2';

let folder: string;
let host: LocalHost;

beforeAll(() => {
  folder = mkdtempSync(path.join(lab.folder, 'libvirt-'));
  chmodSync(folder, 0o711);
  for (const name of ['images', 'vms', 'repository']) mkdirSync(path.join(folder, name));
  copyFileSync(lab.imageFile, path.join(folder, 'images', `${IMAGE}.qcow2`));
  host = new LocalHost({ name: 'host1' });
});

afterAll(async () => {
  await provisioner({}).unload();
  await host.close();
});

function provisioner(changes: HostedReservationParts, loadId = 'load-1'): LibvirtProvisioner {
  const profile = { datastorePath: path.join(folder, 'images'), vmPath: path.join(folder, 'vms'), ...changes.profile };
  return new LibvirtProvisioner(
    {
      reservation: makeHostedReservation({ ...changes, computer: { ...COMPUTER, ...changes.computer }, profile }),
      loadId,
      host,
      settings: { xmlDirectory: path.join(folder, 'xml'), imageTimeoutMs: 60_000 },
      log: silent,
    },
    { chooseDriver: async () => kvm },
  );
}

async function load(subject: LibvirtProvisioner) {
  const context: LoadContext = { provisioner: subject, signal: new AbortController().signal, log: silent };
  return runSteps(loadSteps, context, { signal: context.signal });
}

const virsh = (...argv: string[]) => execFileSync('virsh', ['-q', ...argv], { encoding: 'utf8' });
const domains = () => virsh('list', '--all', '--name').split('\n').filter(Boolean);
const files = (name: string) =>
  (existsSync(path.join(folder, name)) ? readdirSync(path.join(folder, name)) : []).filter(
    (file) => !file.endsWith('.load'),
  );
const dhcpEntries = () => [...virsh('net-dumpxml', 'private').matchAll(/<host mac[^>]*>/g)].map(([entry]) => entry);
const sha256 = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
const status = (more: Partial<GuestStatus> = {}): GuestStatus => ({
  imageRevisionId: 34,
  postLoadDone: true,
  tainted: false,
  ...more,
});

describe('a load on a real libvirt', () => {
  it('brings a running domain with overlay, XML file and address', async () => {
    const base = path.join(folder, 'images', `${IMAGE}.qcow2`);
    const before = sha256(base);
    const subject = provisioner({});
    expect(await load(subject)).toEqual({ kind: 'done' });
    expect(domains()).toEqual(['vm1_TinyLinux_12-v2']);
    expect(virsh('domstate', 'vm1_TinyLinux_12-v2').trim()).toBe('running');
    expect(files('vms').sort()).toEqual(['vm1_12-v2.console.log', 'vm1_12-v2.qcow2']);
    expect(files('xml')).toEqual(['vm1_12-v2.xml']);
    expect(dhcpEntries()).toEqual([expect.stringContaining("mac='52:54:00:0a:00:01' name='vm1' ip='192.168.121.21'")]);
    expect(sha256(base)).toBe(before);
  });

  it('tells the status of the node by guest and hypervisor', async () => {
    const subject = provisioner({});
    expect(await subject.nodeStatus(status())).toBe('READY');
    expect(await subject.nodeStatus(status({ postLoadDone: false }))).toBe('POST_LOAD');
    expect(await subject.nodeStatus(status({ tainted: true }))).toBe('RELOAD');
    expect(await subject.nodeStatus(status({ imageRevisionId: 33 }))).toBe('RELOAD');
    expect(await subject.nodeStatus(null)).toBe('RELOAD');
    expect(await provisioner({ image: { revisionId: 35 } }).nodeStatus(status({ imageRevisionId: 35 }))).toBe('RELOAD');
  });

  it('does nothing more when it is run again', async () => {
    const inode = () => statSync(path.join(folder, 'vms', 'vm1_12-v2.qcow2')).ino;
    const before = [virsh('domid', 'vm1_TinyLinux_12-v2'), inode()];
    expect(await load(provisioner({}))).toEqual({ kind: 'done' });
    expect([virsh('domid', 'vm1_TinyLinux_12-v2'), inode()]).toEqual(before);
  });

  it('switches power off and on, however often it is told', async () => {
    const subject = provisioner({});
    await subject.powerOff();
    await subject.powerOff();
    expect(await subject.powerStatus()).toBe('off');
    await subject.powerOn();
    await subject.powerOn();
    expect(await subject.powerStatus()).toBe('on');
    await subject.powerReset();
    expect(await subject.powerStatus()).toBe('on');
    virsh('suspend', 'vm1_TinyLinux_12-v2');
    expect(await subject.powerStatus()).toBe('suspended');
    await subject.powerOn();
    expect(await subject.powerStatus()).toBe('on');
  });

  it('makes, lists and deletes snapshots', async () => {
    const subject = provisioner({});
    const name = await subject.createSnapshot(subject.domainName, 'before "the" change; $(x)');
    expect(await subject.getSnapshotInfo(subject.domainName)).toEqual([
      { name, createdAt: expect.any(String), state: 'running' },
    ]);
    await subject.deleteSnapshot(subject.domainName, name);
    expect(await subject.getSnapshotInfo(subject.domainName)).toEqual([]);
    await subject.createSnapshot(subject.domainName, 'one that stays until the domain goes');
  });

  it('describes the domains of the host', async () => {
    const subject = provisioner({});
    expect(await subject.getDomainInfo()).toEqual(
      new Map([['vm1_TinyLinux_12-v2', { id: expect.any(Number), state: 'running' }]]),
    );
    expect(await subject.domainExists('vm1_TinyLinux_12-v2')).toBe(true);
    expect(await subject.domainExists('nobody')).toBe(false);
    expect((await subject.getDomainXml('vm1_TinyLinux_12-v2')).domain.name).toEqual([{ _: 'vm1_TinyLinux_12-v2' }]);
    await expect(subject.getDomainXml('nobody')).rejects.toMatchObject({ code: 'DOMAIN_NOT_FOUND' });
    expect(await subject.doesImageExist()).toEqual([path.join(folder, 'images', `${IMAGE}.qcow2`)]);
    expect(await subject.doesImageExist('linux-Other-1-v1')).toEqual([]);
    expect(await subject.getImageSizeMiB()).toBeGreaterThan(10);
  });

  it('says how far a guest has come', async () => {
    const subject = provisioner({});
    let diagnosis!: Awaited<ReturnType<typeof subject.diagnoseGuest>>;
    await eventually(async () => {
      diagnosis = await subject.diagnoseGuest();
      return diagnosis.answersPing === true && diagnosis.sshPortOpen === true;
    }, 20);
    expect(diagnosis).toMatchObject({
      domainState: expect.stringMatching(/^running/),
      dhcpLease: '192.168.121.21',
      answersPing: true,
      sshPortOpen: true,
    });
    expect(diagnosis.consoleTail).not.toBe('');
  });

  it('replaces the domain of an earlier load, and its disk', async () => {
    const overlay = path.join(folder, 'vms', 'vm1_12-v2.qcow2');
    const uuid = virsh('domuuid', 'vm1_TinyLinux_12-v2');
    expect(await load(provisioner({}, 'load-2'))).toEqual({ kind: 'done' });
    expect(domains()).toEqual(['vm1_TinyLinux_12-v2']);
    expect(virsh('domuuid', 'vm1_TinyLinux_12-v2')).not.toBe(uuid);
    expect(existsSync(overlay)).toBe(true);
  });

  it('unloads everything and is content when nothing is there', async () => {
    await provisioner({}).unload();
    expect([domains(), files('vms'), files('xml'), dhcpEntries()]).toEqual([[], [], [], []]);
    await provisioner({}).unload();
    // The lock of the image stays: a file that is removed while somebody waits for it would lock nothing.
    expect(files('images')).toEqual([`.${IMAGE}.lock`, `${IMAGE}.qcow2`]);
  });
});

describe('the networks of a VM profile', () => {
  const [network, bridge] = ['lab-net-1.0', 'br-int.7'];
  const xml = `<network><name>${network}</name><bridge name='virbr-odd'/><ip address='192.168.77.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.77.128' end='192.168.77.254'/></dhcp></ip></network>`;

  beforeAll(() => {
    writeFileSync(path.join(folder, 'network.xml'), xml);
    virsh('net-define', path.join(folder, 'network.xml'));
    virsh('net-start', network);
    execFileSync('ip', ['link', 'add', bridge, 'type', 'bridge']);
  });
  afterAll(() => {
    virsh('net-destroy', network);
    virsh('net-undefine', network);
    execFileSync('ip', ['link', 'delete', bridge]);
  });

  it('may have names with dashes and dots, and so may bridges [bug of vcld]', async () => {
    const profile = { privateNetwork: network, publicNetwork: bridge };
    const computer = { privateIp: '192.168.77.21' };
    const subject = provisioner({ profile, computer });
    expect(await load(subject)).toEqual({ kind: 'done' });
    const links = virsh('domiflist', subject.domainName);
    expect(links).toMatch(/network +lab-net-1\.0 .*52:54:00:0a:00:01/);
    expect(links).toMatch(/bridge +br-int\.7 .*52:54:00:0a:00:02/);
    const addresses = () => virsh('net-dumpxml', network);
    expect(addresses()).toContain("name='vm1' ip='192.168.77.21'");
    await subject.unload();
    expect(addresses()).not.toContain('192.168.77.21');
  });
});

describe('the size of an image', () => {
  it('is that of its file now, not of an earlier look [bug of vcld]', async () => {
    const file = path.join(folder, 'images', 'linux-Grows-9-v0.qcow2');
    const subject = provisioner({});
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file, '16M']);
    expect(await subject.getImageSizeMiB('linux-Grows-9-v0')).toBe(1);
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 0 8M', file]);
    expect(await subject.getImageSizeMiB('linux-Grows-9-v0')).toBeGreaterThanOrEqual(8);
    rmSync(file);
  });
});

describe('what does not belong to the computer', () => {
  const define = (name: string, disk?: string, metadata = '') => {
    const file = path.join(folder, `${name}.xml`);
    const devices = disk ? `<disk type='file'><source file='${disk}'/><target dev='vda'/></disk>` : '';
    writeFileSync(
      file,
      `<domain type='qemu'><name>${name}</name><memory>65536</memory><os><type>hvm</type></os>${metadata}<devices>${devices}</devices></domain>`,
    );
    virsh('define', file);
  };

  it('is never touched: domains of computers with a longer name, wild ones, and their disks', async () => {
    const disk = (name: string) => {
      const file = path.join(folder, 'vms', name);
      writeFileSync(file, 'somebody else’s data');
      return file;
    };
    define('vm1_x_12-v2', disk('vm1_x_12-v2.qcow2'));
    define('vm1', disk('database.qcow2'));
    define('vm1_old_7-v3', disk('vm1_7-v3.qcow2'));
    define('vm10_Tiny_12-v2', disk('vm10_12-v2.qcow2'));
    const subject = provisioner({});
    expect((await subject.ownDomains()).map(({ name }) => name)).toEqual(['vm1_old_7-v3']);
    await subject.unload();
    expect(domains().sort()).toEqual(['vm1', 'vm10_Tiny_12-v2', 'vm1_x_12-v2']);
    expect(files('vms').sort()).toEqual(['database.qcow2', 'vm10_12-v2.qcow2', 'vm1_x_12-v2.qcow2']);
    for (const name of domains()) virsh('undefine', name);
    for (const name of files('vms')) rmSync(path.join(folder, 'vms', name));
  });

  it('stops a load when it uses the disk that the load would make', async () => {
    const disk = path.join(folder, 'vms', 'vm1_12-v2.qcow2');
    writeFileSync(disk, 'somebody else’s data');
    define('stranger', disk);
    const outcome = await load(provisioner({}));
    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'DOMAIN_NOT_OURS' } });
    await expect(provisioner({}).unload()).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(readFileSync(disk, 'utf8')).toBe('somebody else’s data');
    virsh('undefine', 'stranger');
    rmSync(disk);
  });

  it('stops a load when it has the name of the domain', async () => {
    define('vm1_TinyLinux_12-v2', '/var/lib/somewhere/else.qcow2');
    const outcome = await load(provisioner({}));
    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'DOMAIN_NOT_OURS' }, leftovers: [] });
    expect(domains()).toEqual(['vm1_TinyLinux_12-v2']);
    virsh('undefine', 'vm1_TinyLinux_12-v2');
  });
});

describe('what is wrong with the site', () => {
  const failure = async (changes: HostedReservationParts) => {
    const outcome = await load(provisioner(changes));
    expect([domains(), files('vms'), files('xml'), dhcpEntries()]).toEqual([[], [], [], []]);
    return outcome.kind === 'failed'
      ? { code: outcome.error.code, message: outcome.error.message, left: outcome.leftovers }
      : outcome;
  };

  it('a network that is not there is named with those that are', async () => {
    expect(await failure({ profile: { privateNetwork: 'nowhere' } })).toMatchObject({
      code: 'NETWORK_NOT_FOUND',
      message: expect.stringMatching(/nowhere; there are: .*private/),
    });
  });

  it('a missing image is named with the places that were searched', async () => {
    expect(await failure({ image: { name: 'linux-Lost-99-v1' } })).toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      message: expect.stringContaining(path.join(folder, 'images')),
      left: [],
    });
  });

  it('an address that another entry has is not taken', async () => {
    const entry = "<host mac='52:54:00:ff:00:01' name='printer' ip='192.168.121.21'/>";
    virsh('net-update', 'private', 'add', 'ip-dhcp-host', entry, '--live', '--config');
    const outcome = await load(provisioner({}));
    virsh('net-update', 'private', 'delete', 'ip-dhcp-host', entry, '--live', '--config');
    expect(outcome).toMatchObject({
      kind: 'failed',
      error: { code: 'ADDRESS_TAKEN', message: expect.stringContaining('printer') },
      leftovers: [],
    });
    expect([domains(), files('vms'), files('xml'), dhcpEntries()]).toEqual([[], [], [], []]);
  });

  it('an image that names another file as its backing is refused', async () => {
    const bad = path.join(folder, 'images', 'linux-Evil-13-v0.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', '/etc/passwd', '-F', 'raw', bad, '1M']);
    expect(await failure({ image: { name: 'linux-Evil-13-v0' } })).toMatchObject({ code: 'IMAGE_UNTRUSTED' });
  });

  it('names that could be more than names are refused before anything is run', () => {
    expect(() => provisioner({ computer: { shortName: '../vm1' } })).toThrow(/name of the computer/);
    expect(() => provisioner({ profile: { privateNetwork: "x'; destroy y" } })).toThrow(/private network/);
  });
});
