/**
 * `compact`: the disks of a VM that is off give back the room that they take and do not need: zeros, and what they hold the same as
 * what they stand on. Its old disks are the backup: they wait in the trash, `undo` brings them back, and `trashDays` ends them.
 */
import { z } from 'zod';
import { ProvisiondError } from '../../errors';
import { trashFolder } from '../../model/volume';
import { compareStep } from '../clones/copies';
import { requireDomain, type VmJob, vmKind } from '../kind';
import { checkStep } from '../power/steps';
import * as change from './change';
import { disksOf } from './hands';
import { type ChangePlan, newFiles, oldFiles } from './plan';
import { planStep } from './plan-step';
import { presentOf, refuseSnapshots, successor } from './present';

const COMPACT = z.strictObject({ dryRun: z.boolean().default(false) });
type Compact = z.output<typeof COMPACT>;

export const compact = vmKind<Compact>({
  name: 'compact',
  about: 'give back the room that the disks of a VM that is off take and do not need; undo brings the old ones back',
  arguments: COMPACT,
  example: { dryRun: false },
  steps: [
    checkStep(
      'compact',
      () => 'compact',
      async (job, sight) => {
        refuseSnapshots(job, sight);
        await presentOf(job);
      },
    ),
    planStep(planCompact),
    change.buildStep,
    change.verifyStep,
    compareStep,
    change.switchAndStayOffStep,
    change.recordStep,
    change.trashStep,
    { name: 'tell what is gained', run: tellGain },
  ],
});

/** Temporary volumes are empty while their VM is off; what is somebody else's is left alone. */
async function planCompact(job: VmJob<Compact>): Promise<ChangePlan> {
  const present = await presentOf(job);
  const { uuid, name } = await requireDomain(job);
  const wanted = present.volumes.filter(({ type, foreign }) => type !== 'temporary' && !foreign);
  const changes = wanted.map((volume) => {
    const { path, format, type, target } = volume;
    const info = present.infos.get(path);
    if (!info) {
      const message = `disk ${path} of ${job.computer.shortName} is missing on host ${job.vm.host.name}`;
      throw new ProvisiondError('IMAGE_NOT_FOUND', message, { blame: 'computer' });
    }
    const { backingFileActualPath: backing, backingFormat, virtualSizeBytes: size } = info;
    const on = backing === null ? null : { path: backing, format: backingFormat ?? 'raw' };
    const making = { how: 'thin', base: { path, format }, on, imageName: null, size } as const;
    const after = { ...successor(job, present, volume, format), making };
    return { volume: { name: volume.name, type }, target, before: { path, format }, after };
  });
  const { vmPath } = job.vm.parts.hostFacts.profile;
  return { domain: { uuid, name }, changes, trash: trashFolder({ vmPath, ...job.computer }, job.operation.id) };
}

async function tellGain(job: VmJob): Promise<void> {
  const plan = change.planOf(job);
  const kept = oldFiles(plan).map(({ to, format }) => ({ path: to, format }));
  const { infos } = await disksOf(job).look([...kept, ...newFiles(plan)]);
  const takes = (files: readonly { path: string }[]) =>
    files.reduce((sum, { path }) => sum + (infos.get(path)?.diskSizeBytes ?? 0), 0);
  job.result.gainedKiB = Math.round((takes(kept) - takes(newFiles(plan))) / 1024);
}
