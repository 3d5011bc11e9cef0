/** The Linux module on the lab's guest: busybox, dropbear and init scripts, over the daemon's own ssh connection. */
import { execFile } from 'node:child_process';
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { asGuest } from '../../lib/host/guest';
import { SshGuestConnector } from '../../lib/host/guest-connector';
import type { GuestSession, GuestTarget } from '../../lib/host/guest-session';
import type { GuestAccount, OsContext, OsModule } from '../../lib/plugins/api';
import linux from '../../os-modules/linux';
import { makeReservation } from '../fixtures/reservation';
import { eventually } from '../support/eventually';
import { type Lab, readLab } from '../support/lab';
import { asUser, logIn, type UserAtMachine } from '../support/user-ssh';

const execute = promisify(execFile);
const stages = linux as Required<OsModule>;
const NAME = 'linux-os-test';
const PRIVATE = { mac: '52:54:00:77:01:01', address: '192.168.121.78' };
const PUBLIC = { mac: '52:54:00:77:01:02', address: '192.168.122.78' };
const USER = '192.168.122.1';
const PASSWORD = `p:a"s's $1\\`;
const IMAGES = '/var/lib/libvirt/images';
const FILES = { base: `${IMAGES}/${NAME}-base.qcow2`, overlay: `${IMAGES}/${NAME}.qcow2` };
const student: GuestAccount = { login: 'student', uid: 2078, password: PASSWORD, sshPublicKeys: [], root: true };

const inLab = process.env.PROVISIOND_LAB !== undefined;
if (!inLab) process.stderr.write('NOT RUN: the Linux module on the lab guest: no lab (test/README.md)\n');

async function run(program: string, ...args: string[]): Promise<string> {
  return (await execute(program, args, { timeout: 40_000 })).stdout.trim();
}

const user: UserAtMachine = { login: student.login, address: PUBLIC.address, password: PASSWORD };

const DOMAIN = `<domain type='qemu'><name>${NAME}</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/><apic/></features>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${FILES.overlay}'/>
      <target dev='vda' bus='virtio'/></disk>
    <interface type='network'><mac address='${PRIVATE.mac}'/><source network='private'/><model type='virtio'/></interface>
    <interface type='network'><mac address='${PUBLIC.mac}'/><source network='public'/><model type='virtio'/></interface>
  </devices></domain>`;

async function setDhcpEntries(verb: 'add' | 'delete'): Promise<void> {
  for (const [network, { mac, address }] of Object.entries({ private: PRIVATE, public: PUBLIC })) {
    const entry = `<host mac='${mac}' ip='${address}'/>`;
    await run('virsh', 'net-update', network, verb, 'ip-dhcp-host', entry, '--live', '--config');
  }
}

(inLab ? describe : describe.skip)('the Linux module on a guest of busybox and dropbear', () => {
  let lab: Lab;
  let session: GuestSession;
  const connector = new SshGuestConnector({ commandTimeoutMs: 30_000 });
  const said: string[] = [];
  const note = (message: string) => void said.push(message);
  const log = { debug: note, info: note, warn: note, error: note };

  const target = (): GuestTarget => ({
    name: NAME,
    address: PRIVATE.address,
    port: 22,
    user: 'root',
    keyFiles: [lab.guestKeyFile],
    hostKey: null,
  });
  const context = (): OsContext => {
    const addresses = { privateIp: PRIVATE.address, privateMac: PRIVATE.mac, publicMac: PUBLIC.mac };
    const reservation = makeReservation({ computer: addresses });
    return { reservation, guest: asGuest(session, log), log, signal: new AbortController().signal };
  };
  const ask = async (command: string) => (await session.run(['sh', '-c', command], { expect: 'any' })).stdout.trim();
  const connect = async () => {
    session = await connector.waitFor(target(), { timeoutMs: 40_000 });
  };

  beforeAll(async () => {
    lab = readLab();
    copyFileSync(lab.imageFile, FILES.base);
    await run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', FILES.base, '-F', 'qcow2', FILES.overlay);
    await setDhcpEntries('add');
    writeFileSync(`${lab.folder}/${NAME}.xml`, DOMAIN);
    await run('virsh', 'create', `${lab.folder}/${NAME}.xml`);
    await connect();
  });

  afterAll(async () => {
    await connector.close();
    await run('virsh', 'destroy', NAME).catch(() => {});
    await setDhcpEntries('delete');
    for (const file of Object.values(FILES)) rmSync(file, { force: true });
  });

  it('sets a fresh guest up, and leaves it so when that is repeated', async () => {
    expect(await stages.status(context())).toMatchObject({
      imageRevisionId: null,
      postLoadDone: false,
      tainted: false,
    });
    for (let repeat = 0; repeat < 2; repeat++) await stages.postLoad(context());
    expect(await stages.status(context())).toMatchObject({ imageRevisionId: 34, postLoadDone: true, tainted: false });
    expect(await ask('hostname; cat /etc/hostname; grep vm1 /etc/hosts')).toBe(
      'vm1\nvm1\n127.0.1.1 vm1.example.org vm1',
    );
    expect(await ask('sed -n "s/^root:\\(...\\).*/\\1/p" /etc/shadow')).toBe('$6$');
  });

  it('sets a clock that is far off', async () => {
    await ask('date -s @1000000000');
    await stages.postLoad(context());
    expect(Math.abs(Number(await ask('date +%s')) - Date.now() / 1000)).toBeLessThan(30);
  });

  it('makes the account and tells the address that DHCP gave the public interface', async () => {
    const key = 'ssh-ed25519 AAAAC3Nz student@home';
    for (let repeat = 0; repeat < 2; repeat++) {
      const accounts = [{ ...student, sshPublicKeys: [key] }];
      expect(await stages.reserve({ ...context(), accounts })).toEqual({ publicIp: PUBLIC.address });
    }
    expect(await ask('id -u student; id -gn student; cat /home/student/.ssh/authorized_keys')).toBe(
      `2078\nvcl\n${key}`,
    );
    expect(said).toContain('the guest has no sudo: student cannot become root');
  });

  it('lets the user in by password once access is granted, root never, and sees who is connected', async () => {
    const connected = () => stages.isUserConnected({ ...context(), remoteIp: USER, ignoredAddresses: [] });
    await expect(asUser(user, 'true')).rejects.toThrow(/refused/);
    await stages.grantAccess({ ...context(), remoteIp: USER });
    expect(await asUser(user, 'id -un; hostname')).toBe('student\nvm1\n');
    await expect(asUser({ ...user, login: 'root' }, 'true')).rejects.toThrow(/denied/);
    expect(await connected()).toBeNull();
    const visit = await logIn(user);
    expect(await connected()).toEqual({ remoteIp: USER });
    const seen = (ignoredAddresses: string[]) =>
      stages.isUserConnected({ ...context(), remoteIp: '192.0.2.1', ignoredAddresses });
    expect(await seen([])).toEqual({ remoteIp: USER });
    expect(await seen([USER])).toBeNull();
    await expect(stages.sanitize({ ...context(), accounts: [student] })).rejects.toThrow(/somebody is connected/);
    await visit.leave();
    await eventually(async () => (await connected()) === null);
  });

  it('cleans a guest that nobody used, so that no log-in is left', async () => {
    for (let repeat = 0; repeat < 2; repeat++) await stages.sanitize({ ...context(), accounts: [student] });
    expect(await ask('cut -d: -f1 /etc/passwd; ls /home')).toBe('root');
    await expect(asUser(user, 'true')).rejects.toThrow(/refused/);
  });

  it('refuses to clean a guest that a user was on', async () => {
    await stages.postInitialConnection({ ...context(), remoteIp: USER });
    expect(await stages.status(context())).toMatchObject({ tainted: true });
    await expect(stages.sanitize({ ...context(), accounts: [student] })).rejects.toThrow(/user logged in/);
  });

  it('comes back after a reboot as the machine it was, and goes down when told to', async () => {
    const bootId = await ask('cat /proc/sys/kernel/random/boot_id');
    await stages.reboot(context());
    await eventually(async () => {
      await connector.forget(PRIVATE.address);
      await connect();
      return (await ask('cat /proc/sys/kernel/random/boot_id').catch(() => bootId)) !== bootId;
    }, 60);
    expect(await ask('hostname')).toBe('vm1');
    await stages.shutdown(context());
    await eventually(async () => !(await run('virsh', 'list', '--name')).includes(NAME), 20);
  });
});
