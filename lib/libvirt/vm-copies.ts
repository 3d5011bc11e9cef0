/** The hands of a capture: copies of the disks of one VM, or of several on one host that are to be as of one moment. */
import { ProvisiondError } from '../errors';
import type { RunResult } from '../host/host';
import { script } from '../host/host';
import { explain } from '../images/copy-work';
import {
  BEGIN_BACKUPS,
  COPY_DISKS,
  END_COPIES,
  LOOK_BEFORE_COPIES,
  NOT_QUIET,
  PUBLISH_COPIES,
  STILL_COPYING,
  WAIT_FOR_BACKUPS,
} from '../images/instance-scripts';
import { COPY_LIVE, MERGE_LEAF } from '../images/live-copy-scripts';
import { isDiskFull } from '../images/qemu-img';
import { IN_THE_WAY } from '../images/volume-scripts';
import type { DiskFile } from '../model/volume';
import { escapeXml } from './definition';
import { complaints, virshError } from './virsh';
import type { Vm } from './vm';

export interface DiskCopy {
  readonly target: string;
  readonly source: DiskFile;
  readonly file: DiskFile;
  readonly virtualSizeBytes: number;
}

/** What a domain that is up offers. */
export interface CopySight {
  /** Jobs that copy all disks as of their beginning (libvirt 6.0, QEMU 4.2). */
  readonly hasBackup: boolean;
  /** Disks can be given leaves while it runs (not on Xen). */
  readonly hasSnapshots: boolean;
  /** An agent in its guest answers. */
  readonly hasAgent: boolean;
  /** Targets that a job of the hypervisor is at work on. */
  readonly busyTargets: readonly string[];
}

/** Copies of one domain that are to be begun. */
export interface CopyGroup {
  readonly uuid: string;
  readonly copies: readonly DiskCopy[];
  /** Disks that are not copied. */
  readonly others: readonly string[];
}

export interface BegunCopies {
  /** UUIDs of guests that had written all to their disks. */
  readonly frozen: readonly string[];
  readonly moment: string;
  /** How long guests stood still, or frozen. */
  readonly stillMs: number;
}

const WAIT_SECONDS = 10;

export class VmCopies {
  constructor(private readonly vm: Vm) {}

  /** @throws LIBVIRT_FAILED, HOST_UNREACHABLE … */
  async look(uuid: string, targets: readonly string[]): Promise<CopySight> {
    const { stdout } = await this.vm.host.run(script(LOOK_BEFORE_COPIES, uuid, ...targets));
    const lines = stdout.split('\n');
    return {
      hasBackup: lines.includes('@@backup'),
      hasSnapshots: lines.includes('@@snapshot'),
      hasAgent: lines.includes('@@agent'),
      busyTargets: lines.flatMap((line) => /^@@job (.+)$/.exec(line)?.[1] ?? []),
    };
  }

  /** Of a VM that is off: each copy is compared with its disk. @throws HOST_DISK_FULL, CONFLICT, IMAGE_COPY_FAILED */
  async copy(copies: readonly DiskCopy[], compress: boolean): Promise<void> {
    const [first] = copies;
    if (!first) return;
    const fours = copies.flatMap(({ source, file }) => [source.path, source.format, this.partOf(file), file.path]);
    const list = `${first.file.path}.${this.vm.fence.mark}.list.part`;
    const doing = `copying ${copies.map(({ source }) => source.path).join(', ')}`;
    const args = [first.file.format, compress ? 'zstd' : '', 1024, list, ...fours];
    this.judge(await this.vm.script(doing, COPY_DISKS, args, { long: true }), doing, first.file);
  }

  /**
   * Begins the copies of guests that are up, on this VM's host. They go on by themselves.
   * @param quiesce `must`: not at all, when a guest cannot be brought to write all to its disks
   * @throws VM_LACKS_FEATURE, LIBVIRT_FAILED: then nothing was begun
   */
  async begin(groups: readonly CopyGroup[], quiesce: 'try' | 'must', still: boolean): Promise<BegunCopies> {
    const args = groups.flatMap((group) => {
      const order = `${group.copies[0]!.file.path}.${this.vm.fence.mark}.xml.part`;
      return [group.uuid, order, this.orderOf(group)];
    });
    const doing = `beginning to copy the disks of ${groups.length} domains on host ${this.vm.host.name}`;
    const result = await this.vm.script(doing, BEGIN_BACKUPS, [quiesce, still ? 'still' : '', ...args], { long: true });
    if (result.exitCode === NOT_QUIET) throw notQuiet(result);
    if (isDiskFull(result.stderr)) this.judge(result, doing, groups[0]!.copies[0]!.file);
    if (result.exitCode !== 0) throw virshError('LIBVIRT_FAILED', doing, result);
    const frozen = [...result.stdout.matchAll(/^@@frozen (.+)$/gm)].map((found) => found[1]!);
    return readBegun(result, frozen);
  }

  /** Until all copies are there. @throws IMAGE_COPY_FAILED for one that broke off; the signal's reason */
  async waitFor(uuids: readonly string[], signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const argv = script(WAIT_FOR_BACKUPS, WAIT_SECONDS, ...uuids);
      const { exitCode, stdout, stderr } = await this.vm.host.run(argv, { expect: 'any', signal, timeoutMs: 60_000 });
      if (exitCode === STILL_COPYING) continue;
      const broken = /^@@broken (.+)$/m.exec(stdout)?.[1];
      if (exitCode === 0 && broken === undefined) return;
      const message = `copying disks on host ${this.vm.host.name} broke off: ${broken ?? stderr.trim()}`;
      throw new ProvisiondError('IMAGE_COPY_FAILED', message, { retryable: false });
    }
  }

  /** Gives the copies of this VM their names. @throws CONFLICT */
  async publish(copies: readonly DiskCopy[], compress: boolean): Promise<void> {
    const [first] = copies;
    if (!first) return;
    const pairs = copies.flatMap(({ file }) => [this.partOf(file), file.path]);
    const list = `${first.file.path}.${this.vm.fence.mark}.list.part`;
    const doing = `naming the copies of the disks of ${this.vm.parts.computer.shortName}`;
    const args = [first.file.format, compress ? 'zstd' : '', list, ...pairs];
    this.judge(await this.vm.script(doing, PUBLISH_COPIES, args, { long: true }), doing, first.file);
  }

  /** Ends a job, a freeze, a pause, and removes copies whether they are whole or not. Nothing there is success. */
  async end(uuid: string, copies: readonly DiskCopy[], ran: boolean, operationId: number): Promise<void> {
    const doing = `ending the copies of the disks of ${this.vm.parts.computer.shortName}`;
    const threes = copies.flatMap(({ target, source, file }) => [target, source.path, file.path]);
    const args = [uuid, ran ? 'ran' : '', leafSuffix(operationId), ...threes];
    const result = await this.vm.script(doing, END_COPIES, args);
    if (result.exitCode !== 0) throw virshError('LIBVIRT_FAILED', doing, result);
  }

  /** Of a domain that went off while it had a leaf: what was written to that is not lost. @throws LIBVIRT_FAILED */
  async mergeLeaf(uuid: string, leaf: string): Promise<void> {
    const doing = `merging ${leaf} into the disk under it`;
    const result = await this.vm.script(doing, MERGE_LEAF, [uuid, leaf], { long: true });
    if (result.exitCode !== 0) throw virshError('LIBVIRT_FAILED', doing, result);
  }

  /**
   * Copies the disks of a guest that is up, where there are no backup jobs, and names the copies.
   * @throws VM_LACKS_FEATURE, CONFLICT, IMAGE_COPY_FAILED: the guest goes on in its own disks all the same
   */
  async copyLive(
    how: 'snapshot' | 'pause',
    { uuid, copies, others }: CopyGroup,
    { quiesce, compress, operationId }: { quiesce: 'try' | 'must'; compress: boolean; operationId: number },
  ): Promise<BegunCopies> {
    const first = copies[0]!.file;
    const fives = copies.flatMap(({ target, source, file }) => {
      return [target, source.path, source.format, this.partOf(file), file.path];
    });
    const list = `${first.path}.${this.vm.fence.mark}.list.part`;
    const place = [leafSuffix(operationId), first.format, compress ? 'zstd' : '', uuid, others.join(' '), list];
    const doing = `copying the disks of ${this.vm.parts.computer.shortName} while its guest is up`;
    const result = await this.vm.script(doing, COPY_LIVE, [how, quiesce, ...place, ...fives], { long: true });
    if (result.exitCode === NOT_QUIET) throw notQuiet(result);
    this.judge(result, doing, first);
    return readBegun(result, /^@@frozen$/m.test(result.stdout) ? [uuid] : []);
  }

  private partOf({ path }: DiskFile): string {
    // The same for all VMs of one capture: one of them begins the copies of all.
    const { managementNodeId, token } = this.vm.parts;
    return `${path}.${managementNodeId}-${token}.part`;
  }

  /** One job for all disks: they are as of one moment. */
  private orderOf({ copies, others }: CopyGroup): string {
    const wanted = copies.map(
      ({ target, file }) =>
        `<disk name="${escapeXml(target)}" backup="yes" type="file"><driver type="${file.format}"/><target file="${escapeXml(this.partOf(file))}"/></disk>`,
    );
    const rest = others.map((target) => `<disk name="${escapeXml(target)}" backup="no"/>`);
    return `<domainbackup mode="push"><disks>${[...wanted, ...rest].join('')}</disks></domainbackup>`;
  }

  private judge(result: RunResult, doing: string, { path }: DiskFile): void {
    if (result.exitCode === 0) return;
    const host = this.vm.host.name;
    if (result.exitCode === IN_THE_WAY) {
      throw new ProvisiondError('CONFLICT', `${doing} on host ${host}: there is a file of that name already`);
    }
    const folder = path.slice(0, path.lastIndexOf('/'));
    throw explain(host, { doing, folder, failure: 'IMAGE_COPY_FAILED' }, result);
  }
}

/** What a disk that a guest writes to while its own is copied is called after that. */
export const leafSuffix = (operationId: number): string => `.leaf-${operationId}`;

function notQuiet({ stderr }: RunResult): ProvisiondError {
  const said = complaints(stderr).join(': ') || 'the guest agent does not answer';
  return new ProvisiondError('VM_LACKS_FEATURE', `freezing the file systems of a guest: ${said}`);
}

function readBegun({ stdout }: RunResult, frozen: readonly string[]): BegunCopies {
  const moment = /^@@moment (.+)$/m.exec(stdout)?.[1] ?? new Date().toISOString();
  return { frozen, moment, stillMs: Number(/^@@still (\d+)$/m.exec(stdout)?.[1] ?? 0) };
}
