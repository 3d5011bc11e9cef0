/**
 * Crash points, for tests only: `PROVISIOND_CRASH_AT="<step>:before|inside|after"` makes this process kill itself, as
 * kill -9 does, at a border of the step of that name or in its middle. Off unless the variable is set.
 *
 * - `before`: before the step asks whether it is done.
 * - `inside[+MS]`: that long after its work began (default: at its first wait), or at its end if that comes sooner.
 * - `after`: when its work has ended well, before anybody is told.
 *
 * Where a step has nothing to do, `inside` and `after` come when it has said so.
 *
 * The step runner asks here, so every step of every list has its crash points without knowing of them.
 */
import { ProvisiondError } from '../errors';

export type CrashMoment = 'before' | 'inside' | 'after';

export interface CrashPoint {
  readonly step: string;
  readonly moment: CrashMoment;
  readonly delayMs: number;
}

/** @throws CONFIG_INVALID for a text that names no moment: a fault test must not pass because nothing was injected */
export function parseCrashPoint(text: string): CrashPoint {
  const found = /^(.+):(before|inside|after)(?:\+(\d+))?$/.exec(text);
  if (!found) {
    const message = `PROVISIOND_CRASH_AT is ${JSON.stringify(text)}, not STEP:before, STEP:inside[+MS] or STEP:after`;
    throw new ProvisiondError('CONFIG_INVALID', message);
  }
  return { step: found[1]!, moment: found[2] as CrashMoment, delayMs: Number(found[3] ?? 0) };
}

/** What the runner calls around each step; nothing at all unless the variable is set. */
export interface CrashPoints {
  before(step: string): void;
  /** The step had nothing to do. */
  past(step: string): void;
  /** Runs the work of a step. */
  around<T>(step: string, work: () => Promise<T>): Promise<T>;
}

const NONE: CrashPoints = { before: () => {}, past: () => {}, around: (_step, work) => work() };

export function crashPoints(text: string | undefined, die = killThisProcess): CrashPoints {
  if (text === undefined || text === '') return NONE;
  const point = parseCrashPoint(text);
  return {
    before: (step) => {
      if (step === point.step && point.moment === 'before') die();
    },
    past: (step) => {
      if (step === point.step && point.moment !== 'before') die();
    },
    around: async (step, work) => {
      if (step !== point.step || point.moment === 'before') return work();
      const timer = point.moment === 'inside' ? setTimeout(die, point.delayMs) : undefined;
      try {
        const result = await work();
        die();
        return result;
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

function killThisProcess(): void {
  process.kill(process.pid, 'SIGKILL');
}
