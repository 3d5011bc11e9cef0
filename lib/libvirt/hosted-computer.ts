/**
 * One reservation's computer on its host: names, addresses, the way to the host, and what is known of it.
 * Everything else in this folder is a function of it.
 */
import path from 'node:path';
import type { Config } from '../config/config';
import { ProvisiondError } from '../errors';
import { Fence } from '../host/fence';
import { type Host, type RunOptions, type RunResult, script } from '../host/host';
import { type NewBase, recordBase } from '../images/base-record';
import { ImageStore } from '../images/image-store';
import { windowsRegistryChanges } from '../images/windows-registry';
import type { Log } from '../log';
import type { BaseRecords } from '../model/base-file';
import type { DomainIdentity } from '../model/identity';
import {
  domainName,
  domainUuid,
  domainXmlPath,
  fileBaseName,
  generatedMac,
  overlayPath,
  seedPath,
} from '../model/names';
import type { HostFacts, Reservation, VmProfile } from '../model/reservation';
import { type DiskFile, VOLUME_NAME, volumePath, type WantedVolume } from '../model/volume';
import { HostView } from './host-view';
import { lookAtHost } from './look';
import type { Owner } from './ownership';

export type ProvisionerSettings = Pick<Config, 'xmlDirectory' | 'imageTimeoutMs'> & {
  readonly imageCheckAtUse?: Config['imageCheckAtUse'];
  /** Least memory of a guest. Default: VCL's 512. */
  readonly memoryFloorMiB?: number;
  /** Private keys for guests; cloud images get the public ones. */
  readonly sshKeyFiles?: Config['sshKeyFiles'];
};

export interface ProvisionerParts {
  readonly reservation: Reservation;
  /** Of the claim: names this load across restarts. */
  readonly loadId: string;
  /** Of the lease that the work is done under: the fence on the host. */
  readonly token?: number;
  readonly host: Host;
  readonly settings: ProvisionerSettings;
  readonly log: Log;
  /**
   * How often the work has waited for people until now. Meanwhile operations may have been at the computer, which are no
   * newer work (lib/operations/README.md). Left out: it is worked on all the time, and nobody else is let near.
   */
  readonly waits?: () => number;
  /** Stops whatever is under way, except clearing up. */
  readonly signal?: AbortSignal;
  /** Where base files are recorded; left out: they are believed. */
  readonly bases?: BaseRecords;
  /** Told how far the copy of an image is. */
  readonly onCopyProgress?: (imageName: string, percent: number) => void;
}

export interface ComputerNames {
  readonly shortName: string;
  readonly domain: string;
  readonly uuid: string;
  readonly overlay: string;
  /** Of a cloud image's guest: what it is told. */
  readonly seed: string;
  readonly xml: string;
  /** What the guest's serial console said. */
  readonly consoleLog: string;
}

/** The file of a volume that a load makes. */
export interface LoadedVolume extends DiskFile {
  readonly type: WantedVolume['type'];
  readonly sizeMiB: number;
}

export class HostedComputer {
  readonly reservation: Reservation;
  readonly identity: DomainIdentity;
  readonly host: Host;
  readonly profile: VmProfile;
  readonly connection: HostFacts['connection'];
  readonly names: ComputerNames;
  readonly owner: Owner;
  readonly settings: ProvisionerSettings;
  readonly log: Log;
  readonly view: HostView;
  readonly images: ImageStore;
  private readonly fence: Fence;
  private readonly signal: AbortSignal | undefined;
  private readonly parts: ProvisionerParts;
  private waits = 0;

  /** @throws COMPUTER_NOT_ASSIGNED, REQUEST_INVALID for names that could not be used as they are */
  constructor(parts: ProvisionerParts) {
    const { reservation, loadId, settings } = parts;
    const { computer, image, host } = reservation;
    if (host === null) {
      throw new ProvisiondError('COMPUTER_NOT_ASSIGNED', `computer ${computer.shortName} is assigned to no VM host`);
    }
    this.parts = parts;
    this.reservation = reservation;
    this.host = parts.host;
    this.profile = host.profile;
    this.connection = host.connection;
    this.settings = settings;
    this.log = parts.log;
    this.signal = parts.signal;
    this.identity = identityOf(reservation, loadId);
    checkNames(reservation, host.profile);
    const overlay = overlayPath(host.profile, computer, image, host.profile.datastoreFormat);
    this.names = {
      shortName: computer.shortName,
      domain: domainName(computer, image),
      uuid: domainUuid(reservation.managementNode.id, computer.id, loadId),
      overlay,
      seed: seedPath(host.profile, computer, image),
      xml: domainXmlPath(settings.xmlDirectory, computer, image),
      consoleLog: path.posix.join(host.profile.vmPath, `${fileBaseName(computer, image)}.console.log`),
    };
    this.owner = {
      managementNodeId: reservation.managementNode.id,
      computerId: computer.id,
      shortName: computer.shortName,
    };
    const note = path.posix.join(host.profile.vmPath, `.${computer.shortName}.load`);
    this.fence = new Fence(note, this.owner.managementNodeId, parts.token ?? 0);
    this.view = new HostView(this);
    this.images = this.imagesNamed(image.name, async () => (await this.view.current()).images);
  }

  /** Files of an image; of another than the reservation's they are looked for anew each time. */
  imagesNamed(imageName: string, look = async () => (await lookAtHost(this, imageName)).images): ImageStore {
    check('the file name of the image', imageName, FILE_NAME);
    const { bases, onCopyProgress } = this.parts;
    const hostId = this.reservation.host!.computerId;
    return new ImageStore({
      host: this.host,
      imageName,
      profile: this.profile,
      loadId: this.identity.loadId,
      fence: this.fence,
      timeoutMs: this.settings.imageTimeoutMs,
      look,
      changed: () => this.view.forget(),
      signal: this.signal,
      log: this.log,
      registryChanges: windowsRegistryChanges(this.reservation.image.os),
      ...(bases && {
        trust: { hostId, records: bases, checkAtUse: this.settings.imageCheckAtUse ?? 'stamp', log: this.log },
      }),
      ...(onCopyProgress && { onProgress: (percent: number) => onCopyProgress(imageName, percent) }),
    });
  }

  /** Makes a file in the datastore known as a base image that loads may use. @throws IMAGE_UNTRUSTED */
  async recordBase(file: string, base: NewBase): Promise<void> {
    const { bases, signal } = this.parts;
    if (!bases) return;
    const hostId = this.reservation.host!.computerId;
    const timeoutMs = this.settings.imageTimeoutMs;
    await recordBase({ host: this.host, hostId, records: bases, timeoutMs, signal }, file, base);
  }

  /** How far a copy of the reservation's image is, for its story. */
  tellCopy(percent: number): void {
    this.parts.onCopyProgress?.(this.reservation.image.name, percent);
  }

  /** Where a file is written before it gets its name: no two attempts share it. */
  unfinished(file: string): string {
    return `${file}.${this.fence.mark}.part`;
  }

  get overlay(): { readonly path: string; readonly format: string } {
    return { path: this.names.overlay, format: this.profile.datastoreFormat };
  }

  /** What the VM gets beside its system volume, in the order of its targets. */
  get volumes(): readonly LoadedVolume[] {
    const { reservation, profile, names } = this;
    const place = {
      vmPath: profile.vmPath,
      shortName: names.shortName,
      loadBase: fileBaseName(reservation.computer, reservation.image),
    };
    return reservation.volumes.map(({ name, type, sizeMiB }) => {
      check('the name of a volume', name, VOLUME_NAME);
      return { type, sizeMiB, path: volumePath(place, { type, name, generation: 1 }, 'qcow2'), format: 'qcow2' };
    });
  }

  /** The MAC of the private interface: the computer's own, or one derived from its id. */
  get privateMac(): string {
    const { computer } = this.reservation;
    const own = this.profile.generatePrivateMac ? null : computer.privateMac;
    return (own ?? generatedMac(this.owner.managementNodeId, computer.id, 0)).toLowerCase();
  }

  get publicMac(): string {
    const { computer } = this.reservation;
    const fixed = this.reservation.server?.fixedMac ?? null;
    const own = fixed ?? (this.profile.generatePublicMac ? null : computer.publicMac);
    return (own ?? generatedMac(this.owner.managementNodeId, computer.id, 1)).toLowerCase();
  }

  /** Asks the host something, until the work of this reservation is stopped. */
  run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return this.host.run(argv, { signal: this.signal, ...options });
  }

  /**
   * A constant script that changes something; its result is judged by the caller. It is never cut off when the work is
   * stopped: the command would go on over there, behind the back of whoever looks at the host next. The script calls
   * `fence` (lib/host/fence.ts) before it changes anything.
   * @throws CLAIM_LOST when newer work on the computer has begun
   */
  async runScript(
    text: string,
    args: readonly (string | number)[],
    doing: string,
    options: RunOptions = {},
  ): Promise<RunResult> {
    this.takeTurn();
    try {
      const argv = script(this.fence.guard(text), ...this.fence.args, ...args);
      const result = await this.host.run(argv, { expect: 'any', ...options });
      this.fence.check(result.exitCode, doing);
      return result;
    } catch (error) {
      this.fence.afterError(error);
      throw error;
    }
  }

  /** After a wait this is the newest work again; unless it was told to stop, because newer work has come. */
  private takeTurn(): void {
    const waits = this.parts.waits?.() ?? 0;
    if (waits === this.waits || this.signal?.aborted) return;
    this.waits = waits;
    this.fence.renew();
  }
}

function identityOf(reservation: Reservation, loadId: string): DomainIdentity {
  const { computer, image, managementNode, request } = reservation;
  return {
    managementNodeId: managementNode.id,
    computerId: computer.id,
    computerName: computer.shortName,
    requestId: request.id,
    reservationId: reservation.id,
    imageId: image.id,
    imageRevisionId: image.revisionId,
    imageName: image.name,
    loadId,
  };
}

const FILE_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;
const NETWORK_NAME = /^[A-Za-z0-9_][A-Za-z0-9._:+-]*$/;
// eslint-disable-next-line no-control-regex
const ABSOLUTE_PATH = /^\/[^\u0000-\u001f\u007f]*$/;
const FORMAT = /^[a-z0-9]+$/;

/**
 * What a web page wrote becomes names of files and of domains: each is held to what such names need.
 * @throws REQUEST_INVALID
 */
function checkNames({ computer, image }: Reservation, profile: VmProfile): void {
  const check = (what: string, value: string | null, pattern: RegExp) => {
    if (value === null || pattern.test(value)) return;
    throw new ProvisiondError('REQUEST_INVALID', `${what} ${JSON.stringify(value)} cannot be used`, {
      blame: 'config',
    });
  };
  check('the name of the computer', computer.shortName, FILE_NAME);
  check('the file name of the image', image.name, FILE_NAME);
  check(`the datastore path of VM profile ${profile.name}`, profile.datastorePath, ABSOLUTE_PATH);
  check(`the path of virtual disks of VM profile ${profile.name}`, profile.vmPath, ABSOLUTE_PATH);
  check(`the repository path of VM profile ${profile.name}`, profile.repositoryPath, ABSOLUTE_PATH);
  check(`the datastore format of VM profile ${profile.name}`, profile.datastoreFormat, FORMAT);
  check(`the repository format of VM profile ${profile.name}`, profile.repositoryFormat, FORMAT);
  check(`the private network of VM profile ${profile.name}`, profile.privateNetwork, NETWORK_NAME);
  check(`the public network of VM profile ${profile.name}`, profile.publicNetwork, NETWORK_NAME);
}

function check(what: string, value: string | null, pattern: RegExp): void {
  if (value === null || pattern.test(value)) return;
  throw new ProvisiondError('REQUEST_INVALID', `${what} ${JSON.stringify(value)} cannot be used`, { blame: 'config' });
}
