/**
 * The outline of a VM: what of which type stands at which target. A VM can only be put onto another base that has the same
 * one, seen from both sides: what the guest mounts at `vdb` must not become something else.
 */
import type { Volume, VolumeType } from './volume';

export interface Slot {
  /** `vda` …: what the guest knows it by. */
  readonly target: string;
  readonly type: VolumeType | 'cdrom';
}

interface SeenDisk {
  readonly target: string;
  readonly device: string;
}

/** In the order of the targets. Sizes, names and buses do not count. */
export function outlineOf(volumes: readonly Volume[], disks: readonly SeenDisk[]): Slot[] {
  const own = volumes.map(({ target, type }): Slot => ({ target, type }));
  const drives = disks
    .filter(({ device }) => device === 'cdrom')
    .map(({ target }): Slot => ({ target, type: 'cdrom' }));
  return [...own, ...drives].sort((a, b) => a.target.length - b.target.length || (a.target < b.target ? -1 : 1));
}

/** @returns what differs, for people; nothing: they are the same */
export function outlineDifferences(own: readonly Slot[], wanted: readonly Slot[]): string[] {
  const targets = [...new Set([...own, ...wanted].map(({ target }) => target))];
  return targets.flatMap((target) => {
    const [here, there] = [own, wanted].map((slots) => slots.find((slot) => slot.target === target)?.type ?? 'nothing');
    return here === there ? [] : [`${target} is ${here} and would be ${there}`];
  });
}
