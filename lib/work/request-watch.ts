/**
 * The present row of a request in hand, kept fresh by the poller, so that waiting for the user and noticing a deletion
 * cost no query of their own.
 */
import type { RequestRow, Reservation } from '../model/reservation';
import type { WorkableState } from '../model/states';
import type { Claim } from '../store/store';

/** Why a job was told to stop: the front end wrote another state over ours, or deleted the row. */
export class Overtaken {
  constructor(readonly row: RequestRow | null) {}

  toString(): string {
    return this.row ? `the request is ${this.row.state}/${this.row.lastState} now` : 'the request was deleted';
  }
}

/** Why a job was told to stop: the daemon stops, or lost its lease. What was begun is resumed later. */
export class Interrupted {
  constructor(readonly reason: string) {}

  toString(): string {
    return this.reason;
  }
}

export class RequestWatch {
  private waiters = new Set<() => void>();
  private waited = 0;

  /** What was read with the reservation holds only until the first poll has brought the row itself. */
  private isFresh = false;

  /** @param current the row as it was read when the request was taken up */
  constructor(
    private current: RequestRow,
    private readonly claimed: WorkableState,
    private readonly controller: AbortController,
  ) {}

  /** The row of a request that was taken up this moment. */
  static of(claim: Pick<Claim, 'requestId' | 'state'>): RequestWatch {
    const { requestId, state } = claim;
    const unknown = { secondsToEnd: Infinity, remoteIp: null, checkUser: true };
    const row: RequestRow = { requestId, state: 'pending', lastState: state, ...unknown };
    return new RequestWatch(row, state, new AbortController());
  }

  /** Takes over what was read with the reservation, unless the poller was faster. */
  begin({ request: { secondsToEnd, checkUser }, remoteIp }: Reservation): void {
    if (!this.isFresh) this.current = { ...this.current, secondsToEnd, checkUser, remoteIp };
  }

  /** A user looks at the page, and his click is to be noticed soon. */
  get awaitsAcknowledgement(): boolean {
    return this.claimed === 'reserved' && this.current.remoteIp === null;
  }

  get row(): RequestRow {
    return this.current;
  }

  /** How often somebody has waited here. */
  get waits(): number {
    return this.waited;
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Called by the poller. `null`: the row is gone. */
  update(row: RequestRow | null): void {
    if (row === null || row.state !== 'pending' || row.lastState !== this.claimed) {
      this.controller.abort(new Overtaken(row));
      return;
    }
    this.isFresh = true;
    this.current = row;
    for (const wake of [...this.waiters]) wake();
  }

  interrupt(reason: string): void {
    this.controller.abort(new Interrupted(reason));
  }

  /**
   * Waits until the row answers.
   * @param answer undefined: not yet
   * @returns the answer, or null when the time ran out
   * @throws the signal's reason when the job is told to stop
   */
  async until<T>(answer: (row: RequestRow) => T | undefined, timeoutMs: number): Promise<T | null> {
    this.signal.throwIfAborted();
    const known = answer(this.current);
    if (known !== undefined) return known;
    this.waited += 1;
    return new Promise<T | null>((resolve, reject) => {
      const settle = (action: () => void) => {
        clearTimeout(timer);
        this.waiters.delete(look);
        this.signal.removeEventListener('abort', stop);
        action();
      };
      const look = () => {
        const found = answer(this.current);
        if (found !== undefined) settle(() => resolve(found));
      };
      const stop = () => settle(() => reject(this.signal.reason as Error));
      const timer = setTimeout(() => settle(() => resolve(null)), timeoutMs);
      this.waiters.add(look);
      this.signal.addEventListener('abort', stop, { once: true });
    });
  }

  /**
   * The row as of a poll that comes after this call: an outage of the database is not an empty answer.
   * @throws the signal's reason when the job is told to stop
   */
  async next(): Promise<RequestRow> {
    const before = this.current;
    while ((await this.until((row) => (row === before ? undefined : row), 60_000)) === null);
    return this.current;
  }

  /** A pause that ends early when the job is told to stop. @throws the signal's reason */
  async pause(milliseconds: number): Promise<void> {
    await this.until(() => undefined, milliseconds);
  }
}
