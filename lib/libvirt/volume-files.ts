/**
 * Files of volumes, looked at and emptied: what states and operations share. A temporary volume begins anew whenever its VM
 * is started cold, whoever starts it and whyever it was off; whoever starts a domain calls {@link emptyVolumes} first.
 */
import { ProvisiondError } from '../errors';
import { type Host, type RunResult, script } from '../host/host';
import { explain } from '../images/copy-work';
import { type DiskInfo, parseDiskInfo } from '../images/disk-info';
import { LOOK_AT_VOLUMES, REFRESH_VOLUMES } from '../images/volume-scripts';
import { type DiskFile, readVolumeId } from '../model/volume';
import { drawMark, splitSections } from './sections';

export interface VolumesPlace {
  readonly host: Host;
  readonly vmPath: string;
  readonly shortName: string;
}

export interface VolumesSight {
  readonly freeKiB: number;
  /** All files of the computer in the folder of the disks and in the trash. */
  readonly files: readonly string[];
  /** Of the files asked for; those that are not there are left out. */
  readonly infos: ReadonlyMap<string, DiskInfo & { readonly isOpen: boolean }>;
}

/** @throws COMMAND_FAILED for a file that is not what it is said to be */
export async function lookAtVolumes(place: VolumesPlace, disks: readonly DiskFile[]): Promise<VolumesSight> {
  const { host, vmPath, shortName } = place;
  const mark = drawMark();
  const pairs = disks.flatMap(({ path: file, format }) => [file, format]);
  const result = await host.run(script(LOOK_AT_VOLUMES, mark, vmPath, shortName, ...pairs));
  const sections = splitSections(result.stdout, mark);
  if (!sections.has('end')) {
    throw new ProvisiondError('COMMAND_FAILED', `the look at the volumes on host ${host.name} came back incomplete`);
  }
  const lines = (name: string) => (sections.get(name) ?? []).filter((line) => line !== '');
  const infos = disks.flatMap(({ path: file }) => {
    const said = sections.get(`info ${file}`);
    if (!said) return [];
    const info = parseDiskInfo(said.join('\n'), `${file} on host ${host.name}`);
    return [[file, { ...info, isOpen: sections.has(`busy ${file}`) }] as const];
  });
  return { freeKiB: Number(lines('free')[0] ?? 0), files: lines('files'), infos: new Map(infos) };
}

export interface VolumesWork extends VolumesPlace {
  /** What the names of unfinished files of this work end with. */
  readonly unfinished: string;
  /** Behind the fence of this work. */
  runScript(text: string, args: readonly (string | number)[], doing: string): Promise<RunResult>;
}

/** The temporary ones among the files of a domain's disks, by their names, which also say what they are. */
export function temporaryFiles(shortName: string, files: readonly string[]): DiskFile[] {
  const temporary = files.filter((file) => readVolumeId(shortName, file)?.type === 'temporary');
  return temporary.map((file) => ({ path: file, format: file.slice(file.lastIndexOf('.') + 1) }));
}

/**
 * Empties volumes of a domain that is off and has no saved memory, else nothing. What has a base begins on it again; snapshots
 * that are in a file stay there.
 * @throws HOST_DISK_FULL, COMMAND_FAILED, CLAIM_LOST
 */
export async function emptyVolumes(
  work: VolumesWork,
  { uuid, name }: { readonly uuid: string; readonly name: string },
  disks: readonly DiskFile[],
): Promise<void> {
  if (disks.length === 0) return;
  const { infos } = await lookAtVolumes(work, disks);
  const args = disks.flatMap(({ path: file, format }) => {
    const info = infos.get(file);
    if (!info) return [];
    const { virtualSizeBytes, backingFileActualPath, backingFormat, snapshots } = info;
    const how = snapshots.length > 0 ? 'within' : 'anew';
    return [how, file, format, virtualSizeBytes, backingFileActualPath ?? '', backingFormat ?? 'raw'];
  });
  const doing = `emptying the temporary volumes of domain ${name}`;
  const result = await work.runScript(REFRESH_VOLUMES, [uuid, work.unfinished, ...args], doing);
  if (result.exitCode === 0) return;
  throw explain(work.host.name, { doing, failure: 'COMMAND_FAILED', folder: work.vmPath }, result);
}
