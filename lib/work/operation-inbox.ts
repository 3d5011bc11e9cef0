/**
 * The second inbox: rows of `provisiond_operation`, taken up under the lease as requests are. A row that was taken up is
 * worked to its end, or left to whoever comes next; it never waits in silence.
 *
 * INVARIANTS
 * - Operations on one VM know of each other in the order in which they were taken up: the earlier one never yields to the
 *   checks of a later one, only to its rank (lib/model/vm-rules.ts).
 * - A row ends by exactly one `endOperation`, or by nothing when the daemon stops or loses its lease.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { asProvisiondError, findError, ProvisiondError } from '../errors';
import type { Log } from '../log';
import { encounter, type UnderWay } from '../model/vm-rules';
import type { VmRecords } from '../operations/vm-records';
import type { Operation, OperationEnd } from '../store/operation-store';
import type { Lease } from '../store/store';
import { membersOf } from './appliance-job';
import { Cancelled, type OperationRun, type OperationParts, runOperation } from './operation-run';
import { Interrupted } from './request-watch';

/** People ask for operations, a few a day: a look a second is soon enough, and an idle daemon stays idle. */
const POLLS_BETWEEN_LOOKS = 4;
const LONGEST_PAUSE_MS = 2000;
const STOP_GRACE_MS = 7000;

interface Running {
  readonly row: Operation;
  /** That it is about; of several VMs each. */
  readonly computerIds: readonly number[];
  readonly controller: AbortController;
  readonly ended: Promise<void>;
}

export class OperationInbox {
  private readonly running = new Map<number, Running>();
  /** Counts what was done to each computer, so that a look from before it is not believed after it. */
  private readonly generations = new Map<number, number>();
  private loop: Promise<void> = Promise.resolve();
  private readonly stopping = new AbortController();
  private wake = () => {};

  constructor(
    private readonly parts: Omit<OperationParts, 'records'>,
    private readonly records: VmRecords,
    private readonly lease: Lease,
    private readonly log: Log,
    /** Called when an operation on a computer has ended. */
    private readonly onEnded: (computerId: number) => void = () => {},
  ) {}

  start(): void {
    this.loop = this.poll();
  }

  /** Looks at the inbox without waiting for its time. */
  pollNow(): void {
    this.wake();
  }

  /** Operations on a computer that are not over. */
  underWay(computerId: number): UnderWay[] {
    return [...this.running.values()]
      .filter(({ computerIds }) => computerIds.includes(computerId))
      .map(({ row: { id, kind } }) => ({ id, kind }));
  }

  generation(computerId: number): number {
    return this.generations.get(computerId) ?? 0;
  }

  /** Takes nothing more up; what is in hand comes to its next step border, and is resumed later. */
  async stop(reason: string): Promise<void> {
    this.stopping.abort(new Interrupted(reason));
    this.wake();
    await this.loop;
    for (const { controller } of this.running.values()) controller.abort(new Interrupted(reason));
    const grace = new AbortController();
    const all = Promise.all([...this.running.values()].map(({ ended }) => ended));
    await Promise.race([all, sleep(STOP_GRACE_MS, undefined, { signal: grace.signal }).catch(() => {})]);
    grace.abort();
    if (this.running.size > 0)
      this.log.warn('stopping in the middle of an operation', { ids: [...this.running.keys()] });
  }

  private async poll(): Promise<void> {
    for (let failures = 0; !this.stopping.signal.aborted;) {
      try {
        for (const row of await this.parts.store.pollOperations(this.lease)) await this.look(row);
        failures = 0;
      } catch (error) {
        if (failures++ === 0) this.log.error('the inbox of operations could not be looked at; trying again', { error });
      }
      const pauseMs = this.parts.config.pollIntervalMs * POLLS_BETWEEN_LOOKS;
      await this.pause(Math.min(pauseMs * 2 ** Math.min(failures, 10), LONGEST_PAUSE_MS));
    }
  }

  private async pause(milliseconds: number): Promise<void> {
    const woken = new AbortController();
    this.wake = () => woken.abort();
    if (this.stopping.signal.aborted) return;
    await sleep(milliseconds, undefined, { signal: woken.signal }).catch(() => {});
  }

  private async look(row: Operation): Promise<void> {
    if (this.stopping.signal.aborted) return;
    const running = this.running.get(row.id);
    if (running) {
      if (row.cancelWanted && !running.controller.signal.aborted) {
        running.controller.abort(new Cancelled('whoever asked for it took it back'));
      }
      return;
    }
    if (row.cancelWanted && row.state === 'queued') {
      const error = cancellation(row, 'whoever asked for it took it back');
      return this.parts.store.endOperation(this.lease, row.id, { state: 'cancelled', error });
    }
    // A claim of ours whose answer was lost is ours all the same.
    const isOurs = row.state === 'working' && row.token === this.lease.token;
    const claimed = isOurs ? row : await this.parts.store.claimOperation(this.lease, row.id);
    if (claimed) this.begin(claimed, await this.computersOf(claimed));
  }

  /** What cannot be found out now is told when it is worked. */
  private async computersOf(row: Operation): Promise<readonly number[]> {
    if (row.computerId !== null) return [row.computerId];
    return membersOf(this.parts.store, row).catch(() => []);
  }

  private begin(row: Operation, computerIds: readonly number[]): void {
    const log = this.log.child({ operation: row.id });
    const controller = new AbortController();
    const isAbout = (other: Running, id?: number) =>
      computerIds.some((own) => (id === undefined || id === own) && other.computerIds.includes(own));
    const earlier = [...this.running.values()].filter((other) => isAbout(other));
    computerIds.forEach((id) => this.count(id));
    const run: OperationRun = {
      row,
      log,
      lease: this.lease,
      signal: controller.signal,
      underWay: (of) =>
        earlier
          .filter((other) => this.running.has(other.row.id) && isAbout(other, of))
          .map(({ row: { id, kind } }) => ({ id, kind })),
      allUnderWay: (of = row.computerId ?? undefined) => (of === undefined ? [] : this.underWay(of)),
      makeRoom: () => this.makeRoom(row, earlier, controller.signal),
    };
    const ended = this.work(run)
      .catch((error: unknown) => log.error('the operation could not be ended', { error }))
      .finally(() => {
        this.running.delete(row.id);
        computerIds.forEach((id) => this.count(id));
        computerIds.forEach((id) => this.onEnded(id));
      });
    this.running.set(row.id, { row, computerIds, controller, ended });
  }

  private count(computerId: number): void {
    this.generations.set(computerId, this.generation(computerId) + 1);
  }

  /** A harder operation ends a softer one, and waits for it. */
  private async makeRoom(row: Operation, earlier: readonly Running[], signal: AbortSignal): Promise<void> {
    const met = earlier.filter((other) => this.running.has(other.row.id));
    for (const other of met) {
      if (encounter(row.kind, other.row.kind) !== 'cancel' || other.controller.signal.aborted) continue;
      other.controller.abort(new Cancelled(`operation ${row.id} (${row.kind}) takes its place`));
    }
    const stopped = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    stopped.catch(() => {});
    await Promise.race([Promise.all(met.map(({ ended }) => ended)), stopped]);
  }

  private async work(run: OperationRun): Promise<void> {
    const { row, log } = run;
    log.info(`operation '${row.kind}' begins`, {
      computerId: row.computerId,
      by: row.requestedBy,
      attempt: row.attempts,
    });
    const end = await runOperation({ ...this.parts, records: this.records }, run);
    if (end === null) return log.info('left to whoever comes next');
    await this.persistently(() => this.parts.store.endOperation(this.lease, row.id, end));
    log.info(`operation '${row.kind}' is ${end.state}`, { ...end.error });
  }

  /** Repeats what fails only because the database is away, until the daemon stops. */
  private async persistently(work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await work();
      } catch (thrown) {
        const error = asProvisiondError(thrown, 'ending an operation');
        if (!findError(error, 'DATABASE_UNAVAILABLE') || this.stopping.signal.aborted) throw error;
        await sleep(Math.min(this.parts.config.retryDelayMs, LONGEST_PAUSE_MS));
      }
    }
  }
}

export function cancellation({ id, kind }: Operation, why: string): NonNullable<OperationEnd['error']> {
  const { code, blame, message, hint } = new ProvisiondError(
    'OPERATION_CANCELLED',
    `operation ${id} (${kind}): ${why}`,
  );
  return { code, blame, message, hint };
}
