/**
 * VM hosts and guests that are nothing but answers, in this process: what the daemon itself costs with hundreds of them
 * cannot be measured beside thousands of shells. What they are asked is the real daemon's own; a question that they do not
 * know is an error. They take as long as real ones of a quiet site.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GuestConnector, GuestSession, GuestTarget } from '../../lib/host/guest-session';
import type { ClosableHost, RunOptions, RunResult } from '../../lib/host/host';
import { isLook } from '../../lib/libvirt/look';

/** Median times of test/bench/RESULTS.md, rounded. */
export const SIMULATED_MS = { command: 25, start: 350, boot: 4000, guestScript: 200, heartbeat: 2000 } as const;

const OK: RunResult = { exitCode: 0, stdout: '', stderr: '' };

const CAPABILITIES = `<capabilities><host><cpu><arch>x86_64</arch></cpu></host><guest><os_type>hvm</os_type>
<arch name='x86_64'><wordsize>64</wordsize><emulator>/usr/bin/qemu-system-x86_64</emulator>
<machine maxCpus='255'>pc</machine><domain type='qemu'/></arch></guest></capabilities>`;

const NETWORK = `<network><name>private</name><ip address='10.0.0.1' netmask='255.0.0.0'>
<dhcp><range start='10.255.0.1' end='10.255.255.254'/></dhcp></ip></network>`;

export class SimulatedHost implements ClosableHost {
  readonly busy = false;
  readonly way = 'closed';

  /**
   * @param header the first bytes of its base image, in hex
   * @param hangs accepts commands and never answers
   */
  constructor(
    readonly name: string,
    private readonly header: string,
    private readonly hangs: boolean,
  ) {}

  async run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    const text = argv[2] ?? '';
    if (text.includes('virsh -q event')) return this.tell(options);
    if (this.hangs) return silence(options);
    await sleep(text.includes('start $1') ? SIMULATED_MS.start : SIMULATED_MS.command, undefined, options);
    return this.answer(argv, text);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private answer(argv: readonly string[], text: string): RunResult {
    if (isLook(argv)) return { ...OK, stdout: this.look(argv[4]!, `${argv[8]}/${argv[9]}.qcow2`) };
    if (text.includes('list_domains')) return { ...OK, stdout: sections(argv[4]!, { domains: '', end: '' }) };
    if (argv.includes('capabilities')) return { ...OK, stdout: CAPABILITIES };
    if (text.includes('@@sum')) return { ...OK, stdout: `@@sum ${sumOf(argv[4]!)}\n${this.imageLine(argv[4]!)}\n` };
    // What changes a host says nothing when it went well.
    if (text.includes('fence()')) return OK;
    throw new Error(`a simulated host does not know ${argv.join(' ').slice(-300)}`);
  }

  private look(mark: string, image: string): string {
    return sections(mark, {
      ...{ 'managed-save': '', persistent: '', domains: '', bridges: '', files: '', repository: '', 'master-xml': '' },
      ...{
        networks: 'private\npublic',
        'active-networks': 'private\npublic',
        'persistent-networks': 'private\npublic',
      },
      ...{ 'private-network': NETWORK, 'disk-filesystem': 'ext4 75124780' },
      datastore: this.imageLine(image),
    });
  }

  private imageLine(file: string): string {
    return `196616 1795302782 444 ${this.header} ${file}`;
  }

  /** libvirt's events: a sign of life now and then, as the script has it. */
  private async tell({ onStdout, signal }: RunOptions): Promise<RunResult> {
    for (;;) {
      onStdout?.('\n');
      await sleep(SIMULATED_MS.heartbeat, undefined, { signal });
    }
  }
}

async function silence({ signal, timeoutMs = 600_000 }: RunOptions): Promise<RunResult> {
  await sleep(timeoutMs, undefined, { signal });
  throw new Error('a simulated host that hangs was waited for to the end');
}

const sections = (mark: string, texts: Record<string, string>): string =>
  Object.entries(texts)
    .map(([name, text]) => `\n@@${mark} ${name}\n${text}`)
    .join('\n');

const sumOf = (file: string) => createHash('sha256').update(file).digest('hex');

/** The guests of all hosts: each answers so long after it was first waited for. */
export class SimulatedGuests implements GuestConnector {
  private readonly known = new Set<string>();

  async waitFor(target: GuestTarget, { signal }: { timeoutMs: number; signal?: AbortSignal }): Promise<GuestSession> {
    if (!this.known.has(target.address)) await sleep(SIMULATED_MS.boot, undefined, { signal });
    this.known.add(target.address);
    return new SimulatedGuest(target.name, target.address);
  }

  forget(address: string): Promise<void> {
    this.known.delete(address);
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

class SimulatedGuest implements GuestSession {
  readonly hostKey: string;

  constructor(
    readonly name: string,
    readonly address: string,
  ) {
    this.hostKey = `SHA256:${createHash('sha256').update(name).digest('base64').slice(0, 43)}`;
  }

  async run(_argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    await sleep(SIMULATED_MS.guestScript, undefined, options);
    return { ...OK, stdout: `@@public_address ${this.address}\n` };
  }
}
