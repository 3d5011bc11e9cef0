/**
 * Works claims: builds the job, runs the steps of its state, and writes what follows.
 *
 * INVARIANTS
 * - One job a request at a time in this daemon.
 * - A claim ends by exactly one `store.finish`, or by nothing: when the front end overtook it (its row is worked next)
 *   and when the daemon stops or loses its lease (the row stays pending; whoever comes next resumes it).
 * - A database that is away ends nothing: the job waits for it.
 */
import { setTimeout } from 'node:timers/promises';
import type { Config } from '../config/config';
import { asProvisiondError, findError, ProvisiondError } from '../errors';
import type { Log } from '../log';
import type { Timings } from '../model/timings';
import type { RequestRow, Reservation } from '../model/reservation';
import { STATE_HANDLERS } from '../states';
import type { Job, StateHandler } from '../states/job';
import { failureTransition } from '../states/outcome';
import { runSteps, type RunOutcome } from '../steps/step';
import type { Claim, Store, Transition } from '../store/store';
import { Narrator } from './narrator';
import { Interrupted, RequestWatch } from './request-watch';

/** Jobs get so long to come to a step border; systemd and people lose patience a little later. */
const STOP_GRACE_MS = 7000;
/** A database that is back is noticed that soon. */
const LONGEST_DATABASE_PAUSE_MS = 5000;

/** What only the composition root can make of a reservation: the ways to its host and guest. */
export type JobMaker = (parts: JobParts) => Job;

export interface JobParts {
  readonly claim: Claim;
  readonly reservation: Reservation;
  readonly watch: RequestWatch;
  readonly narrator: Narrator;
  readonly timings: Timings;
  readonly log: Log;
  readonly whenEnded: (requestId: number) => Promise<void>;
  /** Called with what must be given back when the job ends. */
  readonly onEnd: (release: () => void) => void;
}

interface RunningJob {
  readonly watch: RequestWatch;
  readonly ended: Promise<void>;
}

export class Worker {
  private readonly jobs = new Map<number, RunningJob>();

  constructor(
    private readonly store: Store,
    private readonly config: Config,
    private readonly makeJob: JobMaker,
    private readonly log: Log,
    /** Called when a job has ended, so that what it left for the poller is looked at soon. */
    private readonly onEnded: () => void,
  ) {}

  get inHand(): number[] {
    return [...this.jobs.keys()];
  }

  has(requestId: number): boolean {
    return this.jobs.has(requestId);
  }

  /** Begins to work a claim. Does not wait for its end. */
  start(claim: Claim, timings: Timings): void {
    if (this.jobs.has(claim.requestId)) return;
    const log = this.log.child({ request: claim.requestId });
    const watch = RequestWatch.of(claim);
    const ended = this.work(claim, watch, timings, log)
      .catch((error: unknown) => log.error(`request in state '${claim.state}' could not be worked`, { error }))
      .finally(() => {
        this.jobs.delete(claim.requestId);
        this.onEnded();
      });
    this.jobs.set(claim.requestId, { watch, ended });
  }

  /** The present rows of what is in hand, from the poller. */
  update(rows: ReadonlyMap<number, RequestRow>, asked: readonly number[]): void {
    for (const requestId of asked) this.jobs.get(requestId)?.watch.update(rows.get(requestId) ?? null);
  }

  /** Tells every job to stop at its next step border and waits for them. */
  async stop(reason: string): Promise<void> {
    for (const { watch } of this.jobs.values()) watch.interrupt(reason);
    await Promise.all([...this.jobs.values()].map(({ ended }) => ended));
  }

  /**
   * The same because the process ends: a command that hangs is not waited for. Its job is resumed by whoever comes
   * next, as after a crash.
   */
  async stopForGood(reason: string): Promise<void> {
    const grace = new AbortController();
    const patience = setTimeout(STOP_GRACE_MS, undefined, { signal: grace.signal }).catch(() => {});
    await Promise.race([this.stop(reason), patience]);
    grace.abort();
    if (this.jobs.size > 0) this.log.warn('stopping in the middle of a step', { requests: this.inHand });
  }

  private async work(claim: Claim, watch: RequestWatch, timings: Timings, log: Log): Promise<void> {
    const reservations = await this.read(claim, watch, log);
    const [reservation] = reservations;
    if (!reservation) return;
    watch.begin(reservation);
    const handler = STATE_HANDLERS[claim.state];
    const narrator = new Narrator(this.store, claim, reservation, log);
    const releases: (() => void)[] = [];
    log.info(`working on '${claim.state}'`, { computer: reservation.computer.shortName, lastState: claim.lastState });
    try {
      const job = this.makeJob({
        claim,
        reservation,
        watch,
        narrator,
        timings,
        log,
        whenEnded: async (requestId) => this.jobs.get(requestId)?.ended,
        onEnd: (release) => releases.push(release),
      });
      const outcome = await this.run(handler, job);
      await this.conclude(handler, job, outcome, reservations);
    } finally {
      for (const release of releases) release();
      await narrator.flush();
    }
  }

  /** @returns nothing when the rows cannot be used: nobody's work would ever end such a request, so it ends here */
  private async read(claim: Claim, watch: RequestWatch, log: Log): Promise<Reservation[]> {
    try {
      return await this.persistently(watch, () => this.store.readReservations(claim));
    } catch (thrown) {
      const error = asProvisiondError(thrown, `reading request ${claim.requestId}`);
      if (watch.signal.aborted || isOvertaken(error)) throw error;
      log.error('the rows of the request cannot be used', { error });
      const transition = failureTransition({ state: claim.state, error, leftovers: [], secondsToEnd: 0 });
      await this.persistently(watch, () => this.store.finish(claim, [], transition));
      return [];
    }
  }

  /** Runs the steps, again from the top while what failed may well succeed a little later. */
  private async run(handler: StateHandler, job: Job): Promise<RunOutcome<Transition>> {
    for (let attempt = 1; ; attempt++) {
      const again = (error: ProvisiondError) => this.mayRetry(error, attempt);
      const outcome = await runSteps(handler.steps, job, {
        signal: job.signal,
        observe: job.narrator.observe,
        keepOnFailure: (error) => again(error) || isOvertaken(error),
      });
      if (outcome.kind !== 'failed' || !again(outcome.error)) return outcome;
      const delayMs = this.delayMs(outcome.error, attempt);
      job.log.warn(`step '${outcome.step}' failed, trying again in ${Math.round(delayMs / 100) / 10} s`, {
        attempt,
        error: outcome.error,
      });
      try {
        await job.watch.pause(delayMs);
      } catch (reason) {
        return { kind: 'aborted', reason };
      }
    }
  }

  private delayMs(error: ProvisiondError, attempt: number): number {
    const delayMs = this.config.retryDelayMs * 2 ** Math.min(attempt - 1, 5);
    return findError(error, 'DATABASE_UNAVAILABLE') ? Math.min(delayMs, LONGEST_DATABASE_PAUSE_MS) : delayMs;
  }

  private mayRetry(error: ProvisiondError, attempt: number): boolean {
    if (findError(error, 'DATABASE_UNAVAILABLE')) return true;
    return error.retryable && attempt < this.config.retryAttempts;
  }

  private async conclude(
    handler: StateHandler,
    job: Job,
    outcome: RunOutcome<Transition>,
    reservations: readonly Reservation[],
  ): Promise<void> {
    const transition = this.transitionOf(handler, job, outcome);
    if (transition === null) return;
    const written = await this.persistently(job.watch, async () => {
      await job.narrator.tell(); // the user reads there why it failed
      return this.store.finish(job.claim, reservations, transition);
    });
    if (written === 'overtaken') job.log.info('the front end changed the request meanwhile; its state is worked next');
    else job.log.info(`'${handler.state}' is done`, { ...transition });
  }

  /** @returns null when nothing is to be written */
  private transitionOf(handler: StateHandler, job: Job, outcome: RunOutcome<Transition>): Transition | null {
    switch (outcome.kind) {
      case 'done':
        return handler.onSuccess(job);
      case 'ended':
        return outcome.ending;
      case 'aborted':
        job.log.info(`stopped: ${String(outcome.reason)}`);
        return null;
      case 'failed':
        return this.failed(job, outcome);
    }
  }

  private failed(job: Job, { step, error, leftovers }: RunOutcome<Transition> & { kind: 'failed' }): Transition | null {
    if (isOvertaken(error)) {
      job.log.info(`stopped in step '${step}'`, { error });
      return null;
    }
    const { state } = job.claim;
    job.log.error(`step '${step}' failed`, { error, leftovers });
    job.narrator.note('failed', `${describeForUser(error)}`);
    if (leftovers.length > 0) {
      job.log.error('something was left behind', {
        error: new ProvisiondError('UNDO_INCOMPLETE', leftovers.join('; ')),
      });
    }
    return failureTransition({ state, error, leftovers, secondsToEnd: job.watch.row.secondsToEnd });
  }

  /** Repeats what fails only because the database is away, until the job is told to stop. */
  private async persistently<T>(watch: RequestWatch, work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (thrown) {
        const error = asProvisiondError(thrown, 'writing to the database');
        if (!findError(error, 'DATABASE_UNAVAILABLE') || watch.signal.reason instanceof Interrupted) throw error;
        await setTimeout(this.config.retryDelayMs);
      }
    }
  }
}

/** The row is somebody else's now: not a failure, and nothing is undone. */
function isOvertaken(error: ProvisiondError): boolean {
  return findError(error, 'CLAIM_LOST') !== undefined || findError(error, 'LEASE_LOST') !== undefined;
}

/** The outermost message with its hint: what the front end shows of a failed reservation. */
function describeForUser(error: ProvisiondError): string {
  return `${error.message} (${error.code}). ${error.hint}`;
}
