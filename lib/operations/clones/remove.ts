/** `remove_base`: a VM that is a base becomes a VM again, with disks of its own, and the base files go. Refused while anything stands on them. */
import { z } from 'zod';
import { ProvisiondError } from '../../errors';
import { removeBase, surveyImages } from '../../images/base-survey';
import { imageLock } from '../../model/names';
import { imageNameOfBase, type VmBase } from '../../model/vm-base';
import { powerOf } from '../../libvirt/vm-sight';
import { conditionOf } from '../../model/vm-states';
import { trashFolder } from '../../model/volume';
import { onlyWhen } from '../../steps/step';
import { type VmJob, vmKind, type VmStep } from '../kind';
import { requireAllowed } from '../power/steps';
import { joinTwinStep } from '../twin';
import * as change from '../volumes/change';
import type { ChangePlan } from '../volumes/plan';
import { planStep } from '../volumes/plan-step';
import { presentOf } from '../volumes/present';
import { refuseWithClones } from './bases';
import { compareStep, planCopies, removeOld } from './copies';

const REMOVE = z.strictObject({ dryRun: z.boolean().default(false) });
type Remove = z.output<typeof REMOVE>;

/** The base that was prepared from this VM. @throws NOT_FOUND */
async function ownBase(job: VmJob): Promise<VmBase> {
  const base = await findOwnBase(job);
  if (base) return base;
  throw new ProvisiondError('NOT_FOUND', `${job.computer.shortName} is no base`);
}

async function findOwnBase({ store, computer }: VmJob): Promise<VmBase | undefined> {
  return (await store.vmBases()).find(({ computerId }) => computerId === computer.id);
}

/** Its disks that stand on the base; none where it was loaded anew since, or unloaded. */
async function ownDisks(job: VmJob, base: VmBase): Promise<string[]> {
  const sight = await job.vm.look(job.signal);
  if (sight?.uuid !== base.uuid) return [];
  const { infos } = await presentOf(job);
  const files = base.volumes.map((volume) => volume.path);
  return [...infos].flatMap(([path, info]) => (files.includes(info.backingFileActualPath ?? '') ? [path] : []));
}

const checkRemoval: VmStep<Remove> = {
  name: 'check that it is allowed',
  done: (job) => job.journal !== null,
  run: async (job) => {
    const base = await ownBase(job);
    const own = await ownDisks(job, base);
    const sight = await job.vm.look(job.signal);
    // A VM that was loaded anew may do what it likes meanwhile: only files go.
    const power = own.length > 0 && sight ? powerOf(sight) : ({ state: 'Halted', guestSleeping: false } as const);
    requireAllowed(job, 'remove_base', 'remove_base', { power });
    await refuseWithClones(job, base, own);
    await job.makeRoom();
    await job.keepJournal({ from: conditionOf(power), domainId: null });
  },
};

async function planRemoval(job: VmJob<Remove>): Promise<ChangePlan> {
  const base = await ownBase(job);
  const files = base.volumes.map((volume) => volume.path);
  if (job.arguments.dryRun) job.result.removes = files;
  if ((await ownDisks(job, base)).length > 0) return planCopies(job, (backing) => files.includes(backing ?? ''));
  const { vmPath } = job.vm.parts.hostFacts.profile;
  const trash = trashFolder({ vmPath, ...job.computer }, job.operation.id);
  return { domain: { uuid: base.uuid, name: base.shortName }, changes: [], trash };
}

/** Each under the lock that whoever makes an overlay on it shares; what came between keeps it. */
async function removeFiles(job: VmJob): Promise<void> {
  const base = await ownBase(job);
  await removeOld(job);
  const { host, parts } = job.vm;
  const { profile, computerId: hostId } = parts.hostFacts;
  const files = await surveyImages(host, profile, job.config.imageTimeoutMs);
  for (const volume of base.volumes) {
    const file = files.find(({ path }) => path === volume.path);
    const outcome = file
      ? await removeBase(host, profile, file, imageLock(profile, imageNameOfBase(volume)))
      : 'removed';
    if (outcome !== 'removed') {
      throw new ProvisiondError('CONFLICT', `base file ${volume.path} stays: ${outcome}`, {
        blame: 'request',
        hint: 'Somebody came to stand on it meanwhile; ask for remove_base again when nothing does',
      });
    }
    await job.store.forgetBaseFile({ hostId, path: volume.path });
  }
  await job.store.forgetVmBase(job.lease, base);
}

export const remove_base = vmKind<Remove>({
  name: 'remove_base',
  about: 'make a VM again of a base that nothing stands on; its content stays, the base files go',
  arguments: REMOVE,
  example: { dryRun: false },
  steps: [
    joinTwinStep(async (job) => (await findOwnBase(job)) === undefined),
    checkRemoval,
    planStep(planRemoval),
    ...onlyWhen(
      (job: VmJob) => change.planOf(job).changes.length > 0,
      [change.buildStep, change.verifyStep, compareStep, change.switchStep, change.recordStep],
    ),
    {
      name: 'remove the base files',
      done: async (job) => (await findOwnBase(job)) === undefined,
      run: removeFiles,
    },
  ],
});
