/**
 * What a plugin cannot do to the daemon by mistake: end the process, or hold up the event loop for ever.
 *
 * This guards against defects, it is no security border: plugins run in our process and are trusted as such
 * (file-trust.ts decides whom we trust).
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import path from 'node:path';
import vm from 'node:vm';

interface Confined {
  /** The plugin's file. */
  readonly file: string;
  settled: boolean;
}

const confined = new AsyncLocalStorage<Confined>();
const syncRunner = new vm.Script('work()');
const runner = vm.createContext({}) as { work?: () => void };
let guarded = false;

/** Longest time that a plugin may hold up everything else: leases of the daemon must be renewed meanwhile. */
export const SYNC_LIMIT_MS = 5000;

export class SyncLimitError extends Error {
  constructor(limitMs: number, options: { cause: unknown }) {
    super(`did not return within ${limitMs} ms, and nothing else could run meanwhile`, options);
  }
}

/**
 * Calls a plugin's function; its synchronous part is cut off after the limit, even in an endless loop.
 * `process.exit` inside it, or in what it set going, does not end the daemon: it throws.
 * @param file the plugin's
 * @throws SyncLimitError; what the work throws
 */
export function confine<T>(file: string, limitMs: number, work: () => T): T {
  guardProcessExit();
  const context: Confined = { file, settled: false };
  const settle = () => void (context.settled = true);
  let result: T | undefined;
  try {
    result = confined.run(context, () => runWithin(limitMs, work));
  } finally {
    if (isThenable(result)) result.then(settle, settle);
    else settle();
  }
  return result;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** V8 ends whatever runs, in any context, when the time limit of this script is over. */
function runWithin<T>(limitMs: number, work: () => T): T {
  let outcome: { value: T } | { thrown: unknown } | undefined;
  runner.work = () => {
    try {
      outcome = { value: work() };
    } catch (thrown) {
      outcome = { thrown };
    }
  };
  try {
    syncRunner.runInContext(runner, { timeout: limitMs });
  } catch (cause) {
    throw new SyncLimitError(limitMs, { cause });
  }
  if (outcome === undefined) throw new SyncLimitError(limitMs, { cause: undefined });
  if ('thrown' in outcome) throw outcome.thrown;
  return outcome.value;
}

/** Wraps `process.exit` and its like once; outside of plugins they work as ever. */
function guardProcessExit(): void {
  if (guarded) return;
  guarded = true;
  // The `process` that compiled plugins see; a test runner gives its own modules another one.
  const target = vm.runInThisContext('process') as Record<string, (...args: unknown[]) => unknown>;
  for (const name of ['exit', 'abort', 'reallyExit'] as const) {
    const original = target[name]?.bind(target);
    if (original === undefined) continue;
    target[name] = (...args: unknown[]) => {
      const plugin = confined.getStore();
      if (plugin === undefined) return original(...args);
      // After the call came back there is nobody to throw to: a timer of the plugin is simply not obeyed. The daemon
      // itself may be called from what a plugin set going (a connection that it opened first), and may exit.
      if (plugin.settled) return calledBy(plugin) ? undefined : original(...args);
      throw new Error(`called process.${name}, which would end the daemon`);
    };
  }
}

function calledBy({ file }: Confined): boolean {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 100;
  const stack = new Error().stack ?? '';
  Error.stackTraceLimit = stackTraceLimit;
  return stack.includes(path.dirname(file) + path.sep);
}
