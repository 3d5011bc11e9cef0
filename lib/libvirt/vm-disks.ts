/**
 * The hands of operations that change what a VM is made of: its definition as it will start next, and the files of its
 * volumes. What is decided with them stands in lib/operations/volumes.
 */
import path from 'node:path';
import { ProvisiondError } from '../errors';
import { atExit } from '../host/at-exit';
import type { RunResult } from '../host/host';
import { explain, type Work } from '../images/copy-work';
import { IN_THE_WAY, MAKE_VOLUME, MOVE_VOLUMES, REMOVE_VOLUMES } from '../images/volume-scripts';
import { imageLock } from '../model/names';
import type { DiskFile } from '../model/volume';
import { type Definition, readDefinition } from './definition';
import { virshError } from './virsh';
import type { Vm } from './vm';
import { emptyVolumes, lookAtVolumes, type VolumesPlace, type VolumesSight, type VolumesWork } from './volume-files';
import type { VmSight } from './vm-sight';

/** How the file of a volume is made; `size` in bytes, left out: as large as the base. */
export type Making =
  | {
      readonly how: 'overlay' | 'copy';
      readonly base: DiskFile;
      readonly imageName: string | null;
      readonly size?: number;
    }
  /** A copy of `base` that holds only what it has besides what it stands on. */
  | {
      readonly how: 'thin';
      readonly base: DiskFile;
      readonly on: DiskFile | null;
      readonly imageName: string | null;
      readonly size: number;
    }
  | { readonly how: 'blank'; readonly size: number }
  /** It is there already, elsewhere: it only gets its place back. */
  | { readonly how: 'move'; readonly from: string }
  /** It is where it belongs already. */
  | { readonly how: 'keep' };

const NOT_STARTED = 18;

/**
 * `$1` UUID `$2` file `$3` `start` or nothing; the definition comes by stdin. Only of a domain that is off, without saved memory. It
 * starts in the same go: a guest waits for it.
 */
const DEFINE = `
set -u
uuid=$1 file=$2 then=$3
fence
${atExit('rm -f "$file"')}
umask 077
cat >"$file" || exit 1
facts=$(virsh -q dominfo "$uuid") || exit 1
case $facts in *'shut off'*) ;; *) echo 'error: the domain is not off' >&2; exit 1 ;; esac
case $facts in *'Managed save: '*yes*) echo 'error: the domain has saved memory' >&2; exit 1 ;; esac
virsh -q define --file "$file" || exit 1
[ -z "$then" ] || virsh -q start "$uuid" || exit ${NOT_STARTED}
`;

/** What an overlay needs before a guest has written anything. */
const OVERLAY_NEEDS_KIB = 64 * 1024;

export class VmDisks {
  constructor(private readonly vm: Vm) {}

  private get profile() {
    return this.vm.parts.hostFacts.profile;
  }

  /** As the domain will start next, with its secrets. @throws LIBVIRT_FAILED */
  async definition({ uuid, name }: Pick<VmSight, 'uuid' | 'name'>): Promise<Definition> {
    const argv = ['virsh', '-q', 'dumpxml', '--inactive', '--security-info', uuid];
    const result = await this.vm.host.run(argv, { expect: 'any' });
    const what = `reading the definition of domain ${name} on host ${this.vm.host.name}`;
    if (result.exitCode !== 0) throw virshError('LIBVIRT_FAILED', what, result);
    return readDefinition(result.stdout, `the definition of domain ${name}`);
  }

  /**
   * Replaces the definition, whole, in one go, and starts the domain where that is wanted.
   * @throws DOMAIN_START_FAILED when it was defined but does not start, LIBVIRT_FAILED (also while it is up), DOMAIN_REJECTED, CLAIM_LOST */
  async define({ uuid, name }: Pick<VmSight, 'uuid' | 'name'>, text: string, then: 'start' | '' = ''): Promise<void> {
    const file = path.posix.join(
      this.profile.vmPath,
      `.${this.vm.parts.computer.shortName}.${this.vm.fence.mark}.xml.part`,
    );
    const what = `defining domain ${name} on host ${this.vm.host.name} anew`;
    const result = await this.vm.script(what, DEFINE, [uuid, file, then], { stdin: text });
    if (result.exitCode === NOT_STARTED)
      throw virshError('DOMAIN_START_FAILED', `starting domain ${name} on its new disks`, result);
    if (result.exitCode !== 0) throw virshError('DOMAIN_REJECTED', what, result);
  }

  /** @throws COMMAND_FAILED for a file that is not what it is said to be */
  look(disks: readonly DiskFile[]): Promise<VolumesSight> {
    return lookAtVolumes(this.place, disks);
  }

  private get place(): VolumesPlace {
    const { vmPath } = this.profile;
    return { host: this.vm.host, vmPath, shortName: this.vm.parts.computer.shortName };
  }

  /** @throws HOST_DISK_FULL, CONFLICT when there is a file of that name */
  async make(disk: DiskFile, making: Making): Promise<void> {
    if (making.how === 'move') return this.move([{ ...disk, path: making.from, to: disk.path }]);
    if (making.how === 'keep') return;
    const { how, size = 0 } = making;
    const base = making.how === 'blank' ? null : making;
    const lock = base?.imageName ? imageLock(this.profile, base.imageName) : '';
    const neededKiB = how === 'overlay' ? OVERLAY_NEEDS_KIB : Math.ceil(size / 1024);
    const args = [how, disk.path, `${disk.path}.${this.vm.fence.mark}.part`, how === 'blank' ? 1024 : neededKiB];
    const on = making.how === 'thin' ? making.on : null;
    const more = [disk.format, size, base?.base.path ?? '', base?.base.format ?? '', lock];
    const ground = [on?.path ?? '', on?.format ?? ''];
    const doing = `making volume ${disk.path}`;
    const result = await this.vm.script(doing, MAKE_VOLUME, [...args, ...more, ...ground], { long: true });
    this.judge(result, { doing, neededKiB, failure: 'COMMAND_FAILED' });
  }

  /** What is not there is removed. @throws CONFLICT when a guest has one open */
  async remove(disks: readonly DiskFile[]): Promise<void> {
    if (disks.length === 0) return;
    const doing = `removing ${disks.map((disk) => disk.path).join(', ')}`;
    const args = disks.flatMap((disk) => [disk.path, disk.format]);
    this.judge(await this.vm.script(doing, REMOVE_VOLUMES, args), { doing, failure: 'COMMAND_FAILED' });
  }

  /** What was moved before is moved. @throws CONFLICT when a guest has one open, or its place is taken */
  async move(disks: readonly (DiskFile & { readonly to: string })[]): Promise<void> {
    if (disks.length === 0) return;
    const doing = `moving ${disks.map((disk) => `${disk.path} to ${disk.to}`).join(', ')}`;
    const args = disks.flatMap((disk) => [disk.path, disk.format, disk.to]);
    this.judge(await this.vm.script(doing, MOVE_VOLUMES, args), { doing, failure: 'COMMAND_FAILED' });
  }

  /** Empties volumes of a domain that is off; what has a base begins on it again. Nothing when it is not off. */
  refresh(domain: Pick<VmSight, 'uuid' | 'name'>, disks: readonly DiskFile[]): Promise<void> {
    const unfinished = `.${this.vm.fence.mark}.part`;
    const runScript: VolumesWork['runScript'] = (text, args, doing) => this.vm.script(doing, text, args);
    return emptyVolumes({ ...this.place, unfinished, runScript }, domain, disks);
  }

  /** @returns whether the domain runs, and ran without a break, for that long */
  async runsFor(sight: VmSight, milliseconds: number, signal: AbortSignal): Promise<boolean> {
    const down = ['shut off', 'crashed', 'paused'];
    return !(await this.vm.waitFor(sight, down, milliseconds, signal));
  }

  private judge(result: RunResult, work: Omit<Work, 'folder'>): void {
    if (result.exitCode === 0) return;
    if (result.exitCode === IN_THE_WAY) {
      const message = `${work.doing} on host ${this.vm.host.name}: there is a file of that name already`;
      throw new ProvisiondError('CONFLICT', message, { blame: 'computer' });
    }
    throw explain(this.vm.host.name, { ...work, folder: this.profile.vmPath }, result);
  }
}
