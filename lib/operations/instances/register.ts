/** The barrier: all disks are copied, or none of them becomes an image. */
import { ProvisiondError } from '../../errors';
import type { Instance, InstanceFile } from '../../model/instance';
import type { ApplianceStep } from '../kind';
import { isRegistered } from './copy';
import { type Capture, type CaptureJob, capturePlanOf, type PlannedInstance } from './plan';

export const registerStep: ApplianceStep<Capture> = {
  name: 'register the instances',
  done: isRegistered,
  run: async (job) => {
    const { store, lease, operation, journal } = job;
    const records = await store.listBaseFiles();
    const filesOf = ({ copies, hostId }: PlannedInstance) =>
      copies.map((copy): InstanceFile => {
        const known = records.find((one) => one.hostId === hostId && one.path === copy.file.path);
        const sha256 = known?.sha256;
        if (!known || !sha256) throw new ProvisiondError('INTERNAL', `the copy ${copy.file.path} was not recorded`);
        const { sizeBytes, virtualSizeBytes } = known;
        return { ...copy.file, volume: copy.volume, type: copy.type, sizeBytes, virtualSizeBytes, sha256 };
      });
    const fresh = capturePlanOf(job).instances.map((instance) => ({
      ...{ imageName: instance.imageName, prettyName: instance.prettyName },
      ...{ sourceRevisionId: instance.sourceRevisionId, computerId: instance.computerId, hostId: instance.hostId },
      ...journal!.captured![instance.computerId]!,
      files: filesOf(instance),
    }));
    await store.registerInstances(lease, operation.id, fresh);
  },
};

/** Those of this operation, also those that were deleted since are none any more. */
export async function ownInstances({ store, operation }: CaptureJob): Promise<Instance[]> {
  return (await store.instances()).filter(({ operationId }) => operationId === operation.id);
}
