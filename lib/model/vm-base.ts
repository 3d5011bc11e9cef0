/** A VM that is a base: files of its volumes that nobody writes to any more, and other VMs stand on. */
import path from 'node:path';
import type { Slot } from './outline';
import { type DiskFile, SYSTEM_VOLUME, type VolumeType } from './volume';

/** A volume as it was when the base was prepared. */
export interface BaseVolume extends DiskFile {
  readonly name: string;
  readonly type: VolumeType;
  readonly target: string;
  readonly sizeBytes: number;
}

export interface VmBase {
  readonly computerId: number;
  readonly shortName: string;
  /** `computer.id` of the VM host that has its files. */
  readonly hostId: number;
  /** That prepared it. */
  readonly operationId: number;
  /** Of the domain that it was prepared from: one that was loaded since is no base. */
  readonly uuid: string;
  readonly image: {
    readonly imageId: number;
    readonly imageRevisionId: number;
    readonly imageName: string;
    readonly prettyName: string;
  };
  readonly outline: readonly Slot[];
  readonly volumes: readonly BaseVolume[];
}

/** A VM whose system volume stands on a base, as it was seen last. */
export interface Clone {
  readonly computerId: number;
  readonly shortName: string;
  readonly hostId: number | null;
}

/** `imagename` of a record has room for 75. */
const LONGEST_OWNER = 30;

/** `vm1.base-12.root`, `vm1.base-12.tmp-scratch`: whose, prepared by which operation, of which volume. */
export function baseImageName(
  { id, shortName }: { readonly id: number; readonly shortName: string },
  operationId: number,
  { type, name }: Pick<BaseVolume, 'type' | 'name'>,
): string {
  const owner = shortName.length > LONGEST_OWNER ? `computer-${id}` : shortName;
  const token = { system: SYSTEM_VOLUME, temporary: `tmp-${name}`, data: `data-${name}` }[type];
  return `${owner}.base-${operationId}.${token}`;
}

export function imageNameOfBase({ path: file, format }: DiskFile): string {
  return path.posix.basename(file, `.${format}`);
}
