/**
 * Of two that ask for the same at once or in a row, one does the work, and both are told that it is done. For kinds that have
 * nothing left to do once that is so; asked for later, they are refused like anything else.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { VmJob, VmStep } from './kind';

const LOOK_MS = 300;

/** @param isSo whether what that operation did is still so */
export function joinTwinStep<A>(isSo: (job: VmJob, twinId: number) => Promise<boolean>): VmStep<A> {
  return {
    name: 'join whoever does the same already',
    done: (job) => job.journal !== null,
    run: async (job) => {
      for (;;) {
        job.signal.throwIfAborted();
        const twin = await job.store.twinOf(job.operation.id);
        // One that failed is no reason not to try.
        if (twin === null || twin.state === 'failed' || twin.state === 'cancelled') return;
        if (twin.state === 'done') {
          if (!(await isSo(job, twin.id))) return;
          Object.assign(job.result, JSON.parse(twin.result ?? '{}'), { doneBy: twin.id });
          return 'looked';
        }
        job.tell(`operation ${twin.id} does the same; it is waited for`);
        await sleep(LOOK_MS, undefined, { signal: job.signal }).catch(() => {});
      }
    },
  };
}
