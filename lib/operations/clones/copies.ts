/** Disks that become files of their own, with all that they stood on: how that is planned, proved and ended. */
import { script } from '../../host/host';
import { COMPARE_VOLUMES } from '../../images/clone-scripts';
import { explain } from '../../images/copy-work';
import { trashFolder } from '../../model/volume';
import { requireDomain, type VmJob, type VmStep } from '../kind';
import * as change from '../volumes/change';
import type { ChangePlan, VolumeChange } from '../volumes/plan';
import { disksOf } from '../volumes/hands';
import { presentOf, successor } from '../volumes/present';

/** @param isWanted by what a volume stands on; null: on nothing */
export async function planCopies(job: VmJob, isWanted: (backing: string | null) => boolean): Promise<ChangePlan> {
  const present = await presentOf(job);
  const { uuid, name } = await requireDomain(job);
  const changes = present.volumes.flatMap((volume): VolumeChange[] => {
    const info = present.infos.get(volume.path);
    if (!info || !isWanted(info.backingFileActualPath)) return [];
    const { path, format, type, target } = volume;
    const making = { how: 'copy', base: { path, format }, imageName: null, size: info.virtualSizeBytes } as const;
    const after = { ...successor(job, present, volume, format), making };
    return [{ volume: { name: volume.name, type }, target, before: { path, format }, after }];
  });
  const { vmPath } = job.vm.parts.hostFacts.profile;
  return { domain: { uuid, name }, changes, trash: trashFolder({ vmPath, ...job.computer }, job.operation.id) };
}

/** What is about to take the place of the old disks has to hold all that they hold. */
export const compareStep: VmStep = {
  name: 'hold the copies against the disks',
  done: change.isOn('after'),
  run: async (job) => {
    const { host } = job.vm;
    const fours = change.planOf(job).changes.flatMap(({ before, after }) => {
      return before && after ? [before.path, before.format, after.path, after.format] : [];
    });
    const timeoutMs = job.config.imageTimeoutMs;
    const argv = script(COMPARE_VOLUMES, ...fours);
    const result = await host.run(argv, { expect: 'any', timeoutMs, signal: job.signal });
    if (result.exitCode === 0) return;
    const doing = `comparing the new disks of ${job.computer.shortName} with the old ones`;
    throw explain(host.name, { doing, folder: '', failure: 'IMAGE_UNTRUSTED' }, result);
  },
};

/** From here on there is no way back, and none is needed: both hold the same. */
export async function removeOld(job: VmJob): Promise<void> {
  await job.keepJournal({ ...job.journal!, settled: true });
  const old = change.planOf(job).changes.flatMap(({ before }) => before ?? []);
  await disksOf(job).remove(old);
}

export async function oldAreGone(job: VmJob): Promise<boolean> {
  const old = change.planOf(job).changes.flatMap(({ before }) => before ?? []);
  return (await disksOf(job).look(old)).infos.size === 0;
}
