/** A real sshd of our own on loopback: own keys, own port, started and ended by its pid. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PATIENCE } from './patience';

export interface PrivateSshd {
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** A private key that may log in. */
  readonly keyFile: string;
  /** One that may not. */
  readonly strangerKeyFile: string;
  /** `SHA256:…` */
  readonly hostKey: string;
  readonly pid: number;
  readonly folder: string;
  /** The processes that serve log-ins now. */
  sessionPids(): number[];
  /** Ends the processes that serve log-ins, as a crash would; sshd itself goes on. */
  killSessions(): void;
  stop(): Promise<void>;
}

export interface SshdOptions {
  /** Further lines of sshd_config. */
  readonly config?: readonly string[];
  /** Take this port instead of a free one. */
  readonly port?: number;
  /** Whether the right key may log in. Default yes. */
  readonly letsUsIn?: boolean;
}

export async function startSshd(options: SshdOptions = {}): Promise<PrivateSshd> {
  const folder = mkdtempSync(path.join(tmpdir(), 'provisiond-sshd-'));
  const file = (name: string) => path.join(folder, name);
  for (const key of ['host_key', 'id', 'stranger']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', key, '-f', file(key)]);
  }
  writeFileSync(file('authorized_keys'), options.letsUsIn === false ? '' : readFileSync(file('id.pub')));
  const port = options.port ?? (await findFreePort());
  writeFileSync(file('sshd_config'), [...baseConfig(folder, port), ...(options.config ?? []), ''].join('\n'));
  if (userInfo().uid === 0) mkdirSync('/run/sshd', { recursive: true });
  const child = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', file('sshd_config')], { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  child.stdout.on('data', (chunk: Buffer) => (log += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  await waitUntilOpen(port, child, () => log);
  const pid = child.pid!;
  return {
    address: '127.0.0.1',
    port,
    user: userInfo().username,
    keyFile: file('id'),
    strangerKeyFile: file('stranger'),
    hostKey: execFileSync('ssh-keygen', ['-l', '-f', file('host_key.pub')])
      .toString()
      .split(' ')[1]!,
    pid,
    folder,
    sessionPids: () => childrenOf(pid),
    killSessions: () => childrenOf(pid).forEach(killQuietly),
    async stop() {
      const sessions = childrenOf(pid);
      if (child.exitCode === null && child.signalCode === null) {
        const ended = new Promise((resolve) => child.once('close', resolve));
        child.kill('SIGKILL');
        sessions.forEach(killQuietly);
        await ended;
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function baseConfig(folder: string, port: number): string[] {
  return [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${folder}/host_key`,
    `AuthorizedKeysFile ${folder}/authorized_keys`,
    `PidFile none`,
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'PermitRootLogin yes',
    'UseDNS no',
    'MaxStartups 100',
    // A nested shell, so that a slow ~/.bashrc of the machine does not run for each command.
    'SetEnv SHLVL=5',
  ];
}

export async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function waitUntilOpen(port: number, child: ChildProcess, log: () => string): Promise<void> {
  for (let attempt = 0; attempt < 200 * PATIENCE; attempt++) {
    if (child.exitCode !== null) throw new Error(`sshd ended with ${child.exitCode}: ${log()}`);
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (isOpen) return;
    await sleep(25);
  }
  child.kill('SIGKILL');
  throw new Error(`sshd did not open port ${port} in time: ${log()}`);
}

function childrenOf(pid: number): number[] {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return processes.filter((name) => parentOf(name) === pid).map(Number);
}

function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
