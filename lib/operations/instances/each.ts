/** Steps of one VM, for all VMs of an appliance. */
import type { ApplianceJob, ApplianceStep, VmJob, VmStep } from '../kind';

/** @param members whom it concerns; default: all */
export function forEach<A>(
  step: VmStep,
  members: (job: ApplianceJob<A>) => readonly VmJob[] = ({ members: all }) => all,
): ApplianceStep<A> {
  return {
    name: step.name,
    done: async (job) => {
      for (const member of members(job)) if (!((await step.done?.(member)) ?? false)) return false;
      return step.done !== undefined;
    },
    run: async (job) => {
      for (const member of members(job)) {
        job.signal.throwIfAborted();
        if (!((await step.done?.(member)) ?? false)) await step.run(member);
      }
    },
    ...(step.undo && {
      undo: async (job: ApplianceJob<A>) => {
        const failures: unknown[] = [];
        for (const member of [...job.members].reverse()) {
          await step.undo!(member).catch((error: unknown) => failures.push(error));
        }
        if (failures.length > 0) throw failures[0];
      },
    }),
  };
}
