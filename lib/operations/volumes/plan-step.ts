/** The decision: what a change will do, written to the journal, or, for a dry run, told and left at that. */
import { createReadable } from './report';
import type { VmJob, VmStep } from '../kind';
import type { ChangePlan } from './plan';
import { refuseOverQuota } from './quota';

/** Arguments of kinds that can be asked what they would do. */
export interface DryRun {
  readonly dryRun: boolean;
}

/** @param plan changes nothing; throws what stands against it */
export function planStep<A extends DryRun>(plan: (job: VmJob<A>) => Promise<ChangePlan>): VmStep<A> {
  return {
    name: 'decide what is to be done',
    done: (job) => job.journal?.plan !== undefined,
    run: async (job) => {
      const decided = await plan(job);
      await refuseOverQuota(job, decided);
      if (!job.arguments.dryRun) return job.keepJournal({ ...job.journal!, plan: decided });
      Object.assign(job.result, await createReadable(job, decided));
      return 'looked';
    },
  };
}
