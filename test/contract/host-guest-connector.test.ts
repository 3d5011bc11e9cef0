import { afterEach, describe, expect, it } from '@jest/globals';
import { type Server, type Socket, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { script } from '../../lib/host/host';
import { asGuest } from '../../lib/host/guest';
import { SshGuestConnector } from '../../lib/host/guest-connector';
import type { GuestTarget } from '../../lib/host/guest-session';
import { eventually } from '../support/eventually';
import { PATIENCE } from '../support/patience';
import { type PrivateSshd, type SshdOptions, findFreePort, startSshd } from '../support/sshd';
import { TcpProxy } from '../support/tcp-proxy';
import { failure } from './host.contract';

const ended: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

async function guest(options?: SshdOptions): Promise<PrivateSshd> {
  const sshd = await startSshd(options);
  ended.push(() => sshd.stop());
  return sshd;
}

function connector(options?: ConstructorParameters<typeof SshGuestConnector>[0]): SshGuestConnector {
  const made = new SshGuestConnector(options);
  ended.push(() => made.close());
  return made;
}

function targetOf(sshd: PrivateSshd, more: Partial<GuestTarget> = {}): GuestTarget {
  const { address, port, user, keyFile } = sshd;
  return { name: 'vm1', address, port, user, keyFiles: [keyFile], hostKey: null, ...more };
}

/** Something that accepts connections and does no more than this with them. */
async function listen(welcome: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    welcome(socket);
  });
  const port = await findFreePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  ended.push(async () => {
    sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => server.close(resolve));
  });
  return port;
}

const nobody = (port: number): GuestTarget => ({
  name: 'vm1',
  address: '127.0.0.1',
  port,
  user: 'root',
  keyFiles: [],
  hostKey: null,
});

describe('waiting for a guest', () => {
  it('notices at once when it appears, however long that took', async () => {
    const sshd = await guest();
    const port = await findFreePort();
    const waiting = connector().waitFor(targetOf(sshd, { port }), { timeoutMs: 15_000 });
    await sleep(700);
    const proxy = await TcpProxy.to(sshd.port, port);
    ended.push(() => proxy.close());
    const appearedAt = performance.now();
    const session = await waiting;
    // A new socket every few ms, and one handshake (about 100 ms on a quiet machine).
    expect(performance.now() - appearedAt).toBeLessThan(600 * PATIENCE);
    expect((await session.run(['echo', 'here'])).stdout).toBe('here\n');
  });

  it('says that it reached nothing when the port is closed', async () => {
    const target = nobody(await findFreePort());
    const error = await failure(connector().waitFor(target, { timeoutMs: 200 }), 'GUEST_NO_ANSWER');
    expect(error.details).toMatchObject({ reached: 'nothing', computer: 'vm1' });
    expect(error.blame).toBe('computer');
    expect(error.cause).toBeInstanceOf(Error);
  });

  it('says that it reached the port when nothing speaks there', async () => {
    const target = nobody(await listen(() => {}));
    const error = await failure(connector().waitFor(target, { timeoutMs: 300 }), 'GUEST_NO_ANSWER');
    expect(error.details).toMatchObject({ reached: 'port' });
  });

  it('says that it reached the banner when no more than that came', async () => {
    const target = nobody(await listen((socket) => socket.write('SSH-2.0-dropbear\r\n')));
    const error = await failure(connector().waitFor(target, { timeoutMs: 300 }), 'GUEST_NO_ANSWER');
    expect(error.details).toMatchObject({ reached: 'banner' });
  });

  it('bears a refused log-in for a while only', async () => {
    const sshd = await guest({ letsUsIn: false });
    const waiting = connector({ refusalGraceMs: 700 }).waitFor(targetOf(sshd), { timeoutMs: 10_000 });
    const error = await failure(waiting, 'GUEST_LOGIN_REFUSED');
    expect(error.blame).toBe('image');
  });

  it('ends at once when it is told to', async () => {
    const abort = new AbortController();
    const reason = new Error('the request was deleted');
    setTimeout(() => abort.abort(reason), 100);
    const startedAt = performance.now();
    const target = nobody(await listen(() => {}));
    const waiting = connector().waitFor(target, { timeoutMs: 10_000, signal: abort.signal });
    await expect(waiting).rejects.toBe(reason);
    expect(performance.now() - startedAt).toBeLessThan(400 * PATIENCE);
  });
});

describe('the session of a guest', () => {
  it('is the same from state to state: one handshake', async () => {
    const sshd = await guest();
    const guests = connector();
    const first = await guests.waitFor(targetOf(sshd), { timeoutMs: 5_000 });
    expect(first.hostKey).toBe(sshd.hostKey);
    const again = await guests.waitFor(targetOf(sshd, { hostKey: first.hostKey }), { timeoutMs: 5_000 });
    expect(again).toBe(first);
    expect(sshd.sessionPids()).toHaveLength(1);
  });

  it('is refused when another key than the recorded one is shown', async () => {
    const sshd = await guest();
    const target = targetOf(sshd, { hostKey: 'SHA256:recorded' });
    const error = await failure(connector().waitFor(target, { timeoutMs: 5_000 }), 'GUEST_KEY_CHANGED');
    expect(error.message).toContain('SHA256:recorded');
  });

  it('is a new one after the guest was forgotten', async () => {
    const sshd = await guest();
    const guests = connector();
    const first = await guests.waitFor(targetOf(sshd), { timeoutMs: 5_000 });
    await guests.forget(first.address);
    const next = await guests.waitFor(targetOf(sshd), { timeoutMs: 5_000 });
    expect(next).not.toBe(first);
    await failure(first.run(['true']), 'GUEST_NO_ANSWER');
  });

  it('is a new one when the connection has died meanwhile', async () => {
    const sshd = await guest();
    const proxy = await TcpProxy.to(sshd.port);
    ended.push(() => proxy.close());
    const guests = connector();
    const target = targetOf(sshd, { port: proxy.port });
    const first = await guests.waitFor(target, { timeoutMs: 5_000 });
    proxy.swallow();
    setTimeout(() => proxy.pass(), 200);
    const next = await guests.waitFor(target, { timeoutMs: 5_000 });
    expect(next).not.toBe(first);
    expect((await next.run(['echo', 'here'])).stdout).toBe('here\n');
  });

  it('blames the computer, not its host, for a command whose connection breaks', async () => {
    const sshd = await guest();
    const session = await connector().waitFor(targetOf(sshd), { timeoutMs: 5_000 });
    let hasBegun = false;
    const onStdout = () => (hasBegun = true);
    const call = failure(session.run(script('echo begun; exec sleep 50'), { onStdout }), 'OUTCOME_UNKNOWN');
    await eventually(() => hasBegun);
    sshd.killSessions();
    expect((await call).blame).toBe('computer');
  });

  it('rests when nobody uses it, and wakes up for the next command', async () => {
    const sshd = await guest();
    const session = await connector({ idleMs: 150 }).waitFor(targetOf(sshd), { timeoutMs: 5_000 });
    await session.run(['sleep', '0.3']);
    expect(sshd.sessionPids()).toHaveLength(1);
    await eventually(() => sshd.sessionPids().length === 0);
    expect((await session.run(['echo', 'again'])).stdout).toBe('again\n');
  });
});

describe('a script in a guest', () => {
  const lines: string[] = [];
  const open = async () => {
    lines.length = 0;
    const session = await connector().waitFor(targetOf(await guest()), { timeoutMs: 5_000 });
    return asGuest(session, { debug: (line) => lines.push(line) });
  };

  it('gives its results by lines, and the log the rest', async () => {
    const inside = await open();
    const text =
      'echo working; echo "@@uid $1"; echo "@@empty"; read -r secret; echo "@@length ${#secret}"; echo oops >&2';
    expect(await inside.script('reserve', text, [1001], 'geheim\n')).toEqual({ uid: '1001', empty: '', length: '6' });
    expect(lines).toEqual(['vm1: reserve: working', 'vm1: reserve: oops']);
  });

  it('fails with its own words', async () => {
    const inside = await open();
    const error = await failure(
      inside.script('reserve', 'echo "@@error no such group"; exit 4'),
      'GUEST_COMMAND_FAILED',
    );
    expect(error.message).toContain('no such group');
    expect(error.details).toMatchObject({ stage: 'reserve', exitCode: 4 });
    const mute = await failure(inside.script('reserve', 'ls /no/such/file'), 'GUEST_COMMAND_FAILED');
    expect(mute.message).toContain('No such file or directory');
    await failure(inside.script('reserve', 'echo "@@error half done"'), 'GUEST_COMMAND_FAILED');
  });

  it('takes any text as data', async () => {
    const inside = await open();
    const nasty = `'; touch /tmp/owned; "$(id)" \``;
    expect(await inside.script('echo', 'echo "@@said $1"', [nasty])).toEqual({ said: nasty });
  });
});
