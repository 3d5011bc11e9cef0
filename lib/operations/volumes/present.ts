/** What a VM is made of now, and what plans of changes are put together from. */
import path from 'node:path';
import { ProvisiondError } from '../../errors';
import type { DiskInfo } from '../../images/disk-info';
import { type Definition, volumesOf } from '../../libvirt/definition';
import type { Making } from '../../libvirt/vm-disks';
import type { VmSight } from '../../libvirt/vm-sight';
import { type DiskFile, nextGeneration, type Volume, volumePath } from '../../model/volume';
import { requireDomain, type VmJob } from '../kind';
import { disksOf } from './hands';
import { placeOf, type VolumeChange } from './plan';

/** What the VM is made of now. @throws CONFLICT for a VM without one system volume */
export interface Present {
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

/** Snapshots are of all disks as they are now. @throws CONFLICT */
export function refuseSnapshots({ computer }: VmJob, { snapshots }: Pick<VmSight, 'snapshots'>): void {
  if (snapshots.length === 0) return;
  const names = snapshots.map(({ name }) => name).join(', ');
  const message = `${computer.shortName} has snapshots, which are of the disks that it has now: ${names}`;
  throw new ProvisiondError('CONFLICT', message, { hint: 'Delete them first: provisiond vm delete_snapshot' });
}

/** Where new files of the VM belong. */
export function placeFor(job: VmJob, { system, volumes }: Present) {
  const { shortName } = job.computer;
  return placeOf(job.vm.parts.hostFacts.profile.vmPath, shortName, volumes, path.posix.parse(system.path).name);
}

/** A file for the next generation of a volume. */
export function successor(job: VmJob, present: Present, volume: Volume, format: string): DiskFile {
  const generation = nextGeneration(job.computer.shortName, present.files, volume);
  return { path: volumePath(placeFor(job, present), { ...volume, generation }, format), format };
}

/** A volume gets another file. */
export const change = (volume: Volume, after: VolumeChange['after']): VolumeChange => ({
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
