/** The time line of a reservation: where each step stands on it. A pure function of its story. */
import { WAITING_STATES } from '../model/states';
import type { TimelineEntry } from '../store/front-end';

export interface Bar {
  readonly step: string;
  readonly state: string;
  readonly result: 'done' | 'failed' | 'running' | 'already' | 'undone' | 'note';
  /** Wall clock of its end, `HH:MM:SS`. */
  readonly time: string;
  /** From the beginning of the story. */
  readonly startMs: number;
  readonly lengthMs: number;
  readonly reason: string | null;
  readonly hint: string | null;
}

const RESULTS: Readonly<Record<string, Bar['result']>> = {
  ended: 'done',
  failed: 'failed',
  skipped: 'already',
  undone: 'undone',
};

/** Where a bar stands on the axis. */
export interface Place {
  readonly atMs: number;
  readonly lengthMs: number;
}

/**
 * The axis leaves out the waits for people: a quarter of an hour before somebody presses a button would make a load of
 * seconds invisible. Such a wait has a place of no length.
 * @returns the places of the bars, in their order, and the length of the axis
 */
export function placeBars(bars: readonly Bar[]): { readonly places: readonly Place[]; readonly wholeMs: number } {
  const waits = bars.filter(isWaitForPeople);
  const places = bars.map((bar): Place => {
    const left = waits.map(({ startMs, lengthMs }) => Math.max(0, Math.min(bar.startMs - startMs, lengthMs)));
    const atMs = bar.startMs - left.reduce((sum, length) => sum + length, 0);
    return { atMs, lengthMs: isWaitForPeople(bar) ? 0 : bar.lengthMs };
  });
  return { places, wholeMs: Math.max(1, ...places.map(({ atMs, lengthMs }) => atMs + lengthMs)) };
}

/** A step that waits, of a state that is there to wait. */
export function isWaitForPeople({ state, step }: Pick<Bar, 'state' | 'step'>): boolean {
  return /^wait/.test(step) && WAITING_STATES.some((known) => known === state);
}

/**
 * The events hold the time of their end in whole seconds and the length of the step in ms: a step begins where the one
 * before it ended, or later where the clock says that nothing was done in between.
 * @param now by the database's clock; where a running step ends for the time being
 */
export function barsOf(timeline: readonly TimelineEntry[], now: string): Bar[] {
  const first = timeline[0];
  if (!first) return [];
  const origin = parse(first.time) - (first.milliseconds ?? 0);
  let cursor = 0;
  const bars: Bar[] = [];
  for (const [index, entry] of timeline.entries()) {
    const running = entry.kind === 'begun' && isRunning(timeline, index);
    if (entry.kind === 'begun' && !running) continue;
    const endMs = parse(running ? now : entry.time) - origin;
    const startMs = running ? Math.max(cursor, parse(entry.time) - origin) : startOf(entry, endMs, cursor);
    const lengthMs = running ? Math.max(0, endMs - startMs) : (entry.milliseconds ?? 0);
    cursor = Math.max(cursor, startMs + lengthMs);
    bars.push(barOf(entry, running ? 'running' : (RESULTS[entry.kind] ?? 'note'), startMs, lengthMs));
  }
  return bars;
}

function startOf({ milliseconds }: TimelineEntry, endMs: number, cursor: number): number {
  return Math.max(cursor, endMs - (milliseconds ?? 0));
}

function barOf(entry: TimelineEntry, result: Bar['result'], startMs: number, lengthMs: number): Bar {
  const { step, state, text, time, errorCode, blame, hint } = entry;
  const says = text === '' || text === step ? null : text;
  const label = errorCode === null ? '' : `${errorCode}${blame === null ? '' : ` (${blame})`}: `;
  const name = result === 'note' ? text || step : step || text;
  const reason = says === null || result === 'note' ? null : label + says;
  return { step: name, state, result, time: time.slice(-8), startMs, lengthMs, reason, hint };
}

/** Begun, and nothing came after it that says how it ended. */
function isRunning(timeline: readonly TimelineEntry[], index: number): boolean {
  const { step } = timeline[index]!;
  return timeline.slice(index + 1).every((later) => later.id === 0 || (later.step !== step && later.kind === 'note'));
}

/** Zone-less, both ends alike, so that any zone does. */
function parse(time: string): number {
  const milliseconds = Date.parse(`${time.replace(' ', 'T')}Z`);
  return Number.isNaN(milliseconds) ? 0 : milliseconds;
}
