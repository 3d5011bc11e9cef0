/** Housekeeping at fixed times; node-cron stands behind it. Never the source of truth: a missed run changes nothing. */
import { createTask } from 'node-cron';
import { describeError } from '../errors';
import type { Log } from '../log';

export interface Scheduled {
  stop(): Promise<void>;
}

/**
 * Runs a task again and again; a run that is still under way is not begun a second time.
 * @param when cron expression with seconds, in UTC
 */
export function schedule(name: string, when: string, log: Log, task: () => Promise<void>): Scheduled {
  const quiet = { info() {}, debug() {}, warn() {}, error() {} };
  const job = createTask(
    when,
    async () => {
      await task().catch((error: unknown) => log.warn(`${name}: ${describeError(error)}`));
    },
    { name, timezone: 'Etc/UTC', noOverlap: true, logger: quiet },
  );
  void job.start();
  return {
    stop: async () => {
      await job.destroy();
    },
  };
}
