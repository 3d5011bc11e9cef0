/**
 * `restore`: the system volume and the temporary ones of a VM begin anew, from its own image or from another; all that it is
 * known by stays, and so does every data volume (CloudStack's restoreVirtualMachine). What kind of VM it is is seen, not
 * written down: one that was made from no image and has a drive for ISO images is installed from an ISO image.
 */
import path from 'node:path';
import { z } from 'zod';
import { ProvisiondError } from '../../errors';
import { ImageStore } from '../../images/image-store';
import { checkImageHeader } from '../../images/image-header';
import { lookForImage } from '../../images/image-look';
import type { DiskInfo } from '../../images/disk-info';
import type { Definition } from '../../libvirt/definition';
import type { Making } from '../../libvirt/vm-disks';
import { masterImagePath } from '../../model/names';
import { deedOf } from '../../model/vm-states';
import { type DiskFile, nextGeneration, trashFolder, type Volume, volumePath } from '../../model/volume';
import { requireDomain, type VmJob, vmKind } from '../kind';
import { checkStep } from '../power/steps';
import { CHANGE_STEPS, disksOf } from './change';
import { planStep } from './plan-step';
import { type ChangePlan, placeOf, type PlannedImage, type VolumeChange, volumesOf } from './plan';

const IMAGE_NAME = z.string().min(1).max(120);
export const STOPPING = {
  timeoutSeconds: z.number().int().min(1).max(86_400).optional(),
  hard: z.boolean().default(false),
  discardState: z.boolean().default(false),
};
const RESTORE = z.strictObject({
  image: IMAGE_NAME.optional(),
  iso: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._ -]*\.iso$/i, 'the name of an .iso file in the datastore')
    .optional(),
  sizeMiB: z
    .number()
    .int()
    .min(1)
    .max(8 << 20)
    .optional(),
  ...STOPPING,
  dryRun: z.boolean().default(false),
});
type Restore = z.output<typeof RESTORE>;

export const restore = vmKind<Restore>({
  name: 'restore',
  about: 'begin anew from an image, the same or another; identity and data volumes stay',
  arguments: RESTORE,
  example: {
    image: 'Debian 12',
    iso: 'debian-12.iso',
    sizeMiB: 20480,
    timeoutSeconds: 120,
    hard: false,
    discardState: false,
    dryRun: false,
  },
  steps: [
    checkStep('restore', (args) => deedOf('restore', args), refuseWrongKind),
    { name: 'bring the image to the host', done: (job) => job.arguments.dryRun, run: bringImage },
    planStep(planRestore),
    ...CHANGE_STEPS,
  ],
});

// ------------------------------------------------------------------------------------------------- what it is to be

/** What the VM is made of now. @throws CONFLICT for a VM without one system volume */
interface Present {
  readonly definition: Definition;
  readonly volumes: readonly Volume[];
  readonly system: Volume;
  readonly infos: ReadonlyMap<string, DiskInfo>;
  readonly files: readonly string[];
  readonly freeKiB: number;
}

export async function presentOf(job: VmJob): Promise<Present> {
  const sight = await requireDomain(job);
  const { shortName } = job.computer;
  const definition = await disksOf(job).definition(sight);
  const volumes = volumesOf(shortName, definition);
  const systems = volumes.filter(({ type }) => type === 'system');
  if (systems.length !== 1) {
    const files = volumes.map((volume) => volume.path).join(', ') || 'none';
    const message = `${shortName} has ${systems.length} system volumes, not one; its disks: ${files}`;
    throw new ProvisiondError('CONFLICT', message, { blame: 'computer' });
  }
  const { infos, files, freeKiB } = await disksOf(job).look(volumes);
  return { definition, volumes, system: systems[0]!, infos, files, freeKiB };
}

/** The VM was made from no image and has a drive: it is installed from an ISO image. */
function isIsoVm({ definition }: Pick<Present, 'definition'>): boolean {
  const { identity, disks } = definition;
  return (identity?.imageRevisionId ?? 0) <= 1 && disks.some(({ device }) => device === 'cdrom');
}

/** Before anything else: the rules that need no look at the image's files. */
async function refuseWrongKind(job: VmJob<Restore>): Promise<void> {
  const { image, iso } = job.arguments;
  const { shortName } = job.computer;
  if ((await requireDomain(job)).snapshots.length > 0) {
    const message = `${shortName} has snapshots, which are of the disk that would be replaced`;
    throw new ProvisiondError('CONFLICT', message, { hint: 'Delete them first: provisiond vm delete_snapshot' });
  }
  const present = await presentOf(job);
  if (isIsoVm(present)) {
    if (image !== undefined)
      throw wrongKind(job, 'was installed from an ISO image and cannot be made from another kind');
    if (iso === undefined && mediaOf(present.definition) === null) {
      throw new ProvisiondError('OPERATION_INVALID', `${shortName} has no ISO image in its drive, and none was named`);
    }
    return;
  }
  if (iso !== undefined) throw wrongKind(job, 'was made from an image and cannot be installed from an ISO image');
  await chooseImage(job, present.definition);
}

function wrongKind({ computer }: VmJob, why: string): ProvisiondError {
  return new ProvisiondError('OPERATION_INVALID', `${computer.shortName} ${why}`);
}

function mediaOf({ disks }: Definition): string | null {
  return disks.find(({ device }) => device === 'cdrom')?.file ?? null;
}

/** The image asked for, or the VM's own again. @throws IMAGE_NOT_FOUND, IMAGE_AMBIGUOUS */
async function chooseImage(job: VmJob<Restore>, { identity }: Definition): Promise<PlannedImage> {
  const { store } = job;
  const { image } = job.arguments;
  const asked = { blame: 'request', hint: 'provisiond list images shows what there is' } as const;
  if (image === undefined) {
    const own = identity && (await store.revision(identity.imageRevisionId));
    if (own && !own.deleted) return own;
    const what = identity ? `image ${identity.imageName}, which it was made from,` : 'the image that it was made from';
    throw new ProvisiondError('IMAGE_NOT_FOUND', `${job.computer.shortName}: ${what} is not there any more`, asked);
  }
  const found = (await store.revisionsNamed(image)).filter(({ deleted }) => !deleted);
  if (found.length === 1) return found[0]!;
  if (found.length === 0) throw new ProvisiondError('IMAGE_NOT_FOUND', `there is no image '${image}'`, asked);
  const names = found.map(({ imageName }) => imageName).join(', ');
  throw new ProvisiondError('IMAGE_AMBIGUOUS', `'${image}' may be ${names}`, { ...asked, hint: 'Name one of them' });
}

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

async function bringImage(job: VmJob<Restore>): Promise<void> {
  if (job.journal?.plan) return;
  const present = await presentOf(job);
  if (isIsoVm(present)) return;
  const { imageName } = await chooseImage(job, present.definition);
  await imagesOf(job, imageName).ensureBase(present.system.format);
}

// ------------------------------------------------------------------------------------------------------------ the plan

async function planRestore(job: VmJob<Restore>): Promise<ChangePlan> {
  const present = await presentOf(job);
  const { uuid, name } = await requireDomain(job);
  const isIso = isIsoVm(present);
  const system = isIso ? await planBlank(job, present) : await planFromImage(job, present);
  return {
    domain: { uuid, name },
    changes: [system.change, ...temporaryChanges(job, present)],
    ...system.more,
    trash: trashFolder(placeFor(job, present), job.operation.id),
  };
}

function placeFor(job: VmJob, { system, volumes }: Present) {
  const { shortName } = job.computer;
  return placeOf(job.vm.parts.hostFacts.profile.vmPath, shortName, volumes, path.posix.parse(system.path).name);
}

/** A file for the next generation of a volume. */
export function successor(job: VmJob, present: Present, volume: Volume, format: string): DiskFile {
  const generation = nextGeneration(job.computer.shortName, present.files, volume);
  return { path: volumePath(placeFor(job, present), { ...volume, generation }, format), format };
}

type Planned = { readonly change: VolumeChange; readonly more: Pick<ChangePlan, 'image' | 'media'> };

async function planFromImage(job: VmJob<Restore>, present: Present): Promise<Planned> {
  const { system, infos, definition } = present;
  const after = await chooseImage(job, definition);
  const base = await baseOnHost(job, after.imageName, system.format);
  const size = sizeOf(job, base.virtualSizeBytes, infos.get(system.path)?.virtualSizeBytes ?? 0);
  const how = system.format === 'raw' ? 'copy' : 'overlay';
  const making: Making = { how, base: { path: base.path, format: base.format }, imageName: after.imageName, size };
  const { imageId = 0, imageRevisionId = 0, imageName = '' } = definition.identity ?? {};
  const known = await job.store.revision(imageRevisionId);
  const before = { imageId, imageRevisionId, imageName, prettyName: known?.prettyName ?? imageName };
  const image = { before, after: pick(after) };
  return { change: change(system, { ...successor(job, present, system, system.format), making }), more: { image } };
}

/** The base as it is, or, in a dry run, as it will be once it was copied. @throws IMAGE_NOT_FOUND, IMAGE_UNTRUSTED */
async function baseOnHost(job: VmJob, imageName: string, format: string) {
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

const pick = ({ imageId, imageRevisionId, imageName, prettyName }: PlannedImage): PlannedImage => ({
  ...{ imageId, imageRevisionId, imageName, prettyName },
});

/** Never smaller than it was, unless that was asked for; never smaller than the image. */
function sizeOf({ arguments: { sizeMiB } }: VmJob<Restore>, imageBytes: number, presentBytes: number): number {
  if (sizeMiB === undefined) return Math.max(imageBytes, presentBytes);
  const bytes = sizeMiB * 2 ** 20;
  if (bytes >= imageBytes) return bytes;
  const message = `the image needs ${Math.ceil(imageBytes / 2 ** 20)} MiB, and ${sizeMiB} were asked for`;
  throw new ProvisiondError('OPERATION_INVALID', message);
}

async function planBlank(job: VmJob<Restore>, present: Present): Promise<Planned> {
  const { system, infos, definition } = present;
  const size = sizeOf(job, 0, infos.get(system.path)?.virtualSizeBytes ?? 0);
  const before = mediaOf(definition);
  const { iso } = job.arguments;
  const after = iso === undefined ? before! : await findIso(job, iso);
  const blank = { ...successor(job, present, system, system.format), making: { how: 'blank', size } as const };
  return { change: change(system, blank), more: { media: { before: before ?? '', after } } };
}

async function findIso(job: VmJob, iso: string): Promise<string> {
  const { host, parts } = job.vm;
  const file = path.posix.join(parts.hostFacts.profile.datastorePath, iso);
  const { exitCode } = await host.run(['test', '-f', file], { expect: [0, 1] });
  if (exitCode === 0) return file;
  throw new ProvisiondError('IMAGE_NOT_FOUND', `there is no ISO image ${file} on host ${host.name}`, {
    blame: 'request',
  });
}

const change = (volume: Volume, after: VolumeChange['after']): VolumeChange => ({
  volume: { name: volume.name, type: volume.type },
  target: volume.target,
  before: { path: volume.path, format: volume.format },
  after,
});

/** Temporary volumes begin anew: on what they stood on, else empty. */
export function temporaryChanges(job: VmJob, present: Present): VolumeChange[] {
  return present.volumes
    .filter(({ type }) => type === 'temporary')
    .map((volume) => {
      const info = present.infos.get(volume.path);
      const size = info?.virtualSizeBytes ?? 0;
      const backing = info?.backingFileActualPath ?? null;
      const base = backing === null ? null : { path: backing, format: info?.backingFormat ?? 'raw' };
      const making: Making = base ? { how: 'overlay', base, imageName: null, size } : { how: 'blank', size };
      return change(volume, { ...successor(job, present, volume, 'qcow2'), making });
    });
}
