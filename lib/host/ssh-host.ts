/**
 * A VM host over ssh: one connection, many channels.
 *
 * The connection is made at the first call and again after a loss. A command that runs while it breaks ends with OUTCOME_UNKNOWN, because sshd lets it run on.
 */
import { ProvisiondError, asProvisiondError } from '../errors';
import { CircuitBreaker, type CircuitBreakerOptions, DEFAULT_BREAKER, type WayState } from './circuit-breaker';
import { DEFAULT_TIMEOUT_MS, checkResult, commandTimedOut } from './command-result';
import { Deadline, pause } from './deadline';
import { SIGNALS, timed } from '../signals';
import type { ClosableHost, RunOptions, RunResult } from './host';
import { quoteCommand } from './shell-quote';
import { Slots } from './slots';
import { ChannelRefused, ConnectionGone, startCommand } from './ssh-command';
import { type SshAddress, type SshConnection, answers, connect } from './ssh-connection';

export { fetchHostKey } from './ssh-connection';

export interface SshHostOptions extends SshAddress {
  readonly connectTimeoutMs?: number;
  /** Default deadline of a command. */
  readonly commandTimeoutMs?: number;
  /** Channels at once on the connection; sshd's MaxSessions is 10 by default. */
  readonly maxChannels?: number;
  readonly breaker?: CircuitBreakerOptions;
  /** A connection that stands already. */
  readonly connection?: SshConnection;
}

const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
const DEFAULT_MAX_CHANNELS = 8;
/** How long the other side may take to say goodbye: a guest that was powered off never does. */
const CLOSE_TIMEOUT_MS = 1_000;
const CHANNEL_RETRY_MS = 50;

export class SshHost implements ClosableHost {
  readonly name: string;
  readonly #options: SshHostOptions;
  readonly #slots: Slots;
  readonly #breaker: CircuitBreaker;
  #connection: SshConnection | undefined;
  #connecting: Promise<SshConnection> | undefined;
  readonly #closing = new AbortController();
  #onLost: (() => void) | undefined;

  constructor(options: SshHostOptions) {
    this.name = options.name;
    this.#options = options;
    this.#slots = new Slots(options.maxChannels ?? DEFAULT_MAX_CHANNELS);
    this.#breaker = new CircuitBreaker(options.breaker ?? DEFAULT_BREAKER);
    if (options.connection) this.#adopt(options.connection);
  }

  /** Whether a connection stands, as far as we know. */
  get connected(): boolean {
    return this.#connection !== undefined;
  }

  /** Whether whoever is at the other end of the connection that stands still answers. */
  async answers(timeoutMs: number): Promise<boolean> {
    const connection = this.#connection;
    return connection !== undefined && (await answers(connection, timeoutMs)) && this.#connection === connection;
  }

  get way(): WayState {
    return this.#breaker.state;
  }

  /** Commands that run or wait for a channel. */
  get busy(): boolean {
    return this.#slots.taken + this.#slots.waiting > 0;
  }

  /** Called whenever the connection was lost or closed. */
  onLost(listener: () => void): void {
    this.#onLost = listener;
  }

  async run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    quoteCommand(argv);
    const timeoutMs = options.timeoutMs ?? this.#options.commandTimeoutMs ?? DEFAULT_TIMEOUT_MS;
    const call = { stage: 'it waited for a free channel' };
    const expired = () => commandTimedOut(this.name, argv, timeoutMs, call.stage);
    const deadline = new Deadline(timeoutMs, expired, options.signal);
    try {
      const result = await timed(
        () => this.#runOnChannel(argv, { ...options, timeoutMs }, deadline, call),
        (took) => SIGNALS.command.tell({ host: this.name, ...took }),
      );
      return checkResult(this.name, argv, result, options.expect);
    } finally {
      deadline.end();
    }
  }

  /** Ends the connection for good; commands that run end with OUTCOME_UNKNOWN. */
  async close(): Promise<void> {
    this.#closing.abort(new ProvisiondError('HOST_UNREACHABLE', `the connection to ${this.name} was closed by us`));
    await this.#connecting?.catch(() => {});
    await this.disconnect();
  }

  /** Ends the connection that stands; the next command makes a new one. */
  async disconnect(): Promise<void> {
    const connection = this.#connection;
    if (!connection) return;
    const timer = setTimeout(() => connection.destroy(), CLOSE_TIMEOUT_MS);
    await new Promise<void>((resolve) => connection.client.once('close', () => resolve()).end());
    clearTimeout(timer);
  }

  /** Until it ran, or it is certain that it cannot: whatever says "nothing was run" is tried again. */
  async #runOnChannel(
    argv: readonly string[],
    options: RunOptions & { timeoutMs: number },
    deadline: Deadline,
    call: { stage: string },
  ): Promise<RunResult> {
    for (let attempt = 1; ; attempt++) {
      call.stage = 'it waited for a free channel';
      const release = await this.#slots.acquire(deadline.signal);
      call.stage = 'the host was being connected';
      const connection = await deadline.race(this.#connected()).catch((error: unknown) => {
        release();
        throw error;
      });
      call.stage = 'it was told to end';
      const command = startCommand(connection.client, this.name, argv, options);
      // The slot is kept until the other side has closed the channel too: so long it counts for MaxSessions.
      void command.closed.then(release);
      try {
        return await deadline.race(command.result);
      } catch (error) {
        if (error instanceof ChannelRefused) {
          call.stage = 'sshd opened no channel';
          await this.#waitForChannel(attempt, deadline.signal);
        } else if (error instanceof ConnectionGone) {
          this.#lose(connection);
        } else {
          command.stop();
          throw error;
        }
      }
    }
  }

  /** Fewer channels than we thought: as many as are open now, at least one. */
  async #waitForChannel(attempt: number, signal: AbortSignal): Promise<void> {
    if (this.#slots.taken > 0) this.#slots.setLimit(Math.min(this.#slots.limit, this.#slots.taken));
    await pause(Math.min(1_000, CHANNEL_RETRY_MS * attempt) * (0.5 + Math.random()), signal);
  }

  #connected(): Promise<SshConnection> {
    if (this.#connection) return Promise.resolve(this.#connection);
    this.#connecting ??= this.#connect().finally(() => (this.#connecting = undefined));
    return this.#connecting;
  }

  async #connect(): Promise<SshConnection> {
    const signal = this.#closing.signal;
    signal.throwIfAborted();
    this.#refuseWhileOpen();
    await pause(this.#breaker.pauseMs(), signal);
    const timeoutMs = this.#options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS;
    try {
      const connection = await connect(this.#options, { timeoutMs, signal });
      this.#breaker.succeeded();
      return this.#adopt(connection);
    } catch (error) {
      if (!signal.aborted) this.#breaker.failed(error);
      throw error;
    }
  }

  #refuseWhileOpen(): void {
    const refusesForMs = this.#breaker.refusesForMs();
    if (refusesForMs === 0) return;
    const last = asProvisiondError(this.#breaker.lastError, `connecting to ${this.name}`);
    const message =
      `${this.name} is left alone for another ${Math.ceil(refusesForMs / 1000)} s: ` +
      `${this.#breaker.failures} attempts to connect failed in a row`;
    throw new ProvisiondError(last.code, message, { cause: last, details: last.details });
  }

  #adopt(connection: SshConnection): SshConnection {
    this.#connection = connection;
    this.#slots.setLimit(this.#options.maxChannels ?? DEFAULT_MAX_CHANNELS);
    connection.client.on('error', () => {});
    connection.client.once('close', () => this.#lose(connection));
    return connection;
  }

  #lose(connection: SshConnection): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    connection.destroy();
    this.#onLost?.();
  }
}
