/**
 * `restore`: the system volume and the temporary ones of a VM begin anew, from its own image or from another; all that it is
 * known by stays, and so does every data volume (CloudStack's restoreVirtualMachine). What kind of VM it is is seen, not
 * written down: one that was made from no image and has a drive for ISO images is installed from an ISO image.
 */
import path from 'node:path';
import { z } from 'zod';
import { ProvisiondError } from '../../errors';
import type { Definition } from '../../libvirt/definition';
import type { Making } from '../../libvirt/vm-disks';
import { deedOf } from '../../model/vm-states';
import { trashFolder } from '../../model/volume';
import type { VmBase } from '../../model/vm-base';
import { baseUnder, holdToRecord } from '../clones/bases';
import { planOntoBase } from '../clones/onto-base';
import { requireDomain, type VmJob, vmKind } from '../kind';
import { checkStep } from '../power/steps';
import { baseOnHost, imagesOf } from './base';
import { CHANGE_STEPS } from './change';
import { planStep } from './plan-step';
import { type ChangePlan, type PlannedImage, type VolumeChange } from './plan';
import { change, placeFor, type Present, presentOf, refuseSnapshots, successor, temporaryChanges } from './present';

const IMAGE_NAME = z.string().min(1).max(120);
export const STOPPING = {
  timeoutSeconds: z.number().int().min(1).max(86_400).optional(),
  hard: z.boolean().default(false),
  discardState: z.boolean().default(false),
};
/** Of a volume; more than 8 TiB is a slip of the finger. */
export const SIZE_MIB = z
  .number()
  .int()
  .min(1)
  .max(8 << 20);
const RESTORE = z.strictObject({
  image: IMAGE_NAME.optional(),
  iso: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._ -]*\.iso$/i, 'the name of an .iso file in the datastore')
    .optional(),
  sizeMiB: SIZE_MIB.optional(),
  ...STOPPING,
  dryRun: z.boolean().default(false),
});
export type Restore = z.output<typeof RESTORE>;

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

/** The VM was made from no image and has a drive: it is installed from an ISO image. */
export function isIsoVm({ definition }: Pick<Present, 'definition'>): boolean {
  const { identity, disks } = definition;
  return (identity?.imageRevisionId ?? 0) <= 1 && disks.some(({ device }) => device === 'cdrom');
}

/** Before anything else: the rules that need no look at the image's files. */
async function refuseWrongKind(job: VmJob<Restore>): Promise<void> {
  const { image, iso } = job.arguments;
  const { shortName } = job.computer;
  refuseSnapshots(job, await requireDomain(job));
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
  if (!(await baseOfClone(job, present))) await chooseImage(job, present.definition);
}

/** Of a clone that is to begin anew as it is, not from an image. */
async function baseOfClone(job: VmJob<Restore>, { system, infos }: Present): Promise<VmBase | null> {
  if (job.arguments.image !== undefined) return null;
  return baseUnder(job, infos.get(system.path)?.backingFileActualPath ?? null);
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

export async function bringImage(job: VmJob<Restore>): Promise<void> {
  if (job.journal?.plan) return;
  const present = await presentOf(job);
  if (isIsoVm(present)) return;
  const base = await baseOfClone(job, present);
  if (base) return holdToRecord(job, base);
  const { imageName } = await chooseImage(job, present.definition);
  await imagesOf(job, imageName).ensureBase(present.system.format);
}

// ------------------------------------------------------------------------------------------------------------ the plan

export async function planRestore(job: VmJob<Restore>): Promise<ChangePlan> {
  const present = await presentOf(job);
  const { uuid, name } = await requireDomain(job);
  const isIso = isIsoVm(present);
  const base = isIso ? null : await baseOfClone(job, present);
  if (base) return planRenewal(job, present, base);
  const system = isIso ? await planBlank(job, present) : await planFromImage(job, present);
  return {
    domain: { uuid, name },
    changes: [system.change, ...temporaryChanges(job, present)],
    ...system.more,
    trash: trashFolder(placeFor(job, present), job.operation.id),
  };
}

/** A clone: fresh on the base that it has, with what its temporary volumes had there. */
function planRenewal(job: VmJob<Restore>, present: Present, base: VmBase): Promise<ChangePlan> {
  const root = base.volumes.find(({ type }) => type === 'system');
  const presentBytes = present.infos.get(present.system.path)?.virtualSizeBytes ?? 0;
  const systemBytes = sizeOf(job, root?.sizeBytes ?? 0, presentBytes);
  return planOntoBase(job, present, base, { data: 'keep', systemBytes });
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
