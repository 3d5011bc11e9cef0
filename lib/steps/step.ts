/**
 * Steps: named pieces of work that are run from the top each time and ask the world whether they are already done.
 * This file knows nothing of virtual machines.
 *
 * INVARIANTS
 * - `done` is cheap, changes nothing, and believes only the world, never a note that we made ourselves.
 * - `run` may be cut off anywhere (the process may die in it) and run again from its beginning.
 * - `undo` may be called twice, for a step that ran half or not at all; "already gone" is success.
 * - Steps are undone in reverse order, the failed one first, each whatever became of the one before.
 * - Abort is not failure: nothing is undone, the next run goes on from the top.
 */
import { type ProvisiondError, asProvisiondError, describeError } from '../errors';
import { crashPoints } from './crash-point';

const crash = crashPoints(process.env.PROVISIOND_CRASH_AT);

export interface Step<C, E = never> {
  /** What operators grep for: verb first, unique in its list. */
  readonly name: string;
  /** Lines for the user-visible story (VCL's `computerloadlog`): when the step begins, when it has ended well. */
  readonly story?: { readonly before?: string; readonly after?: string };
  /** Is there nothing left to do? Left out: the step is run each time, and must be harmless when repeated. */
  done?(context: C): Promise<boolean> | boolean;
  /** Does the work. Returning an ending ends the whole list there, as a regular result. */
  run(context: C): Promise<E | void> | void;
  /** Takes back whatever `run` may have done. */
  undo?(context: C): Promise<void>;
}

export type StepEvent =
  | { readonly kind: 'begun'; readonly step: string; readonly story?: string }
  /** Its story is what it would have told at its end, for who knows that it was begun and cut off. */
  | { readonly kind: 'skipped'; readonly step: string; readonly story?: string }
  | { readonly kind: 'ended'; readonly step: string; readonly milliseconds: number; readonly story?: string }
  | { readonly kind: 'failed'; readonly step: string; readonly milliseconds: number; readonly error: unknown }
  | { readonly kind: 'undone'; readonly step: string; readonly error?: unknown };

export interface RunOptions {
  readonly signal: AbortSignal;
  /** Told of every event, in order. Must not throw. */
  readonly observe?: (event: StepEvent) => void;
  /** Leave everything as it is on failure, because the list is about to be run again. */
  readonly keepOnFailure?: (error: ProvisiondError) => boolean;
}

export type RunOutcome<E> =
  | { readonly kind: 'done' }
  | { readonly kind: 'ended'; readonly ending: E }
  | { readonly kind: 'aborted'; readonly reason: unknown }
  | { readonly kind: 'failed'; readonly step: string; readonly error: ProvisiondError; readonly leftovers: string[] };

/**
 * Runs a list of steps from the top.
 * @returns how it came out; never throws for a failing step.
 */
export async function runSteps<C, E = never>(
  steps: readonly Step<C, E>[],
  context: C,
  options: RunOptions,
): Promise<RunOutcome<E>> {
  const { signal } = options;
  const observe = options.observe ?? (() => {});
  const begun: Step<C, E>[] = [];

  for (const step of steps) {
    if (signal.aborted) return { kind: 'aborted', reason: signal.reason };
    const startedAt = performance.now();
    const elapsed = () => Math.round(performance.now() - startedAt);
    begun.push(step);
    try {
      crash.before(step.name);
      if (await step.done?.(context)) {
        crash.past(step.name);
        observe({ kind: 'skipped', step: step.name, story: step.story?.after });
        continue;
      }
      observe({ kind: 'begun', step: step.name, story: step.story?.before });
      const ending = await crash.around(step.name, async () => step.run(context));
      observe({ kind: 'ended', step: step.name, milliseconds: elapsed(), story: step.story?.after });
      if (ending !== undefined) return { kind: 'ended', ending: ending as E };
    } catch (thrown) {
      if (signal.aborted) return { kind: 'aborted', reason: signal.reason };
      const error = asProvisiondError(thrown, `step '${step.name}'`);
      observe({ kind: 'failed', step: step.name, milliseconds: elapsed(), error });
      const leftovers = options.keepOnFailure?.(error) ? [] : await undoSteps(begun, context, observe);
      return { kind: 'failed', step: step.name, error, leftovers };
    }
  }
  return signal.aborted ? { kind: 'aborted', reason: signal.reason } : { kind: 'done' };
}

/**
 * Undoes steps in reverse, best effort.
 * @returns what could not be undone, a sentence each.
 */
export async function undoSteps<C, E>(
  steps: readonly Step<C, E>[],
  context: C,
  observe: (event: StepEvent) => void,
): Promise<string[]> {
  const leftovers: string[] = [];
  for (const step of [...steps].reverse()) {
    if (!step.undo) continue;
    try {
      await step.undo(context);
      observe({ kind: 'undone', step: step.name });
    } catch (error) {
      observe({ kind: 'undone', step: step.name, error });
      leftovers.push(`${step.name}: ${describeError(error)}`);
    }
  }
  return leftovers;
}

/** The same steps, counted as done while the condition does not hold. */
export function onlyWhen<C, E>(condition: (context: C) => boolean, steps: readonly Step<C, E>[]): Step<C, E>[] {
  return steps.map((step) => ({
    ...step,
    done: async (context: C) => !condition(context) || ((await step.done?.(context)) ?? false),
  }));
}
