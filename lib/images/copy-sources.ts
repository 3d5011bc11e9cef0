/** Which files of the repository an image is copied from. */
import { ProvisiondError } from '../errors';
import type { ImageStoreParts } from './image-store';
import { type ImageFile, type ImageSight, repositoryCandidates } from './image-sight';

type Wanted = Pick<ImageStoreParts, 'imageName' | 'profile' | 'host'>;

/**
 * One file, or all parts of a split vmdk; of several formats that of the repository.
 * @throws IMAGE_NOT_FOUND, IMAGE_AMBIGUOUS
 */
export function chooseSources({ imageName, profile, host }: Wanted, sight: ImageSight): ImageFile[] {
  const found = repositoryCandidates(imageName, sight.repository);
  const isSplit = found.length > 1 && found.every((file) => /-(?:[sf]\d+|flat)\.vmdk$/i.test(file.path));
  if (found.length === 1 || isSplit) return found;
  if (found.length === 0) {
    const places = [profile.datastorePath, profile.repositoryPath].filter((place) => place !== null);
    const message = `image ${imageName} is not in ${places.join(' nor in ')} of host ${host.name}`;
    throw new ProvisiondError('IMAGE_NOT_FOUND', message);
  }
  const preferred = found.filter((file) => file.path.toLowerCase().endsWith(`.${profile.repositoryFormat}`));
  if (preferred.length === 1) return preferred;
  const names = found.map((file) => file.path).join(', ');
  throw new ProvisiondError('IMAGE_AMBIGUOUS', `image ${imageName} has several files in the repository: ${names}`);
}
