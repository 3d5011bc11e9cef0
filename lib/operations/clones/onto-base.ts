/** What a VM gets when it is put onto a base: system and temporary volumes begin anew on it; data is the VM's own, always. */
import { ProvisiondError } from '../../errors';
import { outlineDifferences, outlineOf } from '../../model/outline';
import { type BaseVolume, imageNameOfBase, type VmBase } from '../../model/vm-base';
import type { Making } from '../../libvirt/vm-disks';
import { trashFolder, type Volume } from '../../model/volume';
import { requireDomain, type VmJob } from '../kind';
import type { ChangePlan, VolumeChange } from '../volumes/plan';
import { type Present, successor } from '../volumes/present';
import type { Sibling } from './sibling';

/** @throws CONFLICT saying what differs */
export function refuseOtherOutline({ computer }: VmJob, { volumes, definition }: Present, base: VmBase): void {
  const differences = outlineDifferences(outlineOf(volumes, definition.disks), base.outline);
  if (differences.length === 0) return;
  const message = `volume outline different: ${computer.shortName} is not made of what base ${base.shortName} is: ${differences.join(', ')}`;
  throw new ProvisiondError('CONFLICT', message, { blame: 'request', details: { differences } });
}

export interface OntoBase {
  /** A new clone gets a copy of the base's data; one that is moved keeps what it has. */
  readonly data: 'copy' | 'keep';
  /** Left out: what the user gave his root stays his. */
  readonly systemBytes?: number;
  /** What another clone of the base has, by target: that is copied. */
  readonly like?: Sibling['files'];
}

/** System and temporary volumes begin anew; a temporary one that the base has not is put aside. */
export async function planOntoBase(
  job: VmJob,
  present: Present,
  base: VmBase,
  { data, ...more }: OntoBase,
): Promise<ChangePlan> {
  const { uuid, name } = await requireDomain(job);
  const { vmPath } = job.vm.parts.hostFacts.profile;
  const wanted = base.volumes.filter(({ type }) => type !== 'data' || data === 'copy');
  const gone = present.volumes.filter(({ type, target }) => {
    return type === 'temporary' && !base.volumes.some((volume) => volume.target === target);
  });
  const { imageId = 0, imageRevisionId = 0, imageName = '' } = present.definition.identity ?? {};
  const prettyName = (await job.store.revision(imageRevisionId))?.prettyName ?? imageName;
  return {
    domain: { uuid, name },
    changes: [...wanted.map((volume) => changeOf(job, present, volume, more)), ...gone.map(leaving)],
    image: { before: { imageId, imageRevisionId, imageName, prettyName }, after: base.image },
    trash: trashFolder({ vmPath, ...job.computer }, job.operation.id),
  };
}

const leaving = ({ name, type, target, path, format }: Volume): VolumeChange => ({
  ...{ volume: { name, type }, target },
  before: { path, format },
  after: null,
});

/** What a sibling has there: of its system only what differs from the base. */
function copyOf(volume: BaseVolume, like: OntoBase['like']): Making | null {
  const source = like?.get(volume.target);
  if (!source) return null;
  const { path, format, sizeBytes: size } = source;
  const on = volume.type === 'data' ? null : { path: volume.path, format: volume.format };
  return { how: 'thin', base: { path, format }, on, imageName: imageNameOfBase(volume), size };
}

function changeOf(job: VmJob, present: Present, volume: BaseVolume, more: Omit<OntoBase, 'data'>): VolumeChange {
  const { name, type, target, path, format, sizeBytes } = volume;
  const old = present.volumes.find((one) => one.target === target);
  const oldBytes = old ? (present.infos.get(old.path)?.virtualSizeBytes ?? 0) : 0;
  const size = type === 'system' ? (more.systemBytes ?? Math.max(sizeBytes, oldBytes)) : sizeBytes;
  const how = type === 'data' ? 'copy' : 'overlay';
  const imageName = imageNameOfBase(volume);
  const making = copyOf(volume, more.like) ?? { how, base: { path, format }, imageName, size };
  const id = old && old.type === type ? old : { ...volume, generation: 0 };
  const after = { ...successor(job, present, { ...id, path, format, target }, 'qcow2'), making };
  return { volume: { name, type }, target, before: old ? { path: old.path, format: old.format } : null, after };
}
