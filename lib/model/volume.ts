/**
 * What a VM is made of. A volume's file says by its name what it is, so the definition of a domain, which libvirt replaces
 * in one go, is also the one place that says which volumes a VM has:
 *
 *   vm1_12-v0.qcow2                   the system volume, as a load (and vcld) names it: generation 0
 *   vm1_12-v0.root-g3.qcow2           the system volume after it was replaced
 *   vm1_12-v0.tmp-scratch-g5.qcow2    a temporary volume, `scratch`
 *   vm1.data-home-g1.qcow2            a data volume, `home`
 *
 * The first two begin as all files of a load do, and go with it. A data volume's name does not: no load, unload, audit or
 * restore takes it for one of its own. A new generation has a new name; a volume is replaced by pointing to another file.
 */
import path from 'node:path';

/** Replaced by restore and rebase; fresh after every stop; never lost unless a user deletes it by name. */
export const VOLUME_TYPES = ['system', 'temporary', 'data'] as const;
export type VolumeType = (typeof VOLUME_TYPES)[number];

/** The one system volume of a VM. */
export const SYSTEM_VOLUME = 'root';

export const VOLUME_NAME = /^[a-z][a-z0-9]{0,19}$/;

/** A file of a disk and its format. */
export interface DiskFile {
  readonly path: string;
  readonly format: string;
}

/** A volume that a load makes beside the system volume. */
export interface WantedVolume {
  readonly name: string;
  readonly type: 'temporary' | 'data';
  readonly sizeMiB: number;
}

/** Whose volumes a site plans. */
export const PLAN_OWNERS = ['computer', 'image', 'profile'] as const;
export type PlanOwner = (typeof PLAN_OWNERS)[number];

/** Of one name that of the computer counts, else that of the image, else that of the VM profile. In a stable order. */
export function chooseWanted(planned: readonly (WantedVolume & { readonly kind: PlanOwner })[]): WantedVolume[] {
  const byName = new Map<string, WantedVolume>();
  for (const owner of [...PLAN_OWNERS].reverse()) {
    for (const { kind, name, type, sizeMiB } of planned) if (kind === owner) byName.set(name, { name, type, sizeMiB });
  }
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What the name of a volume's file says. */
export interface VolumeId {
  readonly type: VolumeType;
  readonly name: string;
  readonly generation: number;
}

/** A volume of a VM as its definition has it. */
export interface Volume extends VolumeId, DiskFile {
  /** `vda` …: what the guest knows it by. */
  readonly target: string;
  /** Somebody else's file: kept as it is, whatever is done with the VM. Its name is that of its target. */
  readonly foreign?: true;
}

const LOAD = String.raw`_\d+-v\d+`;
const TOKENS = { root: 'system', tmp: 'temporary', data: 'data' } as const;

/** @returns null for a file that is no volume of that computer */
export function readVolumeId(shortName: string, file: string): VolumeId | null {
  const base = path.posix.basename(file);
  if (!base.startsWith(shortName)) return null;
  const rest = base.slice(shortName.length);
  if (new RegExp(String.raw`^${LOAD}\.[a-z0-9]+$`).test(rest)) return systemVolume(0);
  const found = new RegExp(String.raw`^(?:${LOAD}\.(root|tmp-[a-z0-9]+)|\.(data-[a-z0-9]+))-g(\d+)\.[a-z0-9]+$`).exec(
    rest,
  );
  if (!found) return null;
  const [token, name = SYSTEM_VOLUME] = (found[1] ?? found[2]!).split('-') as [keyof typeof TOKENS, string?];
  return { type: TOKENS[token], name, generation: Number(found[3]) };
}

const systemVolume = (generation: number): VolumeId => ({ type: 'system', name: SYSTEM_VOLUME, generation });

export interface VolumePlace {
  readonly vmPath: string;
  readonly shortName: string;
  /** What all files of the VM's load begin with: `vm1_12-v0`. */
  readonly loadBase: string;
}

/** The path of a generation of a volume; of the system volume's first one, that of a load. */
export function volumePath(place: VolumePlace, { type, name, generation }: VolumeId, format: string): string {
  const { vmPath, shortName, loadBase } = place;
  const base = {
    system: generation === 0 ? loadBase : `${loadBase}.${SYSTEM_VOLUME}-g${generation}`,
    temporary: `${loadBase}.tmp-${name}-g${generation}`,
    data: `${shortName}.data-${name}-g${generation}`,
  }[type];
  return path.posix.join(vmPath, `${base}.${format}`);
}

/** `vm1_12-v0` of any file of that load; null where its name has no such shape. */
export function loadBaseOf(shortName: string, file: string): string | null {
  const base = path.posix.basename(file);
  if (!base.startsWith(shortName)) return null;
  const found = new RegExp(`^${LOAD}(?=\\.)`).exec(base.slice(shortName.length));
  return found && `${shortName}${found[0]}`;
}

/** One more than any generation of that volume that has a file anywhere, the trash included. */
export function nextGeneration(shortName: string, files: readonly string[], { type, name }: VolumeId): number {
  const taken = files.flatMap((file) => {
    const id = readVolumeId(shortName, file);
    return id?.type === type && id.name === name ? [id.generation] : [];
  });
  return Math.max(0, ...taken) + 1;
}

/** The first free one behind all that are taken: what is there keeps its place. @param like a target of the same bus */
export function nextTarget(taken: readonly string[], like: string): string {
  const prefix = /^[a-z]+(?=[a-z]$)/.exec(like)?.[0] ?? 'vd';
  const letters = taken.filter((target) => target.startsWith(prefix)).map((target) => target.charCodeAt(prefix.length));
  return `${prefix}${String.fromCharCode(Math.max('a'.charCodeAt(0) - 1, ...letters) + 1)}`;
}

/** Where what was replaced waits for its end: below the disks, so that a base which it stands on is kept. */
export function trashFolder({ vmPath, shortName }: Pick<VolumePlace, 'vmPath' | 'shortName'>, operationId: number) {
  return path.posix.join(vmPath, '.trash', `${shortName}.${operationId}`);
}
