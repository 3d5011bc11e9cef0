/**
 * What the steps of a capture do and ask (lib/states/capture-steps.ts), for one reservation's computer. VCL: `capture` of
 * its libvirt module.
 *
 * Why a crash between any two steps is harmless: the disk itself says how far a capture is. Its state before all is kept in
 * it under a name (BEFORE_CAPTURE), so is that it is ready to be copied, by which load; and the copy has its name only when
 * it is whole, with the load's mark beside it.
 */
import { ProvisiondError } from '../errors';
import { script } from '../host/host';
import { type CaptureLook, readCaptureLook } from '../images/capture-look';
import {
  BEFORE_CAPTURE,
  COPY_DISK,
  COPY_TO_REPOSITORY,
  GIVE_DISK_BACK,
  KEEP_DISK,
  LOOK_FOR_CAPTURE,
  markLine,
  NAME_TAKEN,
  preparedBy,
  REMOVE_CAPTURE,
} from '../images/capture-scripts';
import { explain, type Work } from '../images/image-store';
import { checkImageHeader } from '../images/qcow2-header';
import { capturedImageName, masterImagePath, repositoryImagePath } from '../model/names';
import { type CapturedMachine, findMachine } from './capture-source';
import type { HostedComputer } from './hosted-computer';
import { startDomain, stopDomain } from './power';
import { drawMark, splitSections } from './sections';
import { virshError } from './virsh';

export interface CopyOptions {
  readonly signal: AbortSignal;
  /** Called with what is done, from 0 to 100. */
  readonly onPercent: (percent: number) => void;
}

const PRESS_POWER_BUTTON = `
set -u
fence
exec virsh -q shutdown "$1"
`;

/** How often a guest that goes down is looked at. */
const LOOK_MS = 500;

export class DomainCapture {
  private known: Promise<CaptureLook> | null = null;

  constructor(private readonly computer: HostedComputer) {}

  /** The base name of the new files. */
  get imageName(): string {
    return capturedImageName(this.computer.reservation.image);
  }

  /** @throws DOMAIN_NOT_FOUND, CONFLICT */
  async machine(): Promise<CapturedMachine> {
    return findMachine(this.computer, await this.computer.view.current());
  }

  /** Files as they were when we last changed something. */
  look(): Promise<CaptureLook> {
    const look = (this.known ??= this.lookAfresh());
    look.catch(() => this.forget());
    return look;
  }

  // ------------------------------------------------------------------------------------------------------ the guest

  /** Off, with nothing saved that is not on its disk. */
  async isAtRest(): Promise<boolean> {
    const { domain } = await this.machine();
    return domain.state === 'shut off' && !domain.hasManagedSave;
  }

  /** Starts it, wakes it, or brings back what was saved. */
  async start(): Promise<void> {
    const { domain } = await this.machine();
    await startDomain(this.computer, domain);
  }

  async stop(): Promise<void> {
    const { domain } = await this.machine();
    await stopDomain(this.computer, domain);
    this.computer.view.forget();
  }

  /** For a guest that cannot be asked otherwise. */
  async pressPowerButton(): Promise<void> {
    const { domain } = await this.machine();
    const doing = `shutting down domain ${domain.name} on host ${this.computer.host.name}`;
    const result = await this.computer.runScript(PRESS_POWER_BUTTON, [domain.uuid], doing);
    if (result.exitCode !== 0) throw virshError('LIBVIRT_FAILED', doing, result);
  }

  /** @param pause between two looks @returns whether it went down in time */
  async waitUntilOff(timeoutMs: number, pause: (milliseconds: number) => Promise<void>): Promise<boolean> {
    const { domain } = await this.machine();
    const deadline = performance.now() + timeoutMs;
    try {
      for (;;) {
        const result = await this.computer.run(['virsh', '-q', 'domstate', domain.uuid], { expect: 'any' });
        if (result.exitCode === 0 && result.stdout.trim() === 'shut off') return true;
        if (performance.now() >= deadline) return false;
        await pause(LOOK_MS);
      }
    } finally {
      this.computer.view.forget();
    }
  }

  // ------------------------------------------------------------------------------------------------------- the disk

  /** Only qcow2 can hold the state before the capture. */
  async canKeepDisk(): Promise<boolean> {
    return (await this.machine()).disk.format === 'qcow2';
  }

  async hasKeptDisk(): Promise<boolean> {
    return (await this.look()).disk?.snapshots.includes(BEFORE_CAPTURE) ?? false;
  }

  async keepDisk(): Promise<void> {
    await this.nameState(BEFORE_CAPTURE);
  }

  /** The guest was prepared by this very load and has been off since. */
  async isPrepared(): Promise<boolean> {
    if (await this.hasCopy()) return true;
    const noted = (await this.look()).disk?.snapshots.includes(preparedBy(this.computer.identity.loadId)) ?? false;
    return noted && (await this.isAtRest());
  }

  async notePrepared(): Promise<void> {
    if (await this.canKeepDisk()) await this.nameState(preparedBy(this.computer.identity.loadId));
  }

  /** The state before the capture again; the machine is off then. Nothing kept: nothing is done. */
  async giveDiskBack(): Promise<void> {
    const { disk } = await this.look();
    if (!disk?.snapshots.includes(BEFORE_CAPTURE)) return;
    if (!(await this.isAtRest())) await this.stop();
    const machine = await this.machine();
    const names = disk.snapshots.filter((name) => name.startsWith(preparedBy('')));
    await this.change(
      GIVE_DISK_BACK,
      [machine.disk.path, machine.disk.format, BEFORE_CAPTURE, ...names],
      `giving back ${machine.disk.path}`,
    );
  }

  private async nameState(name: string): Promise<void> {
    const { disk } = await this.machine();
    await this.change(KEEP_DISK, [disk.path, disk.format, name], `keeping the state of ${disk.path}`);
  }

  // ------------------------------------------------------------------------------------------------------- the copy

  /**
   * Room and names, before anything is changed.
   * @throws HOST_DISK_FULL, CONFLICT for a name that is taken, IMAGE_COPY_FAILED when the repository is not there
   */
  async checkPlaces(): Promise<void> {
    this.forget();
    const look = await this.look();
    const { profile, host, identity } = this.computer;
    const neededKiB = Math.ceil(look.copyBytes / 1024);
    for (const [folder, place] of [
      [profile.datastorePath, look.datastore],
      [profile.repositoryPath, look.repository],
    ] as const) {
      if (folder === null) continue;
      if (place === null) {
        const hint = `Mount it on the host: mount ${folder}`;
        const message = `the repository ${folder} is not mounted on host ${host.name}`;
        throw new ProvisiondError('IMAGE_COPY_FAILED', message, { blame: 'host', hint, retryable: false });
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

  async hasCopy(): Promise<boolean> {
    const { datastore } = await this.look();
    return datastore.images.length === 1 && datastore.mark?.loadId === this.computer.identity.loadId;
  }

  async copy(options: CopyOptions): Promise<void> {
    const { computer, paths } = this;
    const look = await this.look();
    // Of an earlier attempt of the same request, whose undo could not reach the host.
    if (look.datastore.images.length > 0 || look.repository?.images.length) await this.remove();
    const { disk, domain } = await this.machine();
    const { datastoreFormat: format, datastorePath: folder } = computer.profile;
    const neededKiB = Math.ceil(look.copyBytes / 1024);
    const lock = `${folder}/.${this.imageName}.lock`;
    const seconds = Math.max(1, Math.floor(computer.settings.imageTimeoutMs / 1000));
    const part = computer.unfinished(paths.image);
    const args = [disk.path, disk.format, paths.image, format, part, lock, seconds, neededKiB];
    const mark = markLine(computer.identity);
    const doing = `capturing ${disk.path} as ${paths.image}`;
    await this.copyTo(COPY_DISK, [...args, domain.uuid, paths.xml, mark], { doing, folder, neededKiB }, options);
  }

  /** What the copy turned out to be. @throws IMAGE_UNTRUSTED, IMAGE_COPY_FAILED */
  async checkCopy(): Promise<{ format: string; sizeBytes: number; virtualSizeBytes: number }> {
    const { image } = this.paths;
    const file = (await this.computer.imagesNamed(this.imageName).findFiles()).find(({ path }) => path === image);
    if (!file) throw new ProvisiondError('IMAGE_COPY_FAILED', `${image} is gone from host ${this.computer.host.name}`);
    const { format, virtualSizeBytes } = checkImageHeader(image, file.header);
    return { format, sizeBytes: file.sizeBytes, virtualSizeBytes: virtualSizeBytes ?? file.sizeBytes };
  }

  async hasRepositoryCopy(): Promise<boolean> {
    if (this.computer.profile.repositoryPath === null) return true;
    const { repository } = await this.look();
    return repository?.images.length === 1 && repository.mark?.loadId === this.computer.identity.loadId;
  }

  async copyToRepository(options: CopyOptions): Promise<void> {
    const { computer, paths } = this;
    const { profile } = computer;
    const repository = paths.repository!;
    const neededKiB = Math.ceil((await this.look()).copyBytes / 1024);
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
    await this.change(REMOVE_CAPTURE, [request, folder, ...pairs], `removing what was captured as ${this.imageName}`);
  }

  get paths() {
    const { profile } = this.computer;
    const inRepository = (format: string) => repositoryImagePath(profile.repositoryPath!, this.imageName, format);
    return {
      image: masterImagePath(profile, this.imageName, profile.datastoreFormat),
      xml: masterImagePath(profile, this.imageName, 'xml'),
      repository:
        profile.repositoryPath === null
          ? null
          : { image: inRepository(profile.repositoryFormat), xml: inRepository('xml') },
    };
  }

  // ------------------------------------------------------------------------------------------------------------------

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
      const stdout = result.stdout
        .split(/[\r\n]/)
        .filter((line) => /^\d+$/.test(line))
        .join('');
      throw explain(computer.host.name, { ...work, failure: 'IMAGE_COPY_FAILED' }, { ...result, stdout });
    } finally {
      this.forget();
    }
  }

  private async change(text: string, args: (string | number)[], doing: string): Promise<void> {
    const where = `${doing} on host ${this.computer.host.name}`;
    try {
      const result = await this.computer.runScript(text, args, where);
      if (result.exitCode !== 0) throw virshError('COMMAND_FAILED', where, result);
    } finally {
      this.forget();
    }
  }

  private forget(): void {
    this.known = null;
  }

  private nameTaken(files: readonly string[]): ProvisiondError {
    const message = `there is an image named ${this.imageName} already: ${files.join(', ')}`;
    const hint = 'Remove the file if nothing needs it, then: provisiond recover REQUEST --retry --yes';
    return new ProvisiondError('CONFLICT', message, { blame: 'image', hint, details: { files } });
  }

  private async lookAfresh(): Promise<CaptureLook> {
    const { computer, imageName } = this;
    const { profile } = computer;
    const machine = await this.machine().catch(() => null);
    const mark = drawMark();
    const disk = machine?.disk ?? { path: '', format: '' };
    const argv = script(
      LOOK_FOR_CAPTURE,
      ...[mark, disk.path, disk.format, profile.datastoreFormat],
      ...[profile.datastorePath, imageName, profile.repositoryPath ?? ''],
    );
    const doing = `looking at ${disk.path || imageName} on host ${computer.host.name}`;
    const result = await computer.run(argv, { expect: 'any' });
    const sections = splitSections(result.stdout, mark);
    if (result.exitCode !== 0 || !sections.has('end')) throw virshError('COMMAND_FAILED', doing, result);
    if (sections.has('info') && !sections.get('info')!.join('').includes('{')) {
      const message = `${doing}: its disk cannot be read: ${result.stderr.trim()}`;
      throw new ProvisiondError('IMAGE_NOT_FOUND', message, { blame: 'computer', hint: 'Look where its file went' });
    }
    return readCaptureLook(sections, imageName);
  }
}
