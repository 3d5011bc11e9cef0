import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { asGuest } from '../../lib/host/guest';
import type { GuestTarget } from '../../lib/host/guest-session';
import { script } from '../../lib/host/host';
import { eventually } from '../support/eventually';
import { FakeGuests, NO_FAKE_GUESTS } from '../support/fake-guest';
import { FakeHost } from '../support/fake-host';
import { failure } from './host.contract';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);

const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const MAC = '52:54:00:00:00:01';
const NAME = 'vm1_debian_7-v0';

wherever('the guest of a fake world', () => {
  let host: FakeHost;
  let guests: FakeGuests;
  const target: GuestTarget = {
    name: 'vm1',
    address: '192.168.121.50',
    port: 22,
    user: 'root',
    keyFiles: [],
    hostKey: null,
  };
  const soon = { timeoutMs: 150 };
  const virsh = (...argv: string[]) => host.run(['virsh', '-q', ...argv]);

  beforeEach(async () => {
    host = new FakeHost();
    guests = new FakeGuests(host);
    const nic = `<interface type="network"><mac address="${MAC}"/><source network="private"/></interface>`;
    const xml = `<domain type="qemu"><name>${NAME}</name><os><type>hvm</type></os><devices>${nic}</devices></domain>`;
    await host.run(script('cat > "$1"; virsh -q define "$1"', host.path('xml', 'vm1.xml')), { stdin: xml });
    const entry = `<host mac='${MAC}' ip='${target.address}'/>`;
    await virsh('net-update', 'private', 'add', 'ip-dhcp-host', entry, '--live', '--config');
  });
  afterEach(() => host.close());

  it('answers while its domain runs, and only then', async () => {
    expect((await failure(guests.waitFor(target, soon), 'GUEST_NO_ANSWER')).details).toMatchObject({
      reached: 'nothing',
    });
    await virsh('start', NAME);
    const session = await guests.waitFor(target, soon);
    expect((await session.run(['echo', 'here'])).stdout).toBe('here\n');
    expect((await host.run(['ping', '-c', '1', target.address])).exitCode).toBe(0);
    await host.run(['bash', '-c', ': </dev/tcp/$0/22', target.address]);
    await host.run(['nc', '-z', '-w', '1', target.address, '22']);
    expect((await virsh('net-dhcp-leases', 'private', '--mac', MAC)).stdout).toContain(`${target.address}/24`);
    await virsh('destroy', NAME);
    await failure(session.run(['true']), 'GUEST_NO_ANSWER');
    await failure(guests.waitFor(target, soon), 'GUEST_NO_ANSWER');
    await failure(host.run(['ping', '-c', '1', target.address]), 'COMMAND_FAILED');
    await failure(host.run(['bash', '-c', ': </dev/tcp/$0/22', target.address]), 'COMMAND_FAILED');
    await failure(host.run(['nc', '-z', target.address, '22']), 'COMMAND_FAILED');
  });

  it('does not answer at an address that its network did not give it', async () => {
    await virsh('net-update', 'private', 'delete', 'ip-dhcp-host', `<host mac='${MAC}'/>`, '--live', '--config');
    await virsh('start', NAME);
    await failure(guests.waitFor(target, soon), 'GUEST_NO_ANSWER');
  });

  it('writes to its own disk and never to this machine', async () => {
    await virsh('start', NAME);
    const guest = asGuest(await guests.waitFor(target, soon), { debug: () => {} });
    const text = `
      hostname "$1" && echo "$1" > /etc/hostname
      useradd -m provisiond-tester && read -r password && echo "provisiond-tester:$password" | chpasswd
      echo mark > /root/currentimage.txt; echo x > /var/lib/provisiond-test; touch /usr/provisiond-test 2> /dev/null
      echo "@@uid $(id -u provisiond-tester)"; echo "@@name $(hostname)"`;
    const results = await guest.script('post-load', text, ['vm1'], 'secret\n');
    expect(results['name']).toBe('vm1');
    expect(Number(results['uid'])).toBeGreaterThan(0);
    expect(guests.read(NAME, '/root/currentimage.txt')).toBe('mark\n');
    expect(guests.read(NAME, '/etc/shadow')).toContain('provisiond-tester:$');
    expect(await guest.script('again', 'echo "@@name $(hostname)"')).toEqual({ name: 'vm1' });

    expect(readFileSync('/etc/passwd', 'utf8')).not.toContain('provisiond-tester');
    for (const file of [
      '/root/currentimage.txt',
      '/var/lib/provisiond-test',
      '/usr/provisiond-test',
      '/home/provisiond-tester',
    ]) {
      expect([file, existsSync(file)]).toEqual([file, false]);
    }
    expect(hostname()).not.toBe('vm1');
  });

  it('keeps its disk over a restart, and has a new one as a new domain', async () => {
    await virsh('start', NAME);
    await (await guests.waitFor(target, soon)).run(script('echo kept > /root/file'));
    await virsh('destroy', NAME);
    await virsh('start', NAME);
    expect((await (await guests.waitFor(target, soon)).run(['cat', '/root/file'])).stdout).toBe('kept\n');
    await virsh('destroy', NAME);
    await virsh('undefine', NAME);
    await virsh('define', host.path('xml', 'vm1.xml'));
    await virsh('start', NAME);
    expect((await (await guests.waitFor(target, soon)).run(['ls', '/root'])).stdout).toBe('');
  });

  it('can answer late, stay half-way, refuse the log-in, or show another key', async () => {
    await virsh('start', NAME);
    guests.behave('vm1', { answersAfterMs: 400 });
    await failure(guests.waitFor(target, { timeoutMs: 50 }), 'GUEST_NO_ANSWER');
    await guests.waitFor(target, { timeoutMs: 2_000 });
    guests.behave('vm1', { reaches: 'banner' });
    expect((await failure(guests.waitFor(target, soon), 'GUEST_NO_ANSWER')).details).toMatchObject({
      reached: 'banner',
    });
    guests.behave('vm1', { refusesLogin: true });
    await failure(guests.waitFor(target, soon), 'GUEST_LOGIN_REFUSED');
    guests.behave('vm1', {});
    const { hostKey } = await guests.waitFor(target, soon);
    await guests.waitFor({ ...target, hostKey }, soon);
    await failure(guests.waitFor({ ...target, hostKey: 'SHA256:other' }, soon), 'GUEST_KEY_CHANGED');
  });

  it('can let one script fail', async () => {
    await virsh('start', NAME);
    const guest = asGuest(await guests.waitFor(target, soon), { debug: () => {} });
    guests.behave('vm1', { failing: { match: /chpasswd/, stdout: '@@error no room for a password\n' } });
    await guest.script('first', 'true');
    const error = await failure(guest.script('second', 'chpasswd'), 'GUEST_COMMAND_FAILED');
    expect(error.message).toContain('no room for a password');
    expect(error.blame).toBe('computer');
  });

  it('reboots and goes down on its own wish', async () => {
    await virsh('start', NAME);
    const session = await guests.waitFor(target, soon);
    await session.run(script('( sleep 0.2; exec shutdown -r now ) > /dev/null 2>&1 < /dev/null &'));
    await eventually(() => host.domain(NAME)?.boots === 2);
    expect(host.domain(NAME)?.state).toBe('running');
    await failure(session.run(['true']), 'GUEST_NO_ANSWER');
    await (await guests.waitFor(target, soon)).run(['poweroff']);
    await eventually(() => host.domain(NAME)?.state === 'shut off');
  });

  it('is told to stop waiting by a signal', async () => {
    const reason = new Error('stopped');
    await expect(guests.waitFor(target, { timeoutMs: 5_000, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});
