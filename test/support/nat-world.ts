/** A user, a NAT host and a guest, each a network namespace with real links, addresses and iptables. Needs root. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import type { Host, RunOptions, RunResult } from '../../lib/host/host';
import { LocalHost } from '../../lib/host/local-host';

export const NAT_IP = '198.51.100.1';
const USER_IP = '198.51.100.7';
export const GUEST_IP = '10.77.0.2';

/** What listens in the guest: tells each caller where it comes from. */
const ECHO = `require('net').createServer((socket) => socket.end(socket.remoteAddress)).listen(22, '0.0.0.0')`;

export class NatWorld implements Host {
  readonly name = 'nat';
  private readonly local = new LocalHost({ name: 'nat' });
  private readonly user = this.namespace();
  private readonly nat = this.namespace();
  private readonly guest = this.namespace();
  private readonly server: ChildProcess;

  constructor() {
    this.link(this.user, `${USER_IP}/24`, this.nat, `${NAT_IP}/24`, 'outside');
    this.link(this.guest, `${GUEST_IP}/24`, this.nat, '10.77.0.1/24', 'inside');
    this.in(this.guest, 'ip', 'route', 'add', 'default', 'via', '10.77.0.1');
    this.server = spawn('nsenter', [`--net=/proc/${this.guest.pid}/ns/net`, process.execPath, '-e', ECHO]);
  }

  run(argv: readonly string[], options?: RunOptions): Promise<RunResult> {
    return this.local.run(['nsenter', `--net=/proc/${this.nat.pid}/ns/net`, ...argv], options);
  }

  /** What a user at the public address and that port hears; null: nobody answers. */
  async call(port: number): Promise<string | null> {
    const script = `const s = require('net').connect({ port: ${port}, host: '${NAT_IP}', timeout: 700 });
      s.on('data', (data) => console.log(String(data))).on('error', () => {}).on('timeout', () => s.destroy());`;
    const argv = ['nsenter', `--net=/proc/${this.user.pid}/ns/net`, process.execPath, '-e', script];
    const { stdout } = await this.local.run(argv);
    return stdout.trim() || null;
  }

  async rules(): Promise<string> {
    const all = await Promise.all(['nat', 'filter'].map((table) => this.run(['iptables', '-w', '-t', table, '-S'])));
    return all
      .map(({ stdout }) => stdout)
      .join('')
      .split('\n')
      .filter((line) => line.includes('vcld-'))
      .join('\n');
  }

  async close(): Promise<void> {
    for (const child of [this.server, this.user, this.nat, this.guest]) child.kill('SIGKILL');
    await this.local.close();
  }

  private namespace(): ChildProcess {
    const child = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up; exec sleep 600']);
    const own = execFileSync('readlink', ['/proc/self/ns/net'], { encoding: 'utf8' });
    const isApart = () => {
      try {
        return execFileSync('readlink', [`/proc/${child.pid}/ns/net`], { encoding: 'utf8' }) !== own;
      } catch {
        return false;
      }
    };
    for (let tries = 0; !isApart(); tries++) if (tries > 200) throw new Error('no network namespace of its own');
    return child;
  }

  private in({ pid }: ChildProcess, ...argv: string[]): void {
    execFileSync('nsenter', [`--net=/proc/${pid}/ns/net`, ...argv]);
  }

  private link(a: ChildProcess, addressA: string, b: ChildProcess, addressB: string, name: string): void {
    this.in(a, 'ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', name, 'netns', String(b.pid));
    for (const [where, link, address] of [
      [a, 'eth0', addressA],
      [b, name, addressB],
    ] as const) {
      this.in(where, 'ip', 'addr', 'add', address, 'dev', link);
      this.in(where, 'ip', 'link', 'set', link, 'up');
    }
  }
}

/** Why this machine cannot have one; null: it can. */
export const NO_NAT_WORLD: string | null = whyNot();

function whyNot(): string | null {
  try {
    execFileSync('unshare', ['--net', 'sh', '-c', 'PATH=$PATH:/usr/sbin:/sbin; iptables -t nat -S; ip link'], {
      stdio: 'ignore',
    });
    return null;
  } catch {
    return 'no network namespaces or no iptables on this machine';
  }
}
