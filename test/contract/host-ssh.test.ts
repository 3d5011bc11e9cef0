import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Host, script } from '../../lib/host/host';
import { SshHost, type SshHostOptions, fetchHostKey } from '../../lib/host/ssh-host';
import { eventually } from '../support/eventually';
import { type PrivateSshd, findFreePort, startSshd } from '../support/sshd';
import { TcpProxy } from '../support/tcp-proxy';
import { describeHost, failure } from './host.contract';

let sshd: PrivateSshd;
const opened: { close(): Promise<unknown> }[] = [];

function hostOf(server: PrivateSshd, options: Partial<SshHostOptions> = {}): SshHost {
  const { address, port, user, keyFile, hostKey } = server;
  const host = new SshHost({ name: 'vmhost1', address, port, user, hostKey, keyFiles: [keyFile], ...options });
  opened.push(host);
  return host;
}

async function proxyTo(server: PrivateSshd): Promise<TcpProxy> {
  const proxy = await TcpProxy.to(server.port);
  opened.push(proxy);
  return proxy;
}

beforeAll(async () => {
  sshd = await startSshd();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()));
});
afterAll(() => sshd.stop());

describe('SshHost', () => {
  let shared: SshHost;
  beforeAll(() => {
    const { address, port, user, keyFile, hostKey } = sshd;
    shared = new SshHost({ name: 'vmhost1', address, port, user, hostKey, keyFiles: [keyFile] });
  });
  afterAll(() => shared.close());
  describeHost('SshHost', () => shared);
});

describe('the connection to a host', () => {
  it('is one for many commands, and made once for those that come at the same time', async () => {
    const proxy = await proxyTo(sshd);
    const host = hostOf(sshd, { port: proxy.port });
    await Promise.all(Array.from({ length: 20 }, () => host.run(['true'])));
    await host.run(['true']);
    expect(proxy.connections).toBe(1);
  });

  it('is closed within seconds although the other side was powered off and says nothing any more', async () => {
    const proxy = await proxyTo(sshd);
    const host = hostOf(sshd, { port: proxy.port });
    await host.run(['true']);
    proxy.swallow();
    const closed = host.close().then(() => 'closed');
    expect(await Promise.race([closed, sleep(4_000, 'still open', { ref: false })])).toBe('closed');
  });

  it('is made again after it was lost', async () => {
    const proxy = await proxyTo(sshd);
    const host = hostOf(sshd, { port: proxy.port });
    await host.run(['true']);
    proxy.reset();
    await sleep(50);
    expect((await host.run(['echo', 'again'])).stdout).toBe('again\n');
  });

  it('leaves no descriptor and no timer behind when it is closed', async () => {
    const count = () => readdirSync('/proc/self/fd').length;
    const before = count();
    for (let i = 0; i < 5; i++) {
      const host = hostOf(sshd);
      await Promise.all([host.run(['true']), host.run(['true'], { timeoutMs: 60_000 })]);
      await host.close();
    }
    await eventually(() => count() <= before + 1);
    expect(process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap')).toEqual([]);
  });
});

describe('a command whose connection breaks', () => {
  const LONG = script('echo begun; exec sleep 50');
  let hasBegun = false;
  const runsLong = (host: Host) => {
    hasBegun = false;
    return host.run(LONG, { onStdout: () => (hasBegun = true) });
  };

  it('has an unknown outcome when the connection is reset', async () => {
    const proxy = await proxyTo(sshd);
    const host = hostOf(sshd, { port: proxy.port });
    await host.run(['true']);
    const call = failure(runsLong(host), 'OUTCOME_UNKNOWN');
    await eventually(() => hasBegun);
    proxy.reset();
    expect((await call).details).toMatchObject({ host: 'vmhost1', argv: LONG });
  });

  it('has an unknown outcome when the sshd that served it is killed', async () => {
    const host = hostOf(sshd);
    await host.run(['true']);
    const call = failure(runsLong(host), 'OUTCOME_UNKNOWN');
    await eventually(() => hasBegun);
    sshd.killSessions();
    await call;
    expect((await host.run(['echo', 'again'])).stdout).toBe('again\n');
  });

  it('ends at its deadline when the connection is a black hole', async () => {
    const proxy = await proxyTo(sshd);
    const host = hostOf(sshd, { port: proxy.port });
    await host.run(['true']);
    proxy.swallow();
    await failure(host.run(['true'], { timeoutMs: 300 }), 'COMMAND_TIMEOUT');
  });

  it('is given up by the keep-alive when its own deadline is far away', async () => {
    const proxy = await proxyTo(sshd);
    const host = hostOf(sshd, { port: proxy.port });
    await host.run(['true']);
    proxy.swallow();
    const startedAt = performance.now();
    await failure(host.run(['true'], { timeoutMs: 120_000 }), 'OUTCOME_UNKNOWN');
    expect(performance.now() - startedAt).toBeLessThan(25_000);
  });
});

describe('a host that cannot be reached', () => {
  it('is unreachable when its port is closed', async () => {
    const host = hostOf(sshd, { port: await findFreePort() });
    const error = await failure(host.run(['true']), 'HOST_UNREACHABLE');
    expect(error.blame).toBe('host');
    expect(error.message).toContain('vmhost1');
  });

  it('is unreachable when it accepts connections and says nothing', async () => {
    const proxy = await proxyTo(sshd);
    proxy.swallow();
    const host = hostOf(sshd, { port: proxy.port, connectTimeoutMs: 300 });
    const error = await failure(host.run(['true']), 'HOST_UNREACHABLE');
    expect(error.details).toMatchObject({ reached: 'port' });
  });

  it('is left alone after three failed attempts, and tried again later', async () => {
    const port = await findFreePort();
    const breaker = { failures: 3, pauseMs: 10, openMs: 300, openCapMs: 600 };
    const host = hostOf(sshd, { port, breaker });
    for (let i = 0; i < 3; i++) await failure(host.run(['true']), 'HOST_UNREACHABLE');
    const error = await failure(host.run(['true']), 'HOST_UNREACHABLE');
    expect(error.message).toContain('left alone');
    expect(error.cause).toBeInstanceOf(Error);

    const back = await startSshd({ port });
    try {
      await sleep(350);
      await failure(host.run(['true']), 'HOST_KEY_MISMATCH');
    } finally {
      await back.stop();
    }
  });

  it('ends at once when it is aborted while connecting', async () => {
    const proxy = await proxyTo(sshd);
    proxy.swallow();
    const host = hostOf(sshd, { port: proxy.port, connectTimeoutMs: 1_000 });
    const reason = new Error('stopped');
    await expect(host.run(['true'], { signal: abortAfter(100, reason) })).rejects.toBe(reason);
  });
});

describe('who a host is and who we are', () => {
  it('shows its key to whoever asks, without a log-in', async () => {
    expect(await fetchHostKey(sshd.address, sshd.port)).toBe(sshd.hostKey);
    expect(sshd.hostKey).toMatch(/^SHA256:/);
  });

  it('is not logged in to when it shows another key than the pinned one', async () => {
    const host = hostOf(sshd, { hostKey: 'SHA256:somethingElse' });
    const error = await failure(host.run(['true']), 'HOST_KEY_MISMATCH');
    expect(error.message).toContain(sshd.hostKey);
    expect(error.message).toContain('SHA256:somethingElse');
  });

  it('is not logged in to when no key is pinned, unless new ones are accepted', async () => {
    const error = await failure(hostOf(sshd, { hostKey: null }).run(['true']), 'HOST_KEY_UNKNOWN');
    expect(error.message).toContain(sshd.hostKey);
    expect((await hostOf(sshd, { hostKey: null, acceptNew: true }).run(['true'])).exitCode).toBe(0);
  });

  it('refuses a key that it does not know', async () => {
    const host = hostOf(sshd, { keyFiles: [sshd.strangerKeyFile] });
    const error = await failure(host.run(['true']), 'HOST_LOGIN_REFUSED');
    expect(error.message).toContain(sshd.strangerKeyFile);
  });

  it('tries several keys in their order, whatever is wrong with one of them', async () => {
    const keyFiles = ['/no/such/key', `${sshd.keyFile}.pub`, sshd.strangerKeyFile, sshd.keyFile];
    expect((await hostOf(sshd, { keyFiles }).run(['true'])).exitCode).toBe(0);
  });

  it('names the key files that could not be used', async () => {
    const error = await failure(hostOf(sshd, { keyFiles: ['/no/such/key'] }).run(['true']), 'HOST_LOGIN_REFUSED');
    expect(error.message).toContain('/no/such/key');
    expect(error.message).toContain('ENOENT');
  });

  it('is checked again at each re-keying, without a hitch', async () => {
    const rekeying = await startSshd({ config: ['RekeyLimit 1M'] });
    opened.push({ close: () => rekeying.stop() });
    const { stdout } = await hostOf(rekeying).run(script('head -c 8000000 /dev/zero | tr "\\0" x'));
    expect(stdout.length).toBe(8_000_000);
  });
});

describe('a host with few sessions', () => {
  it('runs everything all the same, with MaxSessions 1', async () => {
    const small = await startSshd({ config: ['MaxSessions 1'] });
    opened.push({ close: () => small.stop() });
    const host = hostOf(small);
    const results = await Promise.all(Array.from({ length: 10 }, (_, n) => host.run(script('echo "$1"', n))));
    expect(results.map(({ stdout }) => Number(stdout))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('says that it waited for a channel when the others do not end', async () => {
    const host = hostOf(sshd, { maxChannels: 1 });
    const hog = host.run(['sleep', '1.5']);
    const error = await failure(host.run(['true'], { timeoutMs: 200 }), 'COMMAND_TIMEOUT');
    expect(error.message).toContain('free channel');
    await hog;
  });
});

function abortAfter(milliseconds: number, reason: Error): AbortSignal {
  const abort = new AbortController();
  setTimeout(() => abort.abort(reason), milliseconds);
  return abort.signal;
}
