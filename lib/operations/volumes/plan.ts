/**
 * A change of what a VM is made of, as it was decided: which volume gets which file, and how that is made. It is written to
 * the journal before anything is done, and to the trash when it is done; whoever reads it holds it against the definition of
 * the domain, which alone says whether the change was made.
 */
import type { Definition, DefinitionEdit } from '../../libvirt/definition';
import type { Making } from '../../libvirt/vm-disks';
import { type DiskFile, loadBaseOf, type Volume, type VolumeId, type VolumePlace } from '../../model/volume';

/** What a VM says that it was made from; ids as in VCL's rows, 0: from no image. */
export interface PlannedImage {
  readonly imageId: number;
  readonly imageRevisionId: number;
  readonly imageName: string;
  readonly prettyName: string;
}

export interface VolumeChange {
  readonly volume: Pick<VolumeId, 'name' | 'type'>;
  readonly target: string;
  /** Null: there was none. */
  readonly before: DiskFile | null;
  /** Null: there is to be none. */
  readonly after: (DiskFile & { readonly making: Making }) | null;
}

export interface ChangePlan {
  readonly domain: { readonly uuid: string; readonly name: string };
  readonly changes: readonly VolumeChange[];
  readonly image?: { readonly before: PlannedImage; readonly after: PlannedImage };
  /** The ISO image in the VM's drive. */
  readonly media?: { readonly before: string; readonly after: string };
  /** Folder for the files that nobody needs any more; they come back with `undo`. */
  readonly trash: string;
  /** The trash that this change is made from, by its operation: an `undo`. */
  readonly undoes?: number;
}

export type Side = 'before' | 'after';

/** On which side of the change a definition is; null: somebody else has changed it. */
export function sideOf({ changes }: ChangePlan, { disks }: Definition): Side | null {
  const fileOf = (target: string) => disks.find((disk) => disk.target === target)?.file ?? null;
  const isOn = (side: Side) => changes.every((change) => fileOf(change.target) === (change[side]?.path ?? null));
  return isOn('after') ? 'after' : isOn('before') ? 'before' : null;
}

/** What is to be changed in a definition, so that it is on that side. */
export function editTo(plan: ChangePlan, side: Side): DefinitionEdit {
  return {
    disks: plan.changes.map((change) => ({ target: change.target, disk: change[side] })),
    ...(plan.image && { image: plan.image[side] }),
    ...(plan.media && { media: plan.media[side] }),
  };
}

/** Files that the change makes. */
export function newFiles({ changes }: ChangePlan): (DiskFile & { readonly making: Making })[] {
  return changes.flatMap(({ after }) => (after && after.making.how !== 'keep' ? after : []));
}

/** Files that nobody needs after the change, with their places in the trash; what was only attached stays where it is. */
export function oldFiles({ changes, trash }: ChangePlan): (DiskFile & { readonly to: string })[] {
  return changes.flatMap(({ before }) => {
    if (!before) return [];
    return [{ ...before, to: `${trash}/${before.path.slice(before.path.lastIndexOf('/') + 1)}` }];
  });
}

/** Where new files of the VM belong. @param fallback what files of the VM begin with where none of them says so */
export function placeOf(vmPath: string, shortName: string, volumes: readonly Volume[], fallback: string): VolumePlace {
  const bases = volumes.flatMap(({ path }) => loadBaseOf(shortName, path) ?? []);
  return { vmPath, shortName, loadBase: bases[0] ?? fallback };
}
