/**
 * Works claims: builds a job for each reservation of this node, runs the steps of their state, and writes what follows.
 * How the reservations of a cluster are worked together: README.md.
 *
 * INVARIANTS
 * - One claim a request at a time in this daemon.
 * - A claim ends by exactly one `store.finish`, or by nothing: when the front end overtook it (its row is worked next)
 *   and when the daemon stops or loses its lease (the row stays pending; whoever comes next resumes it).
 * - A database that is away ends nothing: the job waits for it.
 */
import { setTimeout } from 'node:timers/promises';
import type { Config } from '../config/config';
import { asProvisiondError, findError } from '../errors';
import type { Log } from '../log';
import { timingsFrom, type Timings, type Variables } from '../model/timings';
import type { RequestRow, Reservation } from '../model/reservation';
import { isShared } from '../model/states';
import { SIGNALS } from '../signals';
import { handlerFor } from '../states';
import type { Job, StateHandler } from '../states/job';
import { failureTransition } from '../states/outcome';
import type { Claim, Store } from '../store/store';
import { abandonedHandler } from './abandoned';
import { combineEnds } from './combine-ends';
import { Narrator } from './narrator';
import { isOvertaken, runPart, type PartEnd } from './part';
import { Interrupted, Overtaken, RequestWatch } from './request-watch';
import { Siblings, waitForOtherNodes, type SharedFate } from './siblings';

/** Jobs get so long to come to a step border; systemd and people lose patience a little later. */
const STOP_GRACE_MS = 7000;

/** What only the composition root can make of a reservation: the ways to its host and guest. */
export type JobMaker = (parts: JobParts) => Job;

export interface JobParts {
  readonly claim: Claim;
  readonly reservation: Reservation;
  readonly watch: RequestWatch;
  readonly narrator: Narrator;
  readonly siblings: Siblings;
  readonly timings: Timings;
  readonly variables: Variables;
  readonly log: Log;
  readonly whenEnded: (requestId: number) => Promise<void>;
  /** Called with what must be given back when the job ends. */
  readonly onEnd: (release: () => void) => void;
}

interface RunningJob {
  readonly watch: RequestWatch;
  readonly ended: Promise<void>;
}

/** One claim in hand. */
interface Work {
  readonly claim: Claim;
  readonly watch: RequestWatch;
  readonly variables: Variables;
  readonly log: Log;
  readonly narrators: Narrator[];
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

  get awaitsUsers(): boolean {
    return [...this.jobs.values()].some(({ watch }) => watch.awaitsAcknowledgement);
  }

  /** Begins to work a claim. Does not wait for its end. */
  start(claim: Claim, variables: Variables): void {
    if (this.jobs.has(claim.requestId)) return;
    const log = this.log.child({ request: claim.requestId });
    const watch = RequestWatch.of(claim);
    const ended = this.work({ claim, watch, variables, log, narrators: [] })
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

  private async work(work: Work): Promise<void> {
    const { claim, watch, log } = work;
    for (;;) {
      const reservations = await this.read(work);
      const [first] = reservations;
      if (!first) return;
      watch.begin(first);
      const handler = handlerFor(first);
      log.info(`working on '${claim.state}'`, { computer: first.computer.shortName, lastState: claim.lastState });
      const ends = await this.runParts(work, handler, reservations);
      if (!ends.some(({ kind }) => kind === 'again')) return this.conclude(work, reservations, ends);
      log.info('the front end completed the rows of the request; it is read again');
    }
  }

  /** @returns nothing when the rows cannot be used: nobody's work would ever end such a request, so it ends here */
  private async read({ claim, watch, log }: Work): Promise<Reservation[]> {
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

  /** All reservations at once, each with a job of its own; a state that only the parent has a part in: that one. */
  private async runParts(work: Work, handler: StateHandler, reservations: readonly Reservation[]): Promise<PartEnd[]> {
    const shared: SharedFate = {};
    const ours = reservations.filter(({ isParent }) => isParent || isShared(handler.state));
    return Promise.all(
      ours.map(async (reservation) => {
        const releases: (() => void)[] = [];
        const job = this.jobOf(work, reservation, shared, (release) => releases.push(release));
        try {
          return await runPart(handler, job, this.config, shared);
        } finally {
          for (const release of releases) release();
          await job.narrator.flush();
        }
      }),
    );
  }

  private jobOf(work: Work, reservation: Reservation, shared: SharedFate, onEnd: JobParts['onEnd']): Job {
    const { claim, watch, variables } = work;
    const log =
      reservation.reservationCount > 1
        ? work.log.child({ reservation: reservation.id, computer: reservation.computer.shortName })
        : work.log;
    const narrator = new Narrator(this.store, claim, reservation, log);
    work.narrators.push(narrator);
    return this.makeJob({
      claim,
      reservation,
      watch,
      narrator,
      siblings: new Siblings(this.store, reservation, narrator, watch, shared),
      timings: timingsFrom(variables, reservation.user.affiliation),
      variables,
      log,
      whenEnded: async (requestId) => this.jobs.get(requestId)?.ended,
      onEnd,
    });
  }

  private async conclude(work: Work, reservations: readonly Reservation[], ends: readonly PartEnd[]): Promise<void> {
    const { claim, watch, log } = work;
    const transition = combineEnds(ends);
    if (transition === null) {
      if (!(await isAbandoned(watch))) return;
      return this.conclude(work, reservations, await this.clear(work, reservations));
    }
    const untimely = ends.some(({ kind }) => kind === 'ended' || kind === 'stopped');
    const others = untimely ? 'not needed' : await waitForOtherNodes(this.store, claim, reservations, watch);
    if (others === 'interrupted') return;
    if (others === 'silent') log.error('other management nodes did not end their part; it is ended without them');
    const whole =
      others === 'failed' && transition.request === 'reserved'
        ? { ...transition, request: 'failed' as const }
        : transition;
    const written = await this.persistently(watch, async () => {
      for (const narrator of work.narrators) await narrator.tell(); // the user reads there why it failed
      return this.store.finish(claim, reservations, whole);
    });
    if (written === 'gone') return this.conclude(work, reservations, await this.clear(work, reservations));
    if (written === 'overtaken') log.info('the front end changed the request meanwhile; its state is worked next');
    else log.info(`'${claim.state}' is done`, { ...whole });
    const { requestId, state } = claim;
    SIGNALS.outcome.tell({ requestId, state, next: written === 'overtaken' ? 'overtaken' : whole.request });
  }

  /** The row is gone: nothing can be told to the work any more, and it is short. */
  private async clear(work: Work, reservations: readonly Reservation[]): Promise<PartEnd[]> {
    const { claim } = work;
    work.log.info('the request was deleted in the middle of the work');
    const own = { ...work, watch: RequestWatch.of(claim) };
    return this.runParts(own, abandonedHandler(claim.state), reservations);
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

/** Was the row deleted in the middle of the work? A write that found it gone may have been faster than the poll. */
async function isAbandoned(watch: RequestWatch): Promise<boolean> {
  if (!watch.signal.aborted) await watch.next().catch(() => {});
  const reason: unknown = watch.signal.reason;
  return reason instanceof Overtaken && reason.row === null;
}
