/** One ssh connection: the host's key is checked before we log in, and what can go wrong gets its code. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { Client, type ConnectConfig, type PublicKeyAuthMethod, utils } from 'ssh2';
import { ProvisiondError, type ErrorCode, describeError } from '../errors';
import type { SshTarget } from './guest-session';

export interface SshAddress extends SshTarget {
  /** Accept any key where none is pinned. */
  readonly acceptNew?: boolean;
}

export interface ConnectOptions {
  /** Until the log-in is through. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Until the TCP connection stands; left out: `timeoutMs`. */
  readonly tcpTimeoutMs?: number;
  /** Until the other side has said that it speaks ssh; left out: `timeoutMs`. */
  readonly bannerTimeoutMs?: number;
  /** Told how far it has come, as it comes. */
  readonly onReached?: (reached: Reached) => void;
}

/** How far a connection came. */
export type Reached = 'nothing' | 'port' | 'banner' | 'login';

export interface SshConnection {
  readonly client: Client;
  /** The key that the host showed. */
  readonly hostKey: string;
  /** Ends it at once, whatever the other side does: ssh2's own `destroy` leaves a half-closed socket waiting for it. */
  destroy(): void;
}

const KEEPALIVE_INTERVAL_MS = 5_000;
const KEEPALIVES_MISSED = 3;

/** The fingerprint as `ssh-keygen -l` prints it. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/**
 * Connects and logs in.
 * @throws HOST_UNREACHABLE, HOST_KEY_UNKNOWN, HOST_KEY_MISMATCH (details.hostKey: the key shown), HOST_LOGIN_REFUSED,
 *   each with `details.reached`; the signal's reason when aborted
 */
export async function connect(to: SshAddress, options: ConnectOptions): Promise<SshConnection> {
  const auth = await readKeys(to);
  return new Handshake(to, options).perform({ username: to.user, authHandler: auth.methods }, auth.unusable);
}

/**
 * Asks for a host's key without logging in, for a person to compare.
 * @returns `SHA256:…`
 * @throws HOST_UNREACHABLE
 */
export async function fetchHostKey(address: string, port: number, timeoutMs = 10_000): Promise<string> {
  const to = { name: address, address, port, user: 'root', keyFiles: [], hostKey: null };
  const handshake = new Handshake(to, { timeoutMs });
  try {
    const { client } = await handshake.perform({ username: to.user, authHandler: ['none'] }, []);
    client.end();
  } catch (error) {
    if (!handshake.hostKey) throw error;
  }
  return handshake.hostKey;
}

/** The usable private keys as ways to log in, and why the others are not. */
async function readKeys(to: SshAddress): Promise<{ methods: PublicKeyAuthMethod[]; unusable: string[] }> {
  const methods: PublicKeyAuthMethod[] = [];
  const unusable: string[] = [];
  for (const file of to.keyFiles) {
    try {
      const key = utils.parseKey(await readFile(file));
      if (key instanceof Error) throw key;
      methods.push({ type: 'publickey', username: to.user, key });
    } catch (error) {
      unusable.push(`${file}: ${describeError(error)}`);
    }
  }
  return { methods, unusable };
}

/**
 * Whether the other side still answers. Asked to cancel a forwarding that nobody asked for: any server refuses that at
 * once, without the process that a command would cost it.
 */
export function answers({ client }: SshConnection, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), timeoutMs);
    try {
      client.unforwardIn('127.0.0.1', 0, () => {
        clearTimeout(timer);
        resolve(true);
      });
    } catch {
      clearTimeout(timer);
      resolve(false); // the connection is gone
    }
  });
}

/** One attempt, from the socket to the log-in. */
class Handshake {
  hostKey = '';
  #reached: Reached = 'nothing';
  readonly #to: SshAddress;
  readonly #options: ConnectOptions;
  readonly #client = new Client();
  readonly #socket = new Socket();
  readonly #timers: NodeJS.Timeout[] = [];
  #reject: (error: Error) => void = () => {};
  #refusal: ProvisiondError | undefined;

  constructor(to: SshAddress, options: ConnectOptions) {
    this.#to = to;
    this.#options = options;
  }

  async perform(config: ConnectConfig, unusableKeys: string[]): Promise<SshConnection> {
    const { signal } = this.#options;
    const onAbort = () => this.#reject(signal?.reason as Error);
    try {
      signal?.throwIfAborted();
      return await new Promise<SshConnection>((resolve, reject) => {
        this.#reject = reject;
        signal?.addEventListener('abort', onAbort, { once: true });
        const destroy = () => void this.#socket.destroy();
        this.#client.once('ready', () => resolve({ client: this.#client, hostKey: this.hostKey, destroy }));
        this.#client.once('error', (error) => reject(this.#explain(error, unusableKeys)));
        this.#client.once('close', () => reject(this.#explain(new Error('the connection was closed'), unusableKeys)));
        this.#client.once('handshake', () => this.#reach('login'));
        this.#open(config);
      });
    } catch (error) {
      this.#client.on('error', () => {});
      this.#client.destroy();
      this.#socket.destroy();
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#timers.forEach(clearTimeout);
    }
  }

  #open(config: ConnectConfig): void {
    const { timeoutMs, tcpTimeoutMs, bannerTimeoutMs } = this.#options;
    this.#limit(tcpTimeoutMs ?? timeoutMs, 'nothing', 'no TCP connection');
    const socket = this.#socket;
    // Nagle's algorithm costs 40 ms a command: ssh2 writes in small pieces and waits for the answers.
    socket.setNoDelay(true);
    socket.once('error', (error) => this.#reject(this.#explain(error, [])));
    socket.once('connect', () => {
      this.#reach('port');
      this.#limit(bannerTimeoutMs ?? timeoutMs, 'port', 'no ssh banner');
      this.#limit(timeoutMs, 'login', 'no log-in');
      socket.once('data', () => this.#reach('banner'));
      this.#client.connect({
        ...config,
        sock: socket,
        readyTimeout: 0,
        keepaliveInterval: KEEPALIVE_INTERVAL_MS,
        keepaliveCountMax: KEEPALIVES_MISSED,
        hostVerifier: (key: Buffer) => this.#verify(fingerprint(key)),
      });
    });
    socket.connect({ host: this.#to.address, port: this.#to.port });
  }

  #reach(reached: Reached): void {
    this.#reached = reached;
    this.#options.onReached?.(reached);
  }

  /** Gives up when no more than that was reached after the time. */
  #limit(milliseconds: number, reached: Reached, what: string): void {
    const order: Reached[] = ['nothing', 'port', 'banner', 'login'];
    const giveUp = () => {
      if (order.indexOf(this.#reached) > order.indexOf(reached)) return;
      this.#reject(this.#explain(new Error(`${what} within ${milliseconds} ms`), []));
    };
    this.#timers.push(setTimeout(giveUp, milliseconds));
  }

  /** Called again at each re-keying of the connection: the key must stay the one of the beginning. */
  #verify(shown: string): boolean {
    const { hostKey: pinned, acceptNew } = this.#to;
    const first = this.hostKey;
    this.hostKey = shown;
    if (pinned === shown || (pinned === null && acceptNew && (first === '' || first === shown))) return true;
    this.#refusal =
      pinned === null
        ? this.#error('HOST_KEY_UNKNOWN', `no key is pinned; it shows ${shown}`)
        : this.#error('HOST_KEY_MISMATCH', `it shows the key ${shown}, pinned is ${pinned}`);
    return false;
  }

  #explain(cause: Error & { level?: string }, unusableKeys: string[]): ProvisiondError {
    if (this.#refusal) return this.#refusal;
    if (cause.level !== 'client-authentication') return this.#error('HOST_UNREACHABLE', '', cause);
    const { keyFiles } = this.#to;
    const tried = keyFiles.length === 0 ? 'no private key is configured' : `keys: ${keyFiles.join(', ')}`;
    const why = unusableKeys.length === 0 ? '' : `; not usable: ${unusableKeys.join('; ')}`;
    return this.#error('HOST_LOGIN_REFUSED', `${tried}${why}`, cause);
  }

  #error(code: ErrorCode, what: string, cause?: Error): ProvisiondError {
    const { name, address, port, user } = this.#to;
    const where = name === address ? `${address} port ${port}` : `${name} (${address} port ${port})`;
    const message = `connecting to ${where} as ${user}${what === '' ? '' : `: ${what}`}`;
    const details = { host: name, address, port, user, reached: this.#reached, hostKey: this.hostKey || null };
    return new ProvisiondError(code, message, { cause, details });
  }
}
