/** The story of a reservation as lines: a step, how it went, how long it took. */
import { printable } from '../log-line';
import type { TimelineEntry } from '../store/front-end';
import type { Printer } from './printer';
import { duration } from './terminal';

const STEP_WIDTH = 44;

/**
 * The lines of one entry.
 * @returns none for the beginning of a step: its end tells more
 */
export function timelineLines(entry: TimelineEntry, { paint }: Printer): string[] {
  const time = paint('dim', entry.time.slice(-8));
  const step = printable(entry.step || entry.text).padEnd(STEP_WIDTH);
  const took = entry.milliseconds === null ? '' : paint('dim', duration(entry.milliseconds).padStart(10));
  switch (entry.kind) {
    case 'begun':
      return [];
    case 'ended':
      return [`${time}  ${paint('green', 'done   ')}  ${step} ${took}`];
    case 'skipped':
      return [`${time}  ${paint('dim', 'already')}  ${step}`.trimEnd()];
    case 'failed':
      return [`${time}  ${paint('red', 'failed ')}  ${step} ${took}`, ...failureLines(entry)];
    case 'undone':
      return [`${time}  ${paint('yellow', 'undone ')}  ${step}`.trimEnd(), ...failureLines(entry)];
    default:
      return [`${time}  ${paint('cyan', 'note   ')}  ${printable(entry.text)}`, ...failureLines(entry, false)];
  }
}

function failureLines(entry: TimelineEntry, withText = true): string[] {
  const indent = ' '.repeat(19);
  const blame = entry.blame === null ? '' : ` (${entry.blame})`;
  return [
    ...(withText && entry.errorCode !== null ? [`${indent}${entry.errorCode}${blame}: ${printable(entry.text)}`] : []),
    ...(entry.hint === null ? [] : [`${indent}hint: ${printable(entry.hint)}`]),
  ];
}

/** The newest entry that tells why it went wrong. */
export function lastFailure(timeline: readonly TimelineEntry[]): TimelineEntry | undefined {
  return timeline.findLast(({ errorCode }) => errorCode !== null);
}
