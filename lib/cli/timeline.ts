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
      return [`${time}  ${paint('red', 'failed ')}  ${step} ${took}`, ...reasonLines(entry)];
    case 'undone': {
      const word = entry.text === entry.step ? paint('yellow', 'undone ') : paint('red', 'left   ');
      return [`${time}  ${word}  ${step}`.trimEnd(), ...reasonLines(entry)];
    }
    default:
      return [`${time}  ${paint('cyan', 'note   ')}  ${printable(entry.text || entry.step)}`, ...hintLine(entry)];
  }
}

const INDENT = ' '.repeat(19);

/** Why it went wrong, where the text says more than the name of the step. */
function reasonLines(entry: TimelineEntry): string[] {
  const { text, step, errorCode, blame } = entry;
  const label = errorCode === null ? '' : `${errorCode}${blame === null ? '' : ` (${blame})`}: `;
  return [...(text === '' || text === step ? [] : [INDENT + label + printable(text)]), ...hintLine(entry)];
}

function hintLine({ hint }: TimelineEntry): string[] {
  return hint === null ? [] : [`${INDENT}hint: ${printable(hint)}`];
}

/** The newest entry that tells why it went wrong. */
export function lastFailure(timeline: readonly TimelineEntry[]): TimelineEntry | undefined {
  return timeline.findLast(({ errorCode }) => errorCode !== null);
}
