/** What the volumes of one VM may add up to (`volumeQuotaMiB`): asked before anything is made, and long before its guest is stopped. */
import { ProvisiondError } from '../../errors';
import type { VmJob } from '../kind';
import { disksOf } from './hands';
import type { ChangePlan, VolumeChange } from './plan';
import { presentOf } from './present';

const MIB = 2 ** 20;

/** What makes a VM no larger is allowed, however large it is. @throws OPERATION_INVALID */
export async function refuseOverQuota(job: VmJob, { changes, undoes }: ChangePlan): Promise<void> {
  const { volumeQuotaMiB } = job.config;
  // An undo brings back what was allowed before.
  if (volumeQuotaMiB === 0 || changes.length === 0 || undoes !== undefined) return;
  const { volumes, infos } = await presentOf(job);
  const bytesOf = (path: string) => infos.get(path)?.virtualSizeBytes ?? 0;
  const before = volumes.reduce((sum, { path }) => sum + bytesOf(path), 0);
  const made = await Promise.all(changes.map((change) => bytesAfter(job, change)));
  const replaced = changes.reduce((sum, change) => sum + (change.before ? bytesOf(change.before.path) : 0), 0);
  const after = before - replaced + made.reduce((sum, bytes) => sum + bytes, 0);
  if (after <= before || after <= volumeQuotaMiB * MIB) return;
  const wouldBe = `its volumes would be ${Math.ceil(after / MIB)} MiB, and ${volumeQuotaMiB} are the most`;
  throw new ProvisiondError('OPERATION_INVALID', `${job.operation.kind} of ${job.computer.shortName}: ${wouldBe}`, {
    hint: 'Remove a volume, ask for less, or raise volumeQuotaMiB',
  });
}

async function bytesAfter(job: VmJob, { after }: VolumeChange): Promise<number> {
  if (!after) return 0;
  if ('size' in after.making && after.making.size !== undefined) return after.making.size;
  const { infos } = await disksOf(job).look([after]);
  return infos.get(after.path)?.virtualSizeBytes ?? 0;
}
