/**
 * Undeploying: each VM gets fresh disks, on its image as it was or on the new instance, and stays off. What it had waits in the
 * trash like the old disks of every change of a VM, and comes back by `undo`. Data volumes stay what they are.
 */
import { onlyWhen } from '../../steps/step';
import type { ApplianceJob, ApplianceStep, VmJob } from '../kind';
import { conditionNow, isNow } from '../power/steps';
import { pressButton } from '../power/button';
import * as change from '../volumes/change';
import type { ChangePlan } from '../volumes/plan';
import { bringImage, planRestore, type Restore } from '../volumes/restore';
import { forEach } from './each';
import { type Capture, type CaptureJob, capturePlanOf } from './plan';

/** Those that are undeployed: all that were deployed when the operation was begun. */
export const undeployed = ({ members }: ApplianceJob): VmJob[] => members.filter(({ journal }) => journal !== null);

const asRestore = (member: VmJob, image: string | null): VmJob<Restore> => ({
  ...member,
  arguments: { ...(image !== null && { image }), hard: true, discardState: false, dryRun: false },
});

/** @param image that it is made from later on; null: its own again @throws IMAGE_NOT_FOUND when that is gone */
export function planUndeployment(member: VmJob, image: string | null): Promise<ChangePlan> {
  return planRestore(asRestore(member, image));
}

/** What the VM will be made of. */
function nextImage(job: CaptureJob, { computer }: VmJob): string | null {
  const own = capturePlanOf(job).instances.find(({ computerId }) => computerId === computer.id);
  return job.arguments.update && own ? own.imageName : null;
}

const planStep: ApplianceStep<Capture> = {
  name: 'decide what the VMs are made of next',
  done: (job) => undeployed(job).every(({ journal }) => journal?.plan !== undefined),
  run: async (job) => {
    for (const member of undeployed(job)) {
      if (member.journal?.plan) continue;
      const image = nextImage(job, member);
      await bringImage(asRestore(member, image));
      // Its change counts as an operation of its own: it has its own trash, and can be taken back by itself.
      const operationId = await job.store.noteChildOperation(job.lease, job.operation, member.computer.id, 'undeploy');
      await member.keepJournal({ ...member.journal!, operationId });
      await member.keepJournal({ ...member.journal!, plan: await planUndeployment(member, image) });
    }
  },
  undo: async (job) => {
    for (const { journal } of undeployed(job)) {
      if (journal?.operationId !== undefined && !journal.settled) {
        await job.store.forgetChildOperation(job.lease, journal.operationId);
      }
    }
  },
};

const stopStep: ApplianceStep<Capture> = {
  name: 'stop the guests',
  done: async (job) => {
    for (const member of undeployed(job)) if (!(await isStopped(member))) return false;
    return true;
  },
  run: async (job) => {
    await Promise.all(undeployed(job).map(stop));
  },
  undo: (job) => forEach(change.stopStep).undo!(job),
};

const isStopped = async (member: VmJob) => (await isNow('Halted')(member)) || change.isOn('after')(member);

/** Who undeploys throws away what the guest has not yet written: it is asked, and then its plug is pulled. */
async function stop(member: VmJob): Promise<void> {
  if (await isStopped(member)) return;
  const { condition } = await conditionNow(member);
  const { timeoutSeconds } = member.arguments as Capture;
  const asked = condition === 'Running' && (await pressButton({ ...member, arguments: { timeoutSeconds } }));
  if (asked) return;
  member.tell('its guest did not shut down; its plug is pulled');
  await member.vm.switchOff((await conditionNow(member)).sight);
}

const markStep: ApplianceStep<Capture> = {
  name: 'note that the VMs are undeployed',
  run: async (job) => {
    for (const member of undeployed(job)) {
      await job.store.setUndeployed(job.lease, member.computer.id, change.planOf(member).domain.uuid);
    }
  },
  undo: async (job) => {
    for (const member of undeployed(job)) {
      if (!member.journal?.plan || member.journal.settled) continue;
      await job.store.setUndeployed(job.lease, member.computer.id, null);
    }
  },
};

const changing = ({ journal }: VmJob) => (journal?.plan?.changes.length ?? 0) > 0;
const each = (step: Parameters<typeof forEach>[0]) => forEach<Capture>(onlyWhen(changing, [step])[0]!, undeployed);

export const UNDEPLOY_STEPS: readonly ApplianceStep<Capture>[] = [
  planStep,
  each(change.buildStep),
  each(change.verifyStep),
  stopStep,
  each(change.switchAndStayOffStep),
  each(change.recordStep),
  each(change.trashStep),
  markStep,
];
