/** A look at the files of one image on a host, for work that has no reservation to look with (lib/libvirt/look.ts). */
import { type Host, script } from '../host/host';
import type { VmProfile } from '../model/reservation';
import { IMAGE_FILES, type ImageSight, parseImageFiles } from './image-sight';

/** `$1` datastore `$2` image `$3` repository or empty */
const LOOK = `
set -u
${IMAGE_FILES}
echo @@datastore
image_files "$1" "$2.*"
echo @@repository
[ -z "$3" ] || image_files "$3" "$2*"
`;

/** @throws COMMAND_FAILED, HOST_UNREACHABLE … */
export async function lookForImage(
  host: Host,
  profile: Pick<VmProfile, 'datastorePath' | 'repositoryPath'>,
  imageName: string,
): Promise<ImageSight> {
  const { stdout } = await host.run(script(LOOK, profile.datastorePath, imageName, profile.repositoryPath ?? ''));
  const [datastore = '', repository = ''] = stdout.replace(/^@@datastore\n/, '').split(/^@@repository\n/m);
  return { datastore: parseImageFiles(datastore.split('\n')), repository: parseImageFiles(repository.split('\n')) };
}
