/**
 * Empties a queue in the background: each parcel is tried until it was delivered, refused for good, or is too old.
 * At least once: what was delivered when the daemon died is delivered again.
 */
import { asProvisiondError, describeError, findError } from '../errors';
import type { Log } from '../log';
import type { Lease, Parcel, Queue } from '../store/store';

export interface DeliveryOptions<P extends Parcel> {
  /** For the log: `message`, `call`. */
  readonly what: string;
  readonly queue: Queue<P>;
  readonly lease: Lease;
  readonly log: Log;
  /** @returns what came back @throws an error that is not retryable: never again */
  readonly deliver: (parcel: P, signal: AbortSignal) => Promise<unknown>;
  /** Pause after the first failure; doubles up to the longest. */
  readonly firstPauseSeconds?: number;
  readonly longestPauseSeconds?: number;
  /** Left out: it is tried for ever. */
  readonly giveUpSeconds?: number;
}

export class Deliveries<P extends Parcel> {
  private round: Promise<void> | undefined;
  private again = false;
  private readonly stopping = new AbortController();

  constructor(private readonly options: DeliveryOptions<P>) {}

  /** Looks at the queue; a look that is under way is followed by another one. Never throws. */
  look = (): Promise<void> => {
    if (this.stopping.signal.aborted) return Promise.resolve();
    this.again = true;
    this.round ??= this.goRound().finally(() => (this.round = undefined));
    return this.round;
  };

  /** Lets what is being delivered come to its end, quickly. */
  async stop(): Promise<void> {
    this.stopping.abort(new Error('the daemon stops'));
    await this.round;
  }

  private async goRound(): Promise<void> {
    const { queue, lease, log, what } = this.options;
    while (this.again && !this.stopping.signal.aborted) {
      this.again = false;
      try {
        for (const parcel of await queue.due(lease.managementNodeId)) {
          if (this.stopping.signal.aborted) return;
          await this.try(parcel);
        }
      } catch (error) {
        log.warn(`the queue of ${what}s waits: ${describeError(error)}`);
      }
    }
  }

  private async try(parcel: P): Promise<void> {
    const { queue, lease, log, what, deliver } = this.options;
    const { signal } = this.stopping;
    let answer: unknown;
    try {
      answer = (await deliver(parcel, signal)) ?? null;
    } catch (thrown) {
      if (signal.aborted || findError(thrown, 'LEASE_LOST')) return;
      await this.failed(parcel, thrown);
      return;
    }
    await queue.settle(lease, parcel.id, { answer });
    log.info(`${what} ${parcel.id} is delivered`, { attempts: parcel.attempts + 1 });
  }

  private async failed(parcel: P, thrown: unknown): Promise<void> {
    const { queue, lease, log, what, giveUpSeconds = Infinity } = this.options;
    const { firstPauseSeconds = 5, longestPauseSeconds = 900 } = this.options;
    const error = asProvisiondError(thrown, `delivering ${what} ${parcel.id}`);
    const attempts = parcel.attempts + 1;
    if (error.retryable && parcel.ageSeconds < giveUpSeconds) {
      const seconds = Math.min(firstPauseSeconds * 2 ** Math.min(parcel.attempts, 20), longestPauseSeconds);
      log.warn(`${what} ${parcel.id} is tried again in ${seconds} s`, { attempts, error });
      await queue.postpone(lease, parcel.id, seconds, describeError(error));
    } else {
      log.error(`${what} ${parcel.id} is given up`, { attempts, error });
      await queue.settle(lease, parcel.id, { error: describeError(error) });
    }
  }
}
