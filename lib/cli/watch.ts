/** Watches a reservation and tells its story as it comes, until it has come to rest. */
import { setTimeout as sleep } from 'node:timers/promises';
import { findError } from '../errors';
import type { FrontEnd, ReservationDetails, TimelineEntry } from '../store/front-end';
import type { Printer } from './printer';
import { type Rest, restOf } from './status';
import { duration } from './terminal';
import { timelineLines } from './timeline';

const POLL_INTERVAL_MS = 300;
/** A daemon takes a request up within a second of its start. */
const PATIENCE_MS = 5_000;

export interface Watched {
  /** `stopped`: whoever watched did not want to any more. */
  readonly rest: Rest | 'stopped';
  /** As last seen, with the whole timeline. */
  readonly details: ReservationDetails;
}

export interface WatchOptions {
  readonly print: Printer;
  readonly signal: AbortSignal;
  /** Where to stop: when it is ready or failed, or only when it is over. */
  readonly until: 'rest' | 'over';
  /** Tell only what came after this entry of the timeline. */
  readonly sinceEventId?: number | undefined;
}

/**
 * Prints each entry of the timeline once; on a terminal the step in hand with its time as well.
 * @throws REQUEST_NOT_FOUND when there is no such request from the beginning
 */
export async function watchReservation(
  frontEnd: FrontEnd,
  requestId: number,
  { print, signal, until, sinceEventId }: WatchOptions,
): Promise<Watched> {
  const timeline: TimelineEntry[] = [];
  const live = new LiveStep(print);
  let details: ReservationDetails | undefined;
  const since = performance.now();
  let isToldToWait = false;
  for (;;) {
    try {
      details = await frontEnd.show(requestId, newestEventId(timeline) ?? sinceEventId);
    } catch (error) {
      // Its rows were deleted between two looks, and no event of it is kept.
      if (details === undefined || findError(error, 'REQUEST_NOT_FOUND') === undefined) throw error;
      return { rest: 'gone', details: { ...details, timeline } };
    }
    timeline.push(...details.timeline);
    for (const entry of details.timeline) {
      live.follow(entry);
      for (const line of timelineLines(entry, print)) print.line(line);
    }
    const rest = restOf(details);
    const isOver = rest !== null && (until === 'rest' || rest !== 'ready');
    if (isOver || signal.aborted) {
      live.clear();
      return { rest: isOver ? rest : 'stopped', details: { ...details, timeline } };
    }
    if (!isToldToWait && details.state === 'new' && performance.now() - since > PATIENCE_MS) {
      isToldToWait = true;
      print.line(`request ${requestId} waits to be taken up; provisiond explain ${requestId} says what for`);
    }
    await live.wait(POLL_INTERVAL_MS, signal);
  }
}

/** Lines that only the loadlog has bear no number (0), and may well be the last. */
export function newestEventId(timeline: readonly TimelineEntry[]): number | undefined {
  return timeline.length === 0 ? undefined : Math.max(...timeline.map(({ id }) => id));
}

/** The line of the step in hand. */
class LiveStep {
  private step: { readonly name: string; readonly since: number } | undefined;

  constructor(private readonly print: Printer) {}

  follow({ kind, step }: TimelineEntry): void {
    if (kind === 'begun') this.step = { name: step, since: performance.now() };
    else if (step === this.step?.name) this.step = undefined;
  }

  /** Waits, with the time running on the line. */
  async wait(milliseconds: number, signal: AbortSignal): Promise<void> {
    const end = performance.now() + milliseconds;
    while (performance.now() < end && !signal.aborted) {
      if (this.step !== undefined) {
        const elapsed = duration(performance.now() - this.step.since);
        this.print.live(`          ...      ${this.step.name}  ${elapsed}`);
      }
      const pauseMs = Math.min(100, Math.max(1, end - performance.now()));
      await sleep(pauseMs, undefined, { signal }).catch(() => {});
    }
  }

  clear(): void {
    this.step = undefined;
  }
}
