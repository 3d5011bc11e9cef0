/** Bases as operations see them: found by the name of their VM, held to their records, and who stands on them. */
import { ProvisiondError } from '../../errors';
import { type SurveyedImage, surveyImages } from '../../images/base-survey';
import { imageNameOfBase, type VmBase } from '../../model/vm-base';
import type { VmJob, VmStep } from '../kind';
import { imagesOf } from '../volumes/base';

/** Of clones that are to be made or moved: the base by the name of its VM. */
export interface OnBase {
  readonly base: string;
}

/** @throws NOT_FOUND, CONFLICT when another host has its files */
export async function requireBase(job: VmJob, name: string): Promise<VmBase> {
  const bases = await job.store.vmBases();
  const base = bases.find(({ shortName }) => shortName === name);
  if (!base) {
    const names = bases.map(({ shortName }) => shortName).join(', ') || 'none';
    const hint = `Make one of it first: provisiond vm prepare_base ${name}`;
    throw new ProvisiondError('NOT_FOUND', `${name} is no base; there are: ${names}`, { hint });
  }
  if (base.hostId === job.vm.parts.hostFacts.computerId) return base;
  const message = `base ${name} lies on another host than ${job.computer.shortName}, which is on ${job.vm.host.name}`;
  throw new ProvisiondError('CONFLICT', message, { blame: 'request' });
}

/** Whose files a disk stands on; null: on none of a base. */
export async function baseUnder({ store }: Pick<VmJob, 'store'>, backing: string | null): Promise<VmBase | null> {
  if (backing === null) return null;
  const bases = await store.vmBases();
  return bases.find(({ volumes }) => volumes.some((volume) => volume.path === backing)) ?? null;
}

/** A base that somebody wrote to is used by nobody any more. @throws IMAGE_UNTRUSTED naming the file, IMAGE_NOT_FOUND */
export async function holdToRecord(job: VmJob, base: VmBase): Promise<void> {
  for (const volume of base.volumes) await imagesOf(job, imageNameOfBase(volume)).ensureBase(volume.format);
}

export const namedBase = (job: VmJob<OnBase>): Promise<VmBase> => requireBase(job, job.arguments.base);

export function holdStep<A>(baseOf: (job: VmJob<A>) => Promise<VmBase>): VmStep<A> {
  return {
    name: 'hold the base to its record',
    done: (job) => job.journal?.plan !== undefined,
    run: async (job) => holdToRecord(job, await baseOf(job)),
  };
}

/** Every file of the host whose header names one of those. @throws COMMAND_FAILED when libvirt does not answer */
export async function standingOn({ vm, config }: VmJob, paths: readonly string[]): Promise<SurveyedImage[]> {
  const files = await surveyImages(vm.host, vm.parts.hostFacts.profile, config.imageTimeoutMs);
  return files.filter(({ backing }) => backing !== null && paths.includes(backing));
}

/**
 * What would lose its ground: headers on the base's host, and rows of VMs on other hosts, which may have the same storage.
 * @param own files of the base's VM itself
 * @throws CONFLICT
 */
export async function refuseWithClones(job: VmJob, base: VmBase, own: readonly string[]): Promise<void> {
  const basePaths = base.volumes.map((volume) => volume.path);
  const files = (await standingOn(job, basePaths)).filter((file) => !own.includes(file.path));
  const rows = await job.store.clonesOf(base.computerId);
  const far = rows.filter(({ hostId }) => hostId !== base.hostId);
  if (files.length === 0 && far.length === 0) return;
  const live = files.filter((file) => !file.path.includes('/.trash/'));
  const names = rows.map(({ shortName }) => shortName).join(', ');
  const says = [
    ...(live.length + far.length > 0
      ? [`${base.shortName} has ${rows.length || live.length} clones: ${names || 'unknown'}`]
      : []),
    ...files.map((file) => `${file.path} stands on it`),
  ];
  throw new ProvisiondError('CONFLICT', says.join('; '), {
    blame: 'request',
    hint: 'Flatten, rebase or unload the clones; what lies in the trash goes after trashDays',
    details: { files: files.map((file) => file.path), clones: rows.map(({ shortName }) => shortName) },
  });
}
