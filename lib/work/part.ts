/** One reservation of a claim: its steps, run to their end, and what follows for its computer. */
import { findError, ProvisiondError, describeError } from '../errors';
import type { Reservation } from '../model/reservation';
import type { Job, JobStep, StateHandler } from '../states/job';
import { failureTransition } from '../states/outcome';
import { runSteps, type RunOutcome } from '../steps/step';
import type { Transition } from '../store/store';
import type { SharedFate } from './siblings';

/** How a part came out; `again`: rows were completed meanwhile, so all of it is read and run again. */
export type PartEnd =
  | { readonly kind: 'done' | 'ended' | 'failed'; readonly reservation: Reservation; readonly transition: Transition }
  | { readonly kind: 'stopped' | 'again'; readonly reservation: Reservation };

/** Back to work within 5 s of the database's return. */
const LONGEST_DATABASE_PAUSE_MS = 2000;

export interface Patience {
  readonly retryAttempts: number;
  readonly retryDelayMs: number;
}

/** Runs the steps of a handler for one reservation. Never throws for a failing step. */
export async function runPart(
  handler: StateHandler,
  job: Job,
  patience: Patience,
  shared: SharedFate,
): Promise<PartEnd> {
  const { reservation } = job;
  const outcome = await runAgain(bordered(handler.steps), job, patience);
  switch (outcome.kind) {
    case 'done':
      return { kind: 'done', reservation, transition: handler.onSuccess(job) };
    case 'ended':
      if (reservation.isParent) shared.ending = outcome.ending;
      return { kind: 'ended', reservation, transition: outcome.ending };
    case 'aborted':
      job.log.info(`stopped: ${String(outcome.reason)}`);
      return { kind: 'stopped', reservation };
    case 'failed':
      return failed(handler, job, outcome, shared);
  }
}

/** Each step of a cluster's reservation begins with a look whether another has failed. */
function bordered(steps: readonly JobStep[]): JobStep[] {
  return steps.map((step) => ({
    ...step,
    done: async (job: Job) => {
      job.siblings.check();
      return (await step.done?.(job)) ?? false;
    },
  }));
}

/** Runs the steps, again from the top while what failed may well succeed a little later. */
async function runAgain(steps: readonly JobStep[], job: Job, patience: Patience): Promise<RunOutcome<Transition>> {
  for (let attempt = 1; ; attempt++) {
    const again = (error: ProvisiondError) => mayRetry(error, attempt, patience);
    const outcome = await runSteps(steps, job, {
      signal: job.signal,
      observe: job.narrator.observe,
      keepOnFailure: (error) => again(error) || isOvertaken(error) || isOutdated(error),
    });
    if (outcome.kind !== 'failed' || !again(outcome.error)) return outcome;
    const delayMs = delayBefore(attempt, outcome.error, patience);
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

/** Longer from time to time; but a database that is back is noticed soon. */
function delayBefore(attempt: number, error: ProvisiondError, { retryDelayMs }: Patience): number {
  const delayMs = retryDelayMs * 2 ** Math.min(attempt - 1, 5);
  return findError(error, 'DATABASE_UNAVAILABLE') ? Math.min(delayMs, LONGEST_DATABASE_PAUSE_MS) : delayMs;
}

function mayRetry(error: ProvisiondError, attempt: number, { retryAttempts }: Patience): boolean {
  if (findError(error, 'DATABASE_UNAVAILABLE')) return true;
  return error.retryable && attempt < retryAttempts;
}

function failed(
  handler: StateHandler,
  job: Job,
  outcome: RunOutcome<Transition> & { kind: 'failed' },
  shared: SharedFate,
): PartEnd {
  const { step, error, leftovers } = outcome;
  const { reservation } = job;
  if (isOutdated(error)) return { kind: 'again', reservation };
  if (isOvertaken(error)) {
    job.log.info(`stopped in step '${step}'`, { error });
    return { kind: 'stopped', reservation };
  }
  shared.error ??= error;
  job.log.error(`step '${step}' failed`, { error, leftovers });
  job.narrator.note('failed', describeForUser(error));
  if (leftovers.length > 0) {
    job.log.error('something was left behind', {
      error: new ProvisiondError('UNDO_INCOMPLETE', leftovers.join('; ')),
    });
  }
  const { secondsToEnd } = job.watch.row;
  const own = leftovers.length === 0 ? handler.onFailure?.(job) : undefined;
  const transition = own ?? failureTransition({ state: job.claim.state, error, leftovers, secondsToEnd });
  return { kind: 'failed', reservation, transition };
}

/** The row is somebody else's now: not a failure, and nothing is undone. */
export function isOvertaken(error: ProvisiondError): boolean {
  return findError(error, 'CLAIM_LOST') !== undefined || findError(error, 'LEASE_LOST') !== undefined;
}

/** The frozen reservation is not what the rows say any more. */
function isOutdated(error: ProvisiondError): boolean {
  return findError(error, 'ROWS_COMPLETED') !== undefined;
}

/** The outermost message with its hint: what the front end shows of a failed reservation. What a plugin itself said is in
 * the cause, and nobody else knows it. */
function describeForUser(error: ProvisiondError): string {
  const message = error.blame === 'plugin' ? describeError(error) : error.message;
  return `${message} (${error.code}). ${error.hint}`;
}
