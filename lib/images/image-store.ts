/**
 * Base images and disks of one reservation on one host: what a driver may do with images ({@link ImageVerbs}), and the
 * questions that VCL's libvirt module answers about them.
 */
import path from 'node:path';
import { type ErrorCode, ProvisiondError } from '../errors';
import type { Fence } from '../host/fence';
import { type Host, type RunResult, script } from '../host/host';
import type { VmProfile } from '../model/reservation';
import { masterImagePath } from '../model/names';
import type { ImageVerbs } from '../plugins/api';
import { SIGNALS, timed } from '../signals';
import { type ImageFile, type ImageSight, datastoreCandidates, repositoryCandidates } from './image-sight';
import { COPY_FROM_REPOSITORY, EXIT, MAKE_DISK, isDiskFull } from './qemu-img';
import { checkImageHeader } from './qcow2-header';
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
}

interface Image {
  readonly path: string;
  readonly format: string;
}

/** A base that was checked. */
interface BaseImage extends Image {
  readonly virtualSizeBytes: number;
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
  async ensureBase(format: string): Promise<BaseImage> {
    const present = this.findBase(await this.parts.look());
    if (present) return present;
    const { host, profile, imageName } = this.parts;
    const final = masterImagePath(profile, imageName, format);
    return oneAfterAnother(`${host.name} ${final}`, async () => {
      this.parts.changed();
      const sight = await this.parts.look();
      const copiedByOther = this.findBase(sight);
      if (copiedByOther) return copiedByOther;
      await this.copyFromRepository(sight, { path: final, format });
      this.parts.changed();
      const copied = this.findBase(await this.parts.look());
      if (copied) return copied;
      throw new ProvisiondError('IMAGE_COPY_FAILED', `${final} is not on host ${host.name} after it was copied`);
    });
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
    const header = checkImageHeader(file.path, file.header);
    return { path: file.path, format: header.format, virtualSizeBytes: header.virtualSizeBytes ?? file.sizeBytes };
  }

  private async copyFromRepository(sight: ImageSight, final: Image): Promise<void> {
    const sources = this.findSources(sight);
    const headers = sources.map((file) => checkImageHeader(file.path, file.header));
    const from = headers[0]!.format;
    const virtual = final.format === 'raw' ? headers[0]!.virtualSizeBytes : null;
    const neededKiB = Math.ceil((virtual ?? sum(sources.map((file) => file.sizeBytes))) / 1024);
    const { imageName, profile, timeoutMs } = this.parts;
    const xml = path.posix.join(path.posix.dirname(sources[0]!.path), `${imageName}.xml`);
    const argv = script(
      COPY_FROM_REPOSITORY,
      final.path,
      this.partOf(final.path),
      path.posix.join(profile.datastorePath, `.${imageName}.lock`),
      Math.max(1, Math.floor(timeoutMs / 1000)),
      neededKiB,
      from,
      final.format,
      xml,
      masterImagePath(profile, imageName, 'xml'),
      ...sources.map((file) => file.path),
    );
    const doing = `copying image ${imageName} from ${sources[0]!.path} to ${final.path}`;
    const failure = 'IMAGE_COPY_FAILED';
    const work = { doing, folder: profile.datastorePath, neededKiB, failure, signal: this.parts.signal } as const;
    const copied = { host: this.parts.host.name, bytes: sum(sources.map((file) => file.sizeBytes)) };
    await timed(
      () => this.run(argv, work),
      (took) => SIGNALS.imageCopy.tell({ ...copied, ...took }),
    );
  }

  private findSources(sight: ImageSight): ImageFile[] {
    const { imageName, profile, host } = this.parts;
    const found = repositoryCandidates(imageName, sight.repository);
    const isSplit = found.length > 1 && found.every((file) => /-[sf]\d+\.vmdk$/i.test(file.path));
    if (found.length === 1 || isSplit) return found;
    if (found.length === 0) {
      const places = [profile.datastorePath, profile.repositoryPath].filter((place) => place !== null);
      const message = `image ${imageName} is not in ${places.join(' nor in ')} of host ${host.name}`;
      throw new ProvisiondError('IMAGE_NOT_FOUND', message);
    }
    const preferred = found.filter((file) => file.path.toLowerCase().endsWith(`.${profile.repositoryFormat}`));
    if (preferred.length === 1) return preferred;
    const names = found.map((file) => file.path).join(', ');
    throw new ProvisiondError('IMAGE_AMBIGUOUS', `image ${imageName} has several files in the repository: ${names}`);
  }

  private async makeDisk(how: 'overlay' | 'copy', base: Image, disk: Image, neededKiB: number): Promise<void> {
    const { fence } = this.parts;
    const { path: file, format } = disk;
    const args = [how, file, `${file}.${fence.mark}.part`, neededKiB, format, base.path, base.format];
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

  private partOf(file: string): string {
    return `${file}.${this.parts.loadId}.part`;
  }

  private async run(argv: string[], work: Work): Promise<void> {
    const { host, fence, timeoutMs } = this.parts;
    try {
      const result = await host.run(argv, { timeoutMs, signal: work.signal, expect: 'any' });
      fence.check(result.exitCode, work.doing);
      if (result.exitCode !== 0) throw explain(host.name, work, result);
    } catch (error) {
      fence.afterError(error);
      throw error;
    }
  }
}

export interface Work {
  readonly doing: string;
  readonly folder: string;
  readonly neededKiB: number;
  readonly failure: ErrorCode;
  /** Cuts off a long copy; what goes on over there only ever writes a file of this load's own. */
  readonly signal?: AbortSignal | undefined;
}

export function explain(hostName: string, work: Work, result: RunResult): ProvisiondError {
  const where = `${work.doing} on host ${hostName}`;
  if (result.exitCode === EXIT.diskFull || isDiskFull(result.stderr)) {
    const free = Number(result.stdout.trim() || 0);
    const message = `${where}: folder ${work.folder} has ${mib(free)} MiB free and needs ${mib(work.neededKiB)} MiB`;
    const details = { folder: work.folder, freeKiB: free, neededKiB: work.neededKiB };
    return new ProvisiondError('HOST_DISK_FULL', message, { details });
  }
  if (result.exitCode === EXIT.busy) {
    return new ProvisiondError('CONFLICT', `${where}: a guest has that disk open`, { blame: 'computer' });
  }
  if (result.exitCode === EXIT.lockTimeout) {
    return new ProvisiondError('COMMAND_TIMEOUT', `${where}: another copy did not come to its end`);
  }
  const said = result.stderr.trim() || `exit code ${result.exitCode}`;
  return new ProvisiondError(work.failure, `${where}: ${said}`, { details: { exitCode: result.exitCode } });
}

function mib(kib: number): number {
  return Math.ceil(kib / 1024);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
