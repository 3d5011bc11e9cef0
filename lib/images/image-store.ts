/**
 * Base images and disks of one reservation on one host: what a driver may do with images ({@link ImageVerbs}), and the
 * questions that VCL's libvirt module answers about them.
 */
import path from 'node:path';
import { ProvisiondError } from '../errors';
import type { Fence } from '../host/fence';
import { type Host, script } from '../host/host';
import type { Log } from '../log';
import type { BaseRecords } from '../model/base-file';
import type { VmProfile } from '../model/reservation';
import { imageLock, masterImagePath } from '../model/names';
import type { ImageVerbs } from '../plugins/api';
import { SIGNALS, timed } from '../signals';
import { type BasePlace, COPIED_FROM, type TrustOptions } from './base-record';
import {
  type ImageFile,
  type ImageSight,
  datastoreCandidates,
  parseImageFiles,
  repositoryCandidates,
} from './image-sight';
import { chooseSources } from './copy-sources';
import { admitCopied, recordCopy } from './record-behind';
import { type Work, explain, followProgress, mostBytesOf } from './copy-work';
import { COPY_FROM_REPOSITORY, MAKE_DISK } from './qemu-img';
import { checkImageHeader } from './image-header';
import { oneAfterAnother } from './turns';

export interface ImageStoreParts {
  readonly host: Host;
  readonly imageName: string;
  readonly profile: VmProfile;
  /** Distinguishes this load's unfinished files from those of others. */
  readonly loadId: string;
  /** Keeps work that outlived its daemon from replacing the disk of newer work. */
  readonly fence: Fence;
  /** Time limit of a copy, the wait for somebody else's copy included. */
  readonly timeoutMs: number;
  /** What image files the host has; asked again after a copy. */
  readonly look: () => Promise<ImageSight>;
  /** Told when a base may have come, so that the next look is a fresh one. */
  readonly changed: () => void;
  readonly signal?: AbortSignal;
  /** Where base files are recorded, and how they are held to it; left out: they are believed. */
  readonly trust?: { readonly hostId: number; readonly records: BaseRecords } & TrustOptions;
  readonly log: Log;
  /** Of a Windows: what its registry must hold on this hypervisor (`windows-registry.ts`). */
  readonly registryChanges?: string | null;
  /** Told how far a copy is, ours or the one that is waited for. */
  readonly onProgress?: (percent: number) => void;
}

interface Image {
  readonly path: string;
  readonly format: string;
}

/** A base that was checked. */
interface BaseImage extends Image {
  readonly virtualSizeBytes: number;
  readonly file: ImageFile;
}

/** An overlay begins small; a file system with less than this cannot take the first minutes of a guest. */
const OVERLAY_NEEDS_KIB = 64 * 1024;

export class ImageStore implements ImageVerbs {
  constructor(private readonly parts: ImageStoreParts) {}

  /**
   * The base image in the datastore: exactly one file `<image>.<extension>`, checked, copied from the repository when
   * there is none. However many ask, one copies and the others wait: in this process by turns, between processes by a
   * lock on the host.
   * @param format of the file that a copy makes; a base that is there already keeps its own
   * @throws IMAGE_NOT_FOUND, IMAGE_AMBIGUOUS, IMAGE_UNTRUSTED, IMAGE_COPY_FAILED, HOST_DISK_FULL
   */
  async ensureBase(format: string): Promise<Omit<BaseImage, 'file'>> {
    const { path: file, ...base } = await this.findOrCopy(format);
    return { path: file, format: base.format, virtualSizeBytes: base.virtualSizeBytes };
  }

  private async findOrCopy(format: string): Promise<BaseImage> {
    const present = this.findBase(await this.parts.look());
    if (present) return this.admit(present);
    const { host, profile, imageName, onProgress } = this.parts;
    const final = masterImagePath(profile, imageName, format);
    const work = async (tell: (percent: number) => void, waited: boolean) => {
      if (waited) this.parts.changed();
      const sight = await this.parts.look();
      const copiedByOther = this.findBase(sight);
      if (copiedByOther) return this.admit(copiedByOther);
      const copy = await this.copyFromRepository(sight, { path: final, format }, tell);
      this.parts.changed();
      if (copy.file) return this.admit(baseOf(copy.file), { ...copy, file: copy.file });
      const copied = this.findBase(await this.parts.look());
      if (!copied) {
        throw new ProvisiondError('IMAGE_COPY_FAILED', `${final} is not on host ${host.name} after it was copied`);
      }
      return this.admit(copied);
    };
    return oneAfterAnother(`${host.name} ${final}`, work, onProgress);
  }

  /** @param copy of a base that this very process has copied */
  private async admit(base: BaseImage, copy?: Copy & { file: ImageFile }): Promise<BaseImage> {
    const { host, imageName, timeoutMs, signal, trust } = this.parts;
    if (!trust) return base;
    const place: BasePlace = { host, hostId: trust.hostId, records: trust.records, timeoutMs, signal };
    if (copy) await recordCopy(place, { imageName, ...copy }, trust);
    else await admitCopied(place, base.file, imageName, trust);
    return base;
  }

  /** A fresh copy-on-write disk on the base, also where a stale one stands. @throws HOST_DISK_FULL, CONFLICT */
  async createOverlay(base: Image, disk: Image): Promise<void> {
    await this.makeDisk('overlay', base, disk, OVERLAY_NEEDS_KIB);
  }

  /** A fresh independent copy of the base. @throws HOST_DISK_FULL, CONFLICT */
  async copyBase(base: Image & { virtualSizeBytes?: number }, disk: Image): Promise<void> {
    const found = this.findBase(await this.parts.look());
    await this.makeDisk('copy', base, disk, Math.ceil((found?.virtualSizeBytes ?? 0) / 1024));
  }

  /** `does_image_exist`: the paths in the datastore, else those in the repository. */
  async findFiles(): Promise<ImageFile[]> {
    const sight = await this.parts.look();
    const inDatastore = datastoreCandidates(this.parts.imageName, sight.datastore);
    return inDatastore.length > 0 ? inDatastore : repositoryCandidates(this.parts.imageName, sight.repository);
  }

  /** The one base in the datastore; null when there is none. */
  private findBase(sight: ImageSight): BaseImage | null {
    const { imageName, host, profile } = this.parts;
    const found = datastoreCandidates(imageName, sight.datastore);
    if (found.length > 1) {
      const names = found.map((file) => file.path).join(', ');
      const message = `image ${imageName} has several files below ${profile.datastorePath} of host ${host.name}: ${names}`;
      throw new ProvisiondError('IMAGE_AMBIGUOUS', message, { details: { files: found.map((file) => file.path) } });
    }
    const file = found[0];
    if (!file) return null;
    return baseOf(file);
  }

  private async copyFromRepository(sight: ImageSight, final: Image, tell: (percent: number) => void): Promise<Copy> {
    const sources = chooseSources(this.parts, sight);
    const headers = sources.map((file) => checkImageHeader(file.path, file.header, file.sizeBytes));
    const from = headers[0]!.format;
    const { imageName, profile, timeoutMs, signal, registryChanges, log } = this.parts;
    const source = sources[0]!.path;
    if (headers.some(({ format }) => format !== from)) {
      throw new ProvisiondError('IMAGE_UNTRUSTED', `the parts of image ${imageName} beside ${source} differ in format`);
    }
    const argv = script(
      COPY_FROM_REPOSITORY,
      final.path,
      this.partOf(final.path),
      this.lock,
      Math.max(1, Math.floor(timeoutMs / 1000)),
      from,
      final.format,
      path.posix.join(path.posix.dirname(source), `${imageName}.xml`),
      masterImagePath(profile, imageName, 'xml'),
      mostBytesOf(sources, headers),
      ...sources.map((file) => file.path),
    );
    const work: Work = {
      doing: `copying image ${imageName} from ${source} to ${final.path}`,
      folder: profile.datastorePath,
      failure: 'IMAGE_COPY_FAILED',
      signal,
      onStdout: followProgress(tell),
      stdin: registryChanges ?? '',
    };
    const bytes = sources.reduce((sum, file) => sum + file.sizeBytes, 0);
    const stdout = await timed(
      () => this.run(argv, work),
      (took) => SIGNALS.imageCopy.tell({ host: this.parts.host.name, bytes, ...took }),
    );
    if (stdout.includes('@@skipped virt-win-reg')) {
      log.warn(
        `virt-win-reg is not installed on host ${this.parts.host.name}: image ${imageName} keeps what VMware left in it`,
      );
    }
    const sha256 = /^@@sum ([0-9a-f]{64})$/m.exec(stdout)?.[1] ?? null;
    const [file] = parseImageFiles([/^@@made (.*)$/m.exec(stdout)?.[1] ?? '']);
    const isPlain = sources.length === 1 && from === final.format && !registryChanges;
    return { sha256, file: file ?? null, source: `${isPlain ? COPIED_FROM : 'converted from '}${source}` };
  }

  private async makeDisk(how: 'overlay' | 'copy', base: Image, disk: Image, neededKiB: number): Promise<void> {
    const { fence } = this.parts;
    const { path: file, format } = disk;
    const args = [how, file, `${file}.${fence.mark}.part`, neededKiB, format, base.path, base.format, this.lock];
    const argv = script(fence.guard(MAKE_DISK), ...fence.args, ...args);
    const doing = `making disk ${disk.path} on base ${base.path}`;
    const folder = path.posix.dirname(disk.path);
    await this.run(argv, {
      doing,
      folder,
      neededKiB,
      failure: how === 'copy' ? 'IMAGE_COPY_FAILED' : 'COMMAND_FAILED',
    });
  }

  /** Held by whoever copies the image, shared by who makes a disk on it, wanted by who clears it away. */
  private get lock(): string {
    return imageLock(this.parts.profile, this.parts.imageName);
  }

  private partOf(file: string): string {
    return `${file}.${this.parts.loadId}.part`;
  }

  private async run(argv: string[], work: Work): Promise<string> {
    const { host, fence, timeoutMs } = this.parts;
    try {
      const { signal, onStdout, stdin } = work;
      const more = { ...(onStdout && { onStdout }), ...(stdin && { stdin }) };
      const result = await host.run(argv, { timeoutMs, signal, expect: 'any', ...more });
      fence.check(result.exitCode, work.doing);
      if (result.exitCode !== 0) throw explain(host.name, work, result);
      return result.stdout;
    } catch (error) {
      fence.afterError(error);
      throw error;
    }
  }
}

/** What a copy that was made tells of itself. */
interface Copy {
  /** As it is on the host; null: somebody else has copied it meanwhile. */
  readonly file: ImageFile | null;
  /** Null: not known yet. */
  readonly sha256: string | null;
  readonly source: string;
}

/** @throws IMAGE_UNTRUSTED */
function baseOf(file: ImageFile): BaseImage {
  const { format, virtualSizeBytes } = checkImageHeader(file.path, file.header, file.sizeBytes);
  return { path: file.path, format, virtualSizeBytes, file };
}
