/** The lab's own guest, booted by libvirt: what the tests of loads and of the Linux OS module take for granted. */
import { execFile } from 'node:child_process';
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually';
import { readLab } from '../support/lab';
import { asUser, type UserAtMachine } from '../support/user-ssh';

const execute = promisify(execFile);
const NAME = 'guest-image-test';
const PRIVATE = { mac: '52:54:00:77:00:01', address: '192.168.121.77' };
const PUBLIC = { mac: '52:54:00:77:00:02', address: '192.168.122.77' };
const BASE = `/var/lib/libvirt/images/${NAME}-base.qcow2`;
const OVERLAY = `/var/lib/libvirt/images/${NAME}.qcow2`;
const CONSOLE = `/var/log/libvirt/${NAME}.console`;
const SSH_OPTIONS = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'ConnectTimeout=2'];

const lab = readLab();

async function run(program: string, ...args: string[]): Promise<string> {
  return (await execute(program, args, { timeout: 20_000 })).stdout.trim();
}

function options(...more: string[]): string[] {
  return [...SSH_OPTIONS, ...more].flatMap((option) => ['-o', option]);
}

/** As provisiond: root, by key, on the private address. */
function asRoot(command: string): Promise<string> {
  return run('ssh', ...options('BatchMode=yes'), '-i', lab.guestKeyFile, `root@${PRIVATE.address}`, command);
}

const anna: UserAtMachine = { login: 'anna', address: PUBLIC.address, password: 'pa:ss$1' };

function domainXml(): string {
  return `<domain type='qemu'><name>${NAME}</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
    <os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/><apic/></features>
    <devices>
      <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${OVERLAY}'/>
        <target dev='vda' bus='virtio'/></disk>
      <interface type='network'><mac address='${PRIVATE.mac}'/><source network='private'/><model type='virtio'/></interface>
      <interface type='network'><mac address='${PUBLIC.mac}'/><source network='public'/><model type='virtio'/></interface>
      <serial type='pty'><log file='${CONSOLE}' append='off'/></serial>
    </devices></domain>`;
}

async function setDhcpEntries(verb: 'add' | 'delete'): Promise<void> {
  for (const [network, { mac, address }] of Object.entries({ private: PRIVATE, public: PUBLIC })) {
    const entry = `<host mac='${mac}' ip='${address}'/>`;
    await run('virsh', 'net-update', network, verb, 'ip-dhcp-host', entry, '--live', '--config');
  }
}

async function domainRuns(): Promise<boolean> {
  return (await run('virsh', 'list', '--name')).split('\n').includes(NAME);
}

describe('the guest image of the lab', () => {
  beforeAll(async () => {
    copyFileSync(lab.imageFile, BASE);
    await run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', BASE, '-F', 'qcow2', OVERLAY);
    await setDhcpEntries('add');
    const xmlFile = `${lab.folder}/${NAME}.xml`;
    writeFileSync(xmlFile, domainXml());
    await run('virsh', 'create', xmlFile);
    await eventually(
      () =>
        asRoot('true').then(
          () => true,
          () => false,
        ),
      40,
    );
  });

  afterAll(async () => {
    if (await domainRuns()) await run('virsh', 'destroy', NAME);
    await setDhcpEntries('delete');
    for (const file of [BASE, OVERLAY, CONSOLE]) rmSync(file, { force: true });
  });

  it('takes the addresses that DHCP reserves for its two interfaces', async () => {
    const addresses = () => asRoot('ip -o -4 address');
    await eventually(async () => (await addresses()).includes(`${PUBLIC.address}/24`));
    expect(await addresses()).toContain(`${PRIVATE.address}/24`);
  });

  it('is fresh: it says nothing of an image and has no user', async () => {
    expect(await asRoot('ls /root /home')).not.toMatch(/currentimage|\w+:\n\w/);
    expect(await asRoot('cut -d: -f1 /etc/passwd')).toBe('root');
  });

  it('shows no sshd on the public address until it is asked for one', async () => {
    await expect(run('bash', '-c', `exec 3<> /dev/tcp/${PUBLIC.address}/22`)).rejects.toThrow();
  });

  it('lets a user with a password in by the external sshd, and root not', async () => {
    await asRoot(
      `useradd -m -s /bin/bash -u 2077 anna && echo '${anna.login}:${anna.password}' | chpasswd && service ext_sshd start`,
    );
    expect(await asUser(anna, 'id -u; pwd')).toBe('2077\n/home/anna\n');
    await asRoot(`echo root:toor | chpasswd`);
    await expect(asUser({ ...anna, login: 'root', password: 'toor' }, 'true')).rejects.toThrow(/denied/);
    await expect(asUser({ ...anna, password: 'wrong' }, 'true')).rejects.toThrow(/denied/);
  });

  it('tells who starts and stops the external sshd how it stands', async () => {
    expect(await asRoot('service ext_sshd status')).toMatch(/is running/);
    await asRoot('service ext_sshd stop');
    expect(await asRoot('service ext_sshd status || echo code $?')).toMatch(/is stopped\ncode 3/);
    await asRoot('userdel -r anna');
    expect(await asRoot('ls /home')).toBe('');
  });

  it('comes back after a reboot with what was written to it', async () => {
    await asRoot('echo kept > /root/note; sync');
    const bootId = () => asRoot('cat /proc/sys/kernel/random/boot_id');
    const before = await bootId();
    await asRoot('reboot').catch(() => undefined);
    await eventually(async () => (await bootId().catch(() => before)) !== before, 40);
    expect(await asRoot('cat /root/note')).toBe('kept');
  });

  it('powers off when the power button is pressed, and its console tells of it', async () => {
    await run('virsh', 'shutdown', NAME);
    await eventually(async () => !(await domainRuns()));
    expect(readFileSync(CONSOLE, 'utf8')).toMatch(/guest: root mounted[\s\S]*guest: power button/);
  });
});
