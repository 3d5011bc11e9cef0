/**
 * The way to guests, by ssh.
 *
 * A guest appears within seconds of its start, and until then its address answers nothing, so each attempt is a fresh
 * socket with a short time limit: a retransmission of TCP would notice it a second late. A session is kept by its
 * address, so that a load and the states after it cost one handshake.
 */
import { ProvisiondError } from '../errors';
import { Deadline, pause } from './deadline';
import { asGuestError } from './guest-errors';
import type { GuestConnector, GuestSession, GuestTarget } from './guest-session';
import type { RunOptions, RunResult } from './host';
import { SshHost } from './ssh-host';
import { type Reached, type SshConnection, connect } from './ssh-connection';

export interface GuestConnectorOptions {
  /** Default deadline of a command in a guest. */
  readonly commandTimeoutMs?: number;
  /** How long a session that nobody uses is kept. */
  readonly idleMs?: number;
  /** How long one attempt waits for a TCP connection; a few round trips. */
  readonly tcpTimeoutMs?: number;
  /** How long a guest that refuses our log-in may go on doing so: it may still be writing its `authorized_keys`. */
  readonly refusalGraceMs?: number;
}

const DEFAULTS = { commandTimeoutMs: 60_000, idleMs: 120_000, tcpTimeoutMs: 250, refusalGraceMs: 5_000 };
const PAUSE_MS = 25;
const PAUSE_AFTER_REFUSAL_MS = 500;
/** An emulated guest may need seconds to answer once it has accepted a connection. */
const BANNER_TIMEOUT_MS = 3_000;
const LOGIN_TIMEOUT_MS = 20_000;
const ALIVE_TIMEOUT_MS = 1_000;

export class SshGuestConnector implements GuestConnector {
  readonly #options: Required<GuestConnectorOptions>;
  readonly #sessions = new Map<string, SshGuestSession>();

  constructor(options: GuestConnectorOptions = {}) {
    this.#options = { ...DEFAULTS, ...options };
  }

  async waitFor(target: GuestTarget, options: { timeoutMs: number; signal?: AbortSignal }): Promise<GuestSession> {
    const wait = new Wait(target, options.timeoutMs, this.#options);
    const deadline = new Deadline(options.timeoutMs, () => wait.noAnswer(), options.signal);
    try {
      const known = this.#sessions.get(target.address);
      if (known && (await deadline.race(known.serves(target)))) return known;
      if (known) await this.#drop(known);
      return this.#keep(target, await wait.forLogin(deadline.signal));
    } finally {
      deadline.end();
    }
  }

  async forget(address: string): Promise<void> {
    const session = this.#sessions.get(address);
    if (session) await this.#drop(session);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => this.#drop(session)));
  }

  #keep(target: GuestTarget, connection: SshConnection): GuestSession {
    const session = new SshGuestSession(target, connection, this.#options, () => {
      if (this.#sessions.get(target.address) === session) this.#sessions.delete(target.address);
    });
    const other = this.#sessions.get(target.address);
    if (other) void other.close();
    this.#sessions.set(target.address, session);
    return session;
  }

  async #drop(session: SshGuestSession): Promise<void> {
    if (this.#sessions.get(session.address) === session) this.#sessions.delete(session.address);
    await session.close();
  }
}

/** One wait for a guest's first answer. */
class Wait {
  readonly #target: GuestTarget;
  readonly #timeoutMs: number;
  readonly #options: Required<GuestConnectorOptions>;
  #furthest: Reached = 'nothing';
  #last: ProvisiondError | undefined;
  #refusedSince: number | undefined;

  constructor(target: GuestTarget, timeoutMs: number, options: Required<GuestConnectorOptions>) {
    this.#target = target;
    this.#timeoutMs = timeoutMs;
    this.#options = options;
  }

  async forLogin(signal: AbortSignal): Promise<SshConnection> {
    for (;;) {
      try {
        return await connect(
          { ...this.#target, acceptNew: true },
          {
            signal,
            timeoutMs: LOGIN_TIMEOUT_MS,
            tcpTimeoutMs: this.#options.tcpTimeoutMs,
            bannerTimeoutMs: BANNER_TIMEOUT_MS,
            onReached: (reached) => this.#reach(reached),
          },
        );
      } catch (thrown) {
        signal.throwIfAborted();
        const error = asGuestError(thrown) as ProvisiondError;
        this.#last = error;
        if (error.code === 'GUEST_LOGIN_REFUSED') await this.#bearRefusal(error, signal);
        else if (error.code === 'GUEST_NO_ANSWER') await pause(PAUSE_MS, signal);
        else throw error;
      }
    }
  }

  noAnswer(): ProvisiondError {
    const { name, address, port } = this.#target;
    const message = `${name} (${address} port ${port}) let nobody in within ${this.#timeoutMs} ms; ${TOLD[this.#furthest]}`;
    const details = { computer: name, address, port, reached: this.#furthest };
    return new ProvisiondError('GUEST_NO_ANSWER', message, { cause: this.#last, details });
  }

  #reach(reached: Reached): void {
    if (ORDER.indexOf(reached) > ORDER.indexOf(this.#furthest)) this.#furthest = reached;
  }

  async #bearRefusal(error: ProvisiondError, signal: AbortSignal): Promise<void> {
    this.#refusedSince ??= performance.now();
    if (performance.now() - this.#refusedSince >= this.#options.refusalGraceMs) throw error;
    await pause(PAUSE_AFTER_REFUSAL_MS, signal);
  }
}

const ORDER: readonly Reached[] = ['nothing', 'port', 'banner', 'login'];
const TOLD: Record<Reached, string> = {
  nothing: 'no connection to the port came about',
  port: 'the port is open, but nothing that speaks ssh answers there',
  banner: 'an ssh server answers, but the handshake does not come to an end',
  login: 'an ssh server answers, but the log-in does not come to an end',
};

/**
 * A session, held to the key that the guest showed first. When its connection is lost or rests too long, the next
 * command makes a new one; the connector no longer hands it out then.
 */
class SshGuestSession implements GuestSession {
  readonly name: string;
  readonly address: string;
  readonly hostKey: string;
  readonly #user: string;
  readonly #port: number;
  readonly #ssh: SshHost;
  readonly #idleMs: number;
  #idleTimer: NodeJS.Timeout | undefined;

  constructor(
    target: GuestTarget,
    connection: SshConnection,
    options: { commandTimeoutMs: number; idleMs: number },
    onEnd: () => void,
  ) {
    this.name = target.name;
    this.address = target.address;
    this.hostKey = connection.hostKey;
    this.#user = target.user;
    this.#port = target.port;
    this.#idleMs = options.idleMs;
    const { commandTimeoutMs } = options;
    this.#ssh = new SshHost({ ...target, hostKey: connection.hostKey, commandTimeoutMs, connection });
    this.#ssh.onLost(() => {
      clearTimeout(this.#idleTimer);
      onEnd();
    });
    this.#rest();
  }

  async run(argv: readonly string[], options?: RunOptions): Promise<RunResult> {
    clearTimeout(this.#idleTimer);
    try {
      return await this.#ssh.run(argv, options);
    } catch (error) {
      throw asGuestError(error);
    } finally {
      this.#rest();
    }
  }

  /** Is this the guest that is asked for, and does it answer still? */
  async serves(target: GuestTarget): Promise<boolean> {
    const isSame = target.user === this.#user && target.port === this.#port;
    if (!isSame || !this.#ssh.connected || (target.hostKey !== null && target.hostKey !== this.hostKey)) return false;
    return this.#ssh.answers(ALIVE_TIMEOUT_MS);
  }

  async close(): Promise<void> {
    clearTimeout(this.#idleTimer);
    await this.#ssh.close();
  }

  #rest(): void {
    clearTimeout(this.#idleTimer);
    if (!this.#ssh.connected || this.#ssh.busy) return;
    this.#idleTimer = setTimeout(() => void this.#ssh.disconnect(), this.#idleMs).unref();
  }
}
