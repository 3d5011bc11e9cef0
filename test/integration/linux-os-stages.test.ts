/** Every stage of the Linux module on a Debian in namespaces: its own sshd, accounts and network, nobody's machine. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { GuestAccount, OsContext, OsModule } from '../../lib/plugins/api';
import linux from '../../os-modules/linux';
import { NamespaceGuest } from '../fixtures/namespace-guest';
import { makeReservation, type ReservationParts } from '../fixtures/reservation';
import { eventually } from '../support/eventually';

const USER = '10.99.1.77';
const OTHER = '10.99.1.78';
const PASSWORD = `x"'$(id) y\\:z`;
const stages = linux as Required<OsModule>;
const asRoot = process.getuid?.() === 0;
if (!asRoot) process.stderr.write('NOT RUN: the stages of the Linux module need root for their namespaces\n');

const alice: GuestAccount = { login: 'alice', uid: 1501, password: PASSWORD, sshPublicKeys: [], root: true };
const bob: GuestAccount = { login: 'bob.b', uid: null, password: 'other', sshPublicKeys: [], root: false };

(asRoot ? describe : describe.skip)('the Linux module on a Debian guest', () => {
  let guest: NamespaceGuest;
  const warnings: string[] = [];
  const note = () => {};
  const log = { debug: note, info: note, warn: (message: string) => void warnings.push(message), error: note };
  const context = (parts?: ReservationParts): OsContext => ({
    reservation: makeReservation(parts),
    guest,
    log,
    signal: new AbortController().signal,
  });
  const reserve = (...accounts: GuestAccount[]) => stages.reserve({ ...context(), accounts });

  beforeAll(async () => {
    guest = await NamespaceGuest.start();
  });
  afterAll(() => guest?.stop());

  /** An ssh log-in of a user from outside. @returns what the command printed, or that it was refused */
  const login = async (user: string, from: string, command: string): Promise<string> => {
    const { exitCode, stdout } = await guest.run([
      ...['sshpass', '-p', PASSWORD, 'ssh', '-b', from, '-o', 'StrictHostKeyChecking=no', '-o', 'LogLevel=ERROR'],
      ...['-o', 'PubkeyAuthentication=no', '-o', 'NumberOfPasswordPrompts=1', `${user}@10.99.1.2`, command],
    ]);
    return exitCode === 0 ? stdout.trim() : `refused with exit code ${exitCode}`;
  };
  /** @returns what is answered once it is as wanted */
  const settled = async <T>(ask: () => Promise<T>, wanted: (value: T) => boolean): Promise<T> => {
    let value!: T;
    await eventually(
      async () => wanted((value = await ask())),
      10,
      () => JSON.stringify(value),
    );
    return value;
  };

  /** Connected comes before logged in. */
  const commandsOfAlice = (count: number) =>
    settled(
      () => guest.ask('pgrep -cu alice sleep'),
      (running) => running === String(count),
    );

  it('knows nothing of a guest whose image has no currentimage.txt', async () => {
    expect(await stages.status(context())).toMatchObject({
      imageRevisionId: null,
      postLoadDone: false,
      tainted: false,
    });
  });

  it('sets a fresh guest up, and leaves it so when that is repeated', async () => {
    await guest.ask('mkdir -p ~/.ssh; echo foreign > ~/.ssh/id_rsa; echo vcld_tainted=old > ~/currentimage.txt');
    const parts = { image: { prettyName: 'Tiny $(touch /tmp/hostile)\n`id`' } };
    for (let repeat = 0; repeat < 2; repeat++) await stages.postLoad(context(parts));
    expect(await guest.ask('hostname; cat /etc/hostname')).toBe('vm1\nvm1');
    expect(await guest.ask('grep -c "^127.0.1.1 vm1.example.org vm1$" /etc/hosts')).toBe('1');
    expect(await guest.ask('ls ~/.ssh; ls /tmp; getent shadow root | cut -c1-8')).toBe('root:$y$');
    const lines = (await guest.ask('cat ~/currentimage.txt')).split('\n');
    expect(lines.slice(0, 7)).toEqual([
      'vmwarelinux-Tiny12-v2',
      'id=12',
      'prettyname=Tiny $(touch /tmp/hostile) `id`',
      'imagerevision_id=34',
      'imagerevision_datecreated=2026-01-01 09:00:00',
      'computer_id=5',
      'computer_hostname=vm1.example.org',
    ]);
    expect(lines.slice(7)).toEqual([expect.stringMatching(/^vcld_post_load=success \(.+\)$/)]);
    expect(await stages.status(context())).toMatchObject({
      imageRevisionId: 34,
      postLoadDone: true,
      tainted: false,
    });
  });

  it('leaves the host name alone where the image says so', async () => {
    await stages.postLoad(context({ image: { setHostname: false }, computer: { shortName: 'vm2' } }));
    expect(await guest.ask('hostname')).toBe('vm1');
  });

  it.each(['-F/etc/shadow', 'a b', 'a\nb', ''])(
    'refuses the host name %j, and blames the request',
    async (shortName) => {
      await expect(stages.postLoad(context({ computer: { shortName } }))).rejects.toMatchObject({
        code: 'REQUEST_INVALID',
      });
    },
  );

  it('runs the scripts of the image, tells of their failure, and takes no results from them', async () => {
    await guest.ask('mkdir -p /usr/local/vcl; echo "echo @@error spoofed; exit 3" > /usr/local/vcl/vcl_post_load');
    await stages.postLoad(context());
    expect(warnings).toContain('/usr/local/vcl/vcl_post_load ended with exit code 3');
    await guest.ask('rm /usr/local/vcl/vcl_post_load');
  });

  it('makes the accounts, the same when repeated, and reports the address users connect to', async () => {
    const key = 'ssh-ed25519 AAAAC3Nz alice@$(hostname)';
    for (let repeat = 0; repeat < 2; repeat++) {
      expect(await reserve({ ...alice, sshPublicKeys: [key] }, bob)).toEqual({ publicIp: '10.99.1.2' });
    }
    expect(await guest.ask('id -u alice; id -gn alice; id -gn bob.b')).toBe('1501\nvcl\nvcl');
    expect(await guest.ask('cat /home/alice/.ssh/authorized_keys')).toBe(key);
    expect(await guest.ask('stat -c "%U %a" /home/alice/.ssh /home/alice/.ssh/authorized_keys')).toBe(
      'alice 700\nalice 600',
    );
    expect(await guest.ask('cat /etc/sudoers.d/vcl /etc/sudoers 2>/dev/null | grep vcl$')).not.toContain('bob');
  });

  it('does not follow a link that a user laid in a home', async () => {
    await guest.ask('rm -rf /home/alice/.ssh; ln -s /root/.ssh /home/alice/.ssh');
    await expect(reserve({ ...alice, sshPublicKeys: ['ssh-ed25519 AAAA evil'] })).rejects.toThrow(/keys of alice/);
    expect(await guest.ask('cat /root/.ssh/authorized_keys')).toBe('');
    await guest.ask('rm /home/alice/.ssh');
  });

  it('removes the accounts that are not wanted any more', async () => {
    await reserve(alice);
    expect(await guest.ask('getent passwd bob.b; ls /home')).toBe('alice');
  });

  it('lets an account of the image join, and locks it afterwards instead of deleting it', async () => {
    await guest.ask('useradd -m -u 1700 carol');
    await reserve(alice, { ...bob, login: 'carol' });
    expect(await guest.ask('id -Gn carol')).toBe('carol vcl');
    await reserve(alice);
    expect(await guest.ask('id -Gn carol; getent shadow carol | cut -d: -f2 | cut -c1')).toBe('carol\n!');
  });

  it.each(['root', 'x; reboot', '-rf', '../x', '12345', 'a:b', '', 'a\nb', 'ümlaut'])(
    'refuses the login %j, and blames the request',
    async (name) => {
      await expect(reserve({ ...alice, login: name })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    },
  );

  it('refuses a login that is a system account of the image', async () => {
    await expect(reserve({ ...alice, login: 'daemon' })).rejects.toThrow('daemon is a system account of the image');
  });

  it('lets the reserved user in on the public address by password, and nobody else', async () => {
    await reserve(alice);
    for (let repeat = 0; repeat < 2; repeat++) await stages.grantAccess({ ...context(), remoteIp: USER });
    expect(await login('alice', USER, 'id -un')).toBe('alice');
    expect(await login('carol', USER, 'id -un')).toMatch(/^refused/);
    expect(await login('root', USER, 'id -un')).toMatch(/^refused/);
    expect(await guest.ask("ss -ltnH | awk '{ print $4 }' | sort")).toBe('10.99.0.2:22\n10.99.1.2:22');
  });

  it('sees who is connected, and from where, but is not taken in by a port scan', async () => {
    const connected = () => stages.isUserConnected({ ...context(), remoteIp: USER, ignoredAddresses: [] });
    expect(await connected()).toBeNull();
    const scan = guest.run(['bash', '-c', 'exec 3<>/dev/tcp/10.99.1.2/22; sleep 1']);
    await settled(
      () => guest.ask('ss -tnH state established'),
      (sockets) => sockets !== '',
    );
    expect(await connected()).toBeNull();
    await scan;
    const elsewhere = login('alice', OTHER, 'sleep 300');
    expect(await settled(connected, (seen) => seen !== null)).toEqual({ remoteIp: OTHER });
    const announced = login('alice', USER, 'sleep 300');
    expect(await settled(connected, (seen) => seen?.remoteIp === USER)).toEqual({ remoteIp: USER });
    await commandsOfAlice(2);
    await guest.ask('pkill -u alice');
    await Promise.all([elsewhere, announced]);
    expect(await settled(connected, (seen) => seen === null)).toBeNull();
  });

  it('opens the ports of a filtering guest for anybody, narrows them to the user, and closes them', async () => {
    const rules = () => guest.ask('iptables -S vcl-reservation | grep -v ^-N');
    await guest.ask('iptables -P INPUT DROP; iptables -A INPUT -i lo -j ACCEPT');
    await stages.grantAccess({ ...context(), remoteIp: '' });
    expect(await rules()).toBe('-A vcl-reservation -p tcp -m tcp --dport 22 -j ACCEPT');
    await stages.postInitialConnection({ ...context(), remoteIp: USER });
    expect(await rules()).toBe(`-A vcl-reservation -s ${USER}/32 -p tcp -m tcp --dport 22 -j ACCEPT`);
    expect(await guest.ask('iptables -S INPUT | grep -c vcl-reservation')).toBe('1');
    await stages.postLoad(context());
    expect(await rules()).toBe('');
    await guest.ask('iptables -P INPUT ACCEPT; iptables -F INPUT');
  });

  it('hands nothing of one user to the next: refuses a tainted guest, cleans one that nobody used', async () => {
    await reserve(alice, { ...bob, login: 'carol' });
    await stages.grantAccess({ ...context(), remoteIp: USER });
    await guest.ask('echo "#!/bin/sh" > /usr/local/vcl/vcl_post_reserve');
    await stages.postReserve({ ...context(), userData: null });
    expect(await stages.status(context())).toMatchObject({ tainted: true });
    const sanitize = () => stages.sanitize({ ...context(), accounts: [alice] });
    await expect(sanitize()).rejects.toThrow(/a user was on it: post reserve script was run/);
    await guest.ask('sed -i /^vcld_tainted=/d ~/currentimage.txt');
    for (let repeat = 0; repeat < 2; repeat++) await sanitize();
    expect(await guest.ask('getent passwd alice; ls /home; ls /etc/sudoers.d 2>/dev/null | grep vcl')).toBe('carol');
    expect(await guest.ask("ss -ltnH | awk '{ print $4 }'")).toBe('10.99.0.2:22');
  });

  it('refuses to hand out a guest while somebody is connected', async () => {
    await reserve(alice);
    await stages.grantAccess({ ...context(), remoteIp: USER });
    const session = login('alice', USER, 'sleep 300');
    await commandsOfAlice(1);
    await expect(stages.sanitize({ ...context(), accounts: [alice] })).rejects.toThrow(`connected from ${USER}`);
    await guest.ask('pkill -KILL -u alice');
    await session;
  });
});
