/**
 * Names, MACs and UUIDs as pure functions of ids and names: the same today and after a crash.
 * Rules of the domain and file names: `get_domain_name`, `get_domain_file_base_name` and their like in VCL's
 * libvirt module.
 */
import { createHash } from 'node:crypto';
import path from 'node:path';
import type { ComputerFacts, ImageFacts, VmProfile } from './reservation';

/** libvirt itself has no such limit; VCL keeps to it and admins know the names. */
const MAX_DOMAIN_NAME = 48;
const SHORTEST_MIDDLE = 5;

type NamedImage = Pick<ImageFacts, 'id' | 'revision' | 'prettyName'>;

/**
 * The domain's name: `<computer>_<pretty name, letters and digits only, cut to fit>_<image id>-v<revision>`.
 * Too little room for the pretty name: `<computer>_<image id>-v<revision>`; none at all: the computer's name,
 * or its id where even that is longer than 48 characters.
 */
export function domainName(computer: Pick<ComputerFacts, 'id' | 'shortName'>, image: NamedImage): string {
  const name = computer.shortName.length > MAX_DOMAIN_NAME ? String(computer.id) : computer.shortName;
  const suffix = `${image.id}-v${image.revision}`;
  if (`${name}_${suffix}`.length > MAX_DOMAIN_NAME) return name;
  const room = MAX_DOMAIN_NAME - `${name}__${suffix}`.length;
  const middle = image.prettyName.replace(/[^A-Za-z0-9]/g, '');
  if (middle === '' || room < SHORTEST_MIDDLE) return `${name}_${suffix}`;
  return `${name}_${middle.slice(0, room)}_${suffix}`;
}

/** Base of all file names of a load: `<computer>_<image id>-v<revision>`. */
export function fileBaseName(computer: Pick<ComputerFacts, 'shortName'>, image: Pick<ImageFacts, 'id' | 'revision'>) {
  return `${computer.shortName}_${image.id}-v${image.revision}`;
}

export function overlayPath(
  profile: Pick<VmProfile, 'vmPath'>,
  computer: Pick<ComputerFacts, 'shortName'>,
  image: Pick<ImageFacts, 'id' | 'revision'>,
  format: string,
): string {
  return path.posix.join(profile.vmPath, `${fileBaseName(computer, image)}.${format}`);
}

/** The seed of a load of a cloud image, beside its disk. */
export function seedPath(
  profile: Pick<VmProfile, 'vmPath'>,
  computer: Pick<ComputerFacts, 'shortName'>,
  image: Pick<ImageFacts, 'id' | 'revision'>,
): string {
  return path.posix.join(profile.vmPath, `${fileBaseName(computer, image)}${SEED}`);
}

const SEED = '.seed.iso';

export function isSeed(file: string): boolean {
  return file.endsWith(SEED);
}

export function masterImagePath(profile: Pick<VmProfile, 'datastorePath'>, imageName: string, format: string): string {
  return path.posix.join(profile.datastorePath, `${imageName}.${format}`);
}

/** The lock of an image's files in the datastore: one lock, whatever the format. */
export function imageLock(profile: Pick<VmProfile, 'datastorePath'>, imageName: string): string {
  return path.posix.join(profile.datastorePath, `.${imageName}.lock`);
}

/** As VCL keeps images in its repository: a folder an image. */
export function repositoryImagePath(repositoryPath: string, imageName: string, format: string): string {
  return path.posix.join(repositoryPath, imageName, `${imageName}.${format}`);
}

export function domainXmlPath(
  xmlDirectory: string,
  computer: Pick<ComputerFacts, 'shortName'>,
  image: Pick<ImageFacts, 'id' | 'revision'>,
): string {
  return path.posix.join(xmlDirectory, `${fileBaseName(computer, image)}.xml`);
}

/** `image.name` is the shortest column that holds it. */
const MAX_IMAGE_NAME = 70;

/**
 * The name that a captured image gets: `<OS>-<pretty name>-<image id>-v<revision>`, the OS without the words vmware and
 * image, the pretty name without what is no letter and no digit (VCL's libvirt module, `get_new_image_name`).
 */
export function capturedImageName(image: NamedImage & { readonly os: { readonly name: string } }): string {
  const os = image.os.name.replace(/vmware|image/gi, '').replace(/[^A-Za-z0-9._-]/g, '') || image.os.name;
  const suffix = `-${image.id}-v${image.revision}`;
  const middle = image.prettyName.replace(/[^A-Za-z0-9]/g, '');
  return `${os}-${middle.slice(0, Math.max(0, MAX_IMAGE_NAME - os.length - 1 - suffix.length))}${suffix}`;
}

/** First label of a host name; addresses are left whole. */
export function shortName(hostname: string): string {
  return /^[\d.]+$/.test(hostname) ? hostname : (hostname.split('.')[0] ?? hostname);
}

/** A locally administered unicast MAC of QEMU's prefix, the same for the same node, computer and interface. */
export function generatedMac(managementNodeId: number, computerId: number, interfaceIndex: number): string {
  const hash = createHash('sha256').update(`mac ${managementNodeId} ${computerId} ${interfaceIndex}`).digest();
  return ['52', '54', '00', ...[...hash.subarray(0, 3)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}

/** Version 8 UUID (RFC 9562, custom) of a load: a new one for each load, the same again when a load is resumed. */
export function domainUuid(managementNodeId: number, computerId: number, loadId: string): string {
  return uuidOf(`domain ${managementNodeId} ${computerId} ${loadId}`);
}

/** Of an instance image: the same again when its operation is resumed, another one for each operation and load. */
export function instanceUuid(operationId: number, domainUuid: string): string {
  return uuidOf(`instance ${operationId} ${domainUuid}`);
}

function uuidOf(text: string): string {
  const hash = createHash('sha256').update(text).digest();
  hash[6] = (hash[6]! & 0x0f) | 0x80;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  const hex = hash.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}
