/** The base images of volumes, on the VM's host. */
import { ProvisiondError } from '../../errors';
import { checkImageHeader } from '../../images/image-header';
import { lookForImage } from '../../images/image-look';
import { ImageStore } from '../../images/image-store';
import { masterImagePath } from '../../model/names';
import type { VmJob } from '../kind';

/** The files of an image on the VM's host. */
export function imagesOf(job: VmJob, imageName: string): ImageStore {
  const { vm, store, config, log, operation, signal } = job;
  const { host, fence } = vm;
  const { profile, computerId } = vm.parts.hostFacts;
  return new ImageStore({
    ...{ host, fence, profile, imageName, log, signal },
    loadId: `operation-${operation.id}`,
    timeoutMs: config.imageTimeoutMs,
    look: () => lookForImage(host, profile, imageName),
    changed: () => {},
    trust: { hostId: computerId, records: store, checkAtUse: config.imageCheckAtUse, log },
  });
}

/** The base as it is, or, in a dry run, as it will be once it was copied. @throws IMAGE_NOT_FOUND, IMAGE_UNTRUSTED */
export async function baseOnHost(job: VmJob, imageName: string, format: string) {
  const { profile } = job.vm.parts.hostFacts;
  const [file] = await imagesOf(job, imageName).findFiles();
  if (!file) {
    const message = `image ${imageName} is neither in the datastore nor in the repository of host ${job.vm.host.name}`;
    throw new ProvisiondError('IMAGE_NOT_FOUND', message);
  }
  const header = checkImageHeader(file.path, file.header, file.sizeBytes);
  const isThere = file.path.startsWith(`${profile.datastorePath}/`);
  const base = isThere
    ? { path: file.path, format: header.format }
    : { path: masterImagePath(profile, imageName, format), format };
  return { ...base, virtualSizeBytes: header.virtualSizeBytes };
}
