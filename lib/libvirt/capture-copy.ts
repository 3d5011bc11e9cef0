/** The image that a capture makes: its places, its copies, and taking them back. */
import { ProvisiondError } from '../errors';
import { COPY_DISK, COPY_TO_REPOSITORY, markLine, NAME_TAKEN, REMOVE_CAPTURE } from '../images/capture-scripts';
import { explain, type Work } from '../images/copy-work';
import type { CaptureLook } from '../images/capture-look';
import { checkImageHeader } from '../images/image-header';
import { repositoryNotMounted } from '../images/repository';
import { masterImagePath, repositoryImagePath } from '../model/names';
import type { CaptureSight } from './capture-sight';
import type { HostedComputer } from './hosted-computer';

export interface CopyOptions {
  readonly signal: AbortSignal;
  /** Called with what is done, from 0 to 100. */
  readonly onPercent: (percent: number) => void;
}

export class CaptureCopy {
  constructor(private readonly sight: CaptureSight) {}

  private get computer() {
    return this.sight.computer;
  }

  /**
   * Room and names, before anything is changed.
   * @throws HOST_DISK_FULL, CONFLICT for a name that is taken, IMAGE_COPY_FAILED when the repository is not there,
   * IMAGE_UNTRUSTED and IMAGE_NOT_FOUND of what the disk stands on
   */
  async checkPlaces(): Promise<void> {
    this.sight.forget();
    const look = await this.sight.look();
    if (look.trouble) throw chainRefused(this.computer, look.trouble);
    const { profile, host, identity } = this.computer;
    const neededKiB = Math.ceil(look.copyBytes / 1024);
    for (const [folder, place] of [
      [profile.datastorePath, look.datastore],
      [profile.repositoryPath, look.repository],
    ] as const) {
      if (folder === null) continue;
      if (place === null) {
        throw repositoryNotMounted(host, folder);
      }
      if (place.images.length > 0 && place.mark?.requestId !== identity.requestId) throw this.nameTaken(place.images);
      if (place.freeKiB !== null && place.freeKiB < neededKiB && place.images.length === 0) {
        const [free, needed] = [place.freeKiB, neededKiB].map((kib) => Math.ceil(kib / 1024));
        const message = `folder ${folder} of host ${host.name} has ${free} MiB free, an image of this machine may need ${needed} MiB`;
        throw new ProvisiondError('HOST_DISK_FULL', message, {
          details: { folder, freeKiB: place.freeKiB, neededKiB },
        });
      }
    }
  }

  /** A capture of this request made the image that stands under the name, now or earlier. */
  async isOfThisRequest(): Promise<boolean> {
    const { datastore } = await this.sight.look();
    return datastore.images.length > 0 && datastore.mark?.requestId === this.computer.identity.requestId;
  }

  /** Whole, and made by this very load. */
  async exists(): Promise<boolean> {
    const { datastore } = await this.sight.look();
    return datastore.images.length === 1 && datastore.mark?.loadId === this.computer.identity.loadId;
  }

  async make(options: CopyOptions): Promise<void> {
    const { computer, paths } = this;
    const look = await this.sight.look();
    // Of an earlier attempt of the same request, whose undo could not reach the host.
    if (look.datastore.images.length > 0 || look.repository?.images.length) await this.remove();
    const { disk, domain } = await this.sight.machine();
    const { datastoreFormat: format, datastorePath: folder } = computer.profile;
    const neededKiB = Math.ceil(look.copyBytes / 1024);
    const lock = `${folder}/.${this.sight.imageName}.lock`;
    const seconds = Math.max(1, Math.floor(computer.settings.imageTimeoutMs / 1000));
    const part = computer.unfinished(paths.image);
    const args = [disk.path, disk.format, paths.image, format, part, lock, seconds, neededKiB];
    const mark = markLine(computer.identity);
    const doing = `capturing ${disk.path} as ${paths.image}`;
    await this.copyTo(COPY_DISK, [...args, domain.uuid, paths.xml, mark], { doing, folder, neededKiB }, options);
  }

  /**
   * Holds the copy to what it should be, and makes it known as a base.
   * @throws IMAGE_UNTRUSTED, IMAGE_COPY_FAILED
   */
  async register(): Promise<{ format: string; sizeBytes: number }> {
    const { image } = this.paths;
    const { computer } = this;
    const { imageName } = this.sight;
    const file = (await computer.imagesNamed(imageName).findFiles()).find(({ path }) => path === image);
    if (!file) throw new ProvisiondError('IMAGE_COPY_FAILED', `${image} is gone from host ${computer.host.name}`);
    const { format } = checkImageHeader(image, file.header, file.sizeBytes);
    await computer.recordBase(image, { imageName, source: `capture of request ${computer.identity.requestId}` });
    return { format, sizeBytes: file.sizeBytes };
  }

  async isInRepository(): Promise<boolean> {
    if (this.computer.profile.repositoryPath === null) return true;
    const { repository } = await this.sight.look();
    return repository?.images.length === 1 && repository.mark?.loadId === this.computer.identity.loadId;
  }

  async makeInRepository(options: CopyOptions): Promise<void> {
    const { computer, paths } = this;
    const { profile } = computer;
    const repository = paths.repository!;
    const neededKiB = Math.ceil((await this.sight.look()).copyBytes / 1024);
    const part = computer.unfinished(repository.image);
    const args = [paths.image, profile.datastoreFormat, repository.image, profile.repositoryFormat, part, neededKiB];
    const doing = `copying ${paths.image} to ${repository.image}`;
    const work = { doing, folder: profile.repositoryPath!, neededKiB };
    await this.copyTo(COPY_TO_REPOSITORY, [...args, paths.xml, repository.xml], work, options);
  }

  /** Removes what captures of this request made and left unfinished. Nothing there is success. */
  async remove(): Promise<void> {
    const { repository, image, xml } = this.paths;
    const folder = repository ? repository.image.slice(0, repository.image.lastIndexOf('/')) : '';
    const pairs = [xml, image, ...(repository ? [repository.xml, repository.image] : [])];
    const request = ` request=${this.computer.identity.requestId} -->`;
    await this.sight.change(
      REMOVE_CAPTURE,
      [request, folder, ...pairs],
      `removing what was captured as ${this.sight.imageName}`,
    );
  }

  get paths() {
    const { profile } = this.computer;
    const inRepository = (format: string) => repositoryImagePath(profile.repositoryPath!, this.sight.imageName, format);
    return {
      image: masterImagePath(profile, this.sight.imageName, profile.datastoreFormat),
      xml: masterImagePath(profile, this.sight.imageName, 'xml'),
      repository:
        profile.repositoryPath === null
          ? null
          : { image: inRepository(profile.repositoryFormat), xml: inRepository('xml') },
    };
  }

  private async copyTo(text: string, args: (string | number)[], work: Omit<Work, 'failure'>, options: CopyOptions) {
    const { computer } = this;
    const timeoutMs = computer.settings.imageTimeoutMs;
    let seen = '';
    const onStdout = (chunk: string) => {
      seen = (seen + chunk).slice(-64);
      const percent = [...seen.matchAll(/\((\d+)\.\d+\/100%\)/g)].at(-1)?.[1];
      if (percent !== undefined) options.onPercent(Number(percent));
    };
    try {
      // Cut off when the work is stopped: whoever comes next knows an unfinished copy by its name.
      const how = { timeoutMs, signal: options.signal, onStdout };
      const result = await computer.runScript(text, args, work.doing, how);
      if (result.exitCode === NAME_TAKEN) throw this.nameTaken([String(args[2])]);
      if (result.exitCode === 0) return;
      throw explain(computer.host.name, { ...work, failure: 'IMAGE_COPY_FAILED' }, result);
    } finally {
      this.sight.forget();
    }
  }

  private nameTaken(files: readonly string[]): ProvisiondError {
    const message = `there is an image named ${this.sight.imageName} already: ${files.join(', ')}`;
    const hint = 'Remove the file if nothing needs it, then: provisiond recover REQUEST --retry --yes';
    return new ProvisiondError('CONFLICT', message, { blame: 'image', hint, details: { files } });
  }
}

/** A disk whose base is gone or is not ours is left as it is, before its guest is so much as shut down. */
function chainRefused({ host, names }: HostedComputer, { kind, file }: NonNullable<CaptureLook['trouble']>) {
  const who = `the disk of ${names.shortName} on host ${host.name}`;
  const refusals = {
    missing: ['IMAGE_NOT_FOUND', 'stands on FILE, which is not there', 'Bring the file back to its place'],
    foreign: [
      'IMAGE_UNTRUSTED',
      'stands on FILE, which lies neither in the datastore nor in the folder of the disks',
      'Move that file into the datastore, and with the guest off: qemu-img rebase -u -b NEW -F FORMAT DISK',
    ],
    guessed: [
      'IMAGE_UNTRUSTED',
      'stands on FILE without saying its format',
      'With the guest off: qemu-img rebase -u -b FILE -F FORMAT DISK',
    ],
    unreadable: [
      'IMAGE_NOT_FOUND',
      'needs FILE, which cannot be read',
      'Look where that file went: qemu-img info FILE',
    ],
    endless: [
      'IMAGE_UNTRUSTED',
      'stands on a chain without an end, at FILE',
      'Look at it: qemu-img info --backing-chain FILE',
    ],
  } as const;
  const [code, how, hint] = refusals[kind];
  const [said, remedy] = [how, hint].map((text) => text.replaceAll('FILE', file));
  return new ProvisiondError(code, `${who} ${said}`, { blame: 'computer', hint: remedy, details: { file } });
}
