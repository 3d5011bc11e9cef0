/**
 * `undo`: the last change of what a VM is made of is taken back while its old disks are kept: the same change, the other way
 * round. What it replaces goes to the trash in its turn, so that an undo can be undone.
 */
import { z } from 'zod';
import { ProvisiondError } from '../../errors';
import { deedOf } from '../../model/vm-states';
import { trashFolder } from '../../model/volume';
import type { Trash } from '../../store/store';
import { requireDomain, type VmJob, vmKind } from '../kind';
import { checkStep } from '../power/steps';
import { CHANGE_STEPS } from './change';
import { disksOf } from './hands';
import { type ChangePlan, oldFiles, sideOf, type VolumeChange } from './plan';
import { planStep } from './plan-step';
import { STOPPING } from './restore';

const UNDO = z.strictObject({ ...STOPPING, dryRun: z.boolean().default(false) });
type Undo = z.output<typeof UNDO>;

export const undo = vmKind<Undo>({
  name: 'undo',
  about: 'take the last change of disks back, while the old ones are kept',
  arguments: UNDO,
  example: { timeoutSeconds: 120, hard: false, discardState: false, dryRun: false },
  steps: [
    checkStep(
      'undo',
      (args) => deedOf('undo', args),
      async (job) => void (await lastTrash(job)),
    ),
    planStep(planUndo),
    ...CHANGE_STEPS,
  ],
});

/** @throws NOT_FOUND when nothing is kept, or its time is over */
async function lastTrash(job: VmJob): Promise<Trash> {
  const { store, computer } = job;
  const [last] = (await store.listTrash(computer.id)).filter(({ state }) => state !== 'purging');
  if (last && last.secondsLeft > 0) return last;
  const when = last ? 'its time is over' : 'nothing of it was replaced, or its old disks are gone';
  throw new ProvisiondError('NOT_FOUND', `there is nothing to undo for ${computer.shortName}: ${when}`);
}

async function planUndo(job: VmJob<Undo>): Promise<ChangePlan> {
  const { computer, vm, store, lease, operation } = job;
  const trash = await lastTrash(job);
  const done = JSON.parse(trash.plan) as ChangePlan;
  const { uuid, name } = await requireDomain(job);
  const definition = await disksOf(job).definition({ uuid, name });
  if (done.domain.uuid !== uuid || sideOf(done, definition) !== 'after') {
    const message = `${computer.shortName} is not made any more of what operation ${trash.operationId} gave it`;
    throw new ProvisiondError('CONFLICT', message, { hint: 'It was loaded anew, or somebody redefined it' });
  }
  if (!job.arguments.dryRun && !(await store.takeTrash(lease, trash.operationId, 'taken'))) {
    throw new ProvisiondError('NOT_FOUND', `the old disks of ${computer.shortName} are being removed`);
  }
  const { vmPath } = vm.parts.hostFacts.profile;
  return {
    domain: { uuid, name },
    changes: done.changes.map((change) => reverse(change, done)),
    ...(done.image && { image: { before: done.image.after, after: done.image.before } }),
    ...(done.media && { media: { before: done.media.after, after: done.media.before } }),
    trash: trashFolder({ vmPath, shortName: computer.shortName }, operation.id),
    undoes: trash.operationId,
  };
}

/** The old file comes back from the trash to where it was. */
function reverse({ volume, target, before, after }: VolumeChange, done: ChangePlan): VolumeChange {
  const from = before && oldFiles(done).find(({ path }) => path === before.path)!.to;
  return {
    ...{ volume, target },
    before: after && { path: after.path, format: after.format },
    after: before && { ...before, making: { how: 'move', from: from! } },
  };
}
