/** VCL's libvirt module for one reservation's computer: the seed's subroutines by their names. */
import type { NodeStatus, PowerStatus } from '../model/power';
import type { Reservation } from '../model/reservation';
import { readVolumeId } from '../model/volume';
import type { DomainIdentity } from '../model/identity';
import type { DomainXml, GuestStatus, HostFactsForDriver, HypervisorDriver } from '../plugins/api';
import { findError } from '../errors';
import { LocalHost } from '../host/local-host';
import { type DiskInfo, readDiskInfo } from '../images/disk-info';
import { checkImageHeader, claimedFormat } from '../images/image-header';
import { requireRepository } from '../images/repository';
import { retrieveImage } from '../images/retrieval';
import { readDefinition, volumesOf } from './definition';
import { ownDomainNamed, removeDomains } from './delete-domain';
import { releaseAddress } from './dhcp';
import { diagnoseGuest } from './diagnose';
import { DomainCapture } from './domain-capture';
import { DomainLoad } from './domain-load';
import { forgetHostFacts, hostFacts } from './host-facts';
import { HostedComputer, type ProvisionerParts } from './hosted-computer';
import type { SeenDomain } from './look';
import { isUp, powerStatusOf, requireDomain, resetDomain, startDomain, stopDomain } from './power';
import type { DomainSight, GuestDiagnosis, ImageLibrary, Provisioner, SnapshotInfo } from './provisioner';
import { createSnapshot, deleteSnapshot, listSnapshots } from './snapshots';
import { parseDomainTable, virshError } from './virsh';
import { parseXml } from '../xml';

/** Where drivers come from: the plugin registry. */
export interface DriverChooser {
  /** @throws DRIVER_NOT_FOUND, DRIVER_AMBIGUOUS, PLUGIN_REJECTED */
  chooseDriver(facts: HostFactsForDriver, pinned: string | null): Promise<HypervisorDriver>;
}

export class LibvirtProvisioner implements Provisioner {
  readonly load: DomainLoad;
  readonly capture: DomainCapture;
  private readonly computer: HostedComputer;
  private readonly signal: AbortSignal;
  private driver: Promise<HypervisorDriver> | null = null;

  /** @throws COMPUTER_NOT_ASSIGNED, REQUEST_INVALID */
  constructor(
    parts: ProvisionerParts,
    private readonly drivers: DriverChooser,
  ) {
    this.computer = new HostedComputer(parts);
    this.signal = parts.signal ?? new AbortController().signal;
    this.load = new DomainLoad(this.computer, () => this.initialise());
    this.capture = new DomainCapture(this.computer);
  }

  get reservation(): Reservation {
    return this.computer.reservation;
  }
  get identity(): DomainIdentity {
    return this.computer.identity;
  }
  get domainName(): string {
    return this.computer.names.domain;
  }
  get overlayPath(): string {
    return this.computer.names.overlay;
  }
  get xmlPath(): string {
    return this.computer.names.xml;
  }

  initialise(): Promise<HypervisorDriver> {
    this.driver ??= this.chooseDriver();
    this.driver.catch(() => (this.driver = null));
    return this.driver;
  }

  private async chooseDriver(): Promise<HypervisorDriver> {
    const { host, connection } = this.computer;
    try {
      return await this.drivers.chooseDriver(await hostFacts(host), connection.driver);
    } catch (error) {
      if (findError(error, 'DRIVER_NOT_FOUND')) forgetHostFacts(host);
      throw error;
    }
  }

  async ownDomains(): Promise<readonly DomainSight[]> {
    return this.ownSeen();
  }

  async activeDomain(): Promise<DomainSight | null> {
    const own = await this.ownSeen();
    const { domain, uuid } = this.computer.names;
    const byPreference = [
      own.find((seen) => seen.uuid === uuid),
      own.find((seen) => isUp(seen) && seen.name === domain),
      own.find(isUp),
      own.find((seen) => seen.name === domain),
      own.find((seen) => seen.identity?.imageRevisionId === this.identity.imageRevisionId),
    ];
    return byPreference.find((seen) => seen !== undefined) ?? (own.length === 1 ? own[0]! : null);
  }

  // ------------------------------------------------------------------------------------------------ status and power

  /** As VCL asks the guest; and, as VCL never did, the hypervisor. */
  async nodeStatus(guest: GuestStatus | null): Promise<NodeStatus> {
    const domain = await this.activeDomain();
    const { revisionId } = this.reservation.image;
    if (!domain || !isUp(domain)) return 'RELOAD';
    if (domain.identity !== null && domain.identity.imageRevisionId !== revisionId) return 'RELOAD';
    if (await this.hasChangedDisks()) return 'RELOAD';
    if (guest === null || guest.tainted || guest.imageRevisionId !== revisionId) return 'RELOAD';
    return guest.postLoadDone ? 'READY' : 'POST_LOAD';
  }

  async hasChangedDisks(): Promise<boolean> {
    const active = await this.activeDomain();
    const seen = (await this.computer.view.current()).domains.find(({ uuid }) => uuid === active?.uuid);
    const { shortName } = this.computer.names;
    return (seen?.disks ?? []).some((file) => {
      const id = readVolumeId(shortName, file);
      return id?.type === 'system' && id.generation > 0;
    });
  }

  async powerStatus(): Promise<PowerStatus | null> {
    await this.computer.view.fresh();
    const domain = await this.activeDomain();
    return domain && powerStatusOf(domain);
  }

  async powerOn(): Promise<void> {
    const domain = await this.requireActive();
    await this.load.prepareStart(this.signal);
    await startDomain(this.computer, domain);
  }

  async powerOff(): Promise<void> {
    const domain = await this.activeDomain();
    if (domain) await stopDomain(this.computer, domain);
  }

  async powerReset(): Promise<void> {
    const domain = await this.requireActive();
    await this.load.prepareStart(this.signal);
    await resetDomain(this.computer, domain);
  }

  // ------------------------------------------------------------------------------------------------ removal

  async unload(): Promise<void> {
    await this.computer.view.fresh();
    // libvirt takes 0.2 s for each; they do not wait for each other.
    const own = await this.ownSeen();
    const removal = removeDomains(this.computer, own, { leftovers: true, logs: await this.load.consoleLogs(own) });
    const results = await Promise.allSettled([removal, releaseAddress(this.computer)]);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    await this.load.removeDriversDisks();
  }

  postMaintenanceAction(): Promise<void> {
    return this.unload();
  }

  async deleteDomain(name: string): Promise<void> {
    const domain = ownDomainNamed(this.computer, await this.computer.view.fresh(), name);
    if (domain) await removeDomains(this.computer, [domain]);
  }

  // ------------------------------------------------------------------------------------------------ images

  async doesImageExist(imageName?: string): Promise<string[]> {
    return (await this.imagesOf(imageName).findFiles()).map((file) => file.path);
  }

  async getImageSizeBytes(imageName?: string): Promise<number | null> {
    const files = await this.imagesOf(imageName).findFiles();
    return files.length === 0 ? null : files.reduce((total, file) => total + file.sizeBytes, 0);
  }

  async getImageSizeMiB(imageName?: string): Promise<number | null> {
    const bytes = await this.getImageSizeBytes(imageName);
    return bytes === null ? null : Math.ceil(bytes / 2 ** 20);
  }

  async getVirtualDiskSizeBytes(imageName?: string): Promise<number | null> {
    const files = await this.imagesOf(imageName).findFiles();
    if (files.length === 0) return null;
    const headers = files.map((file) => checkImageHeader(file.path, file.header, file.sizeBytes));
    return headers.reduce((total, header) => total + header.virtualSizeBytes, 0);
  }

  getVirtualDiskFileInfo(file: string, format = claimedFormat(file)): Promise<DiskInfo> {
    return readDiskInfo(this.computer.host, file, format);
  }

  async requireRepository(): Promise<void> {
    const { host, profile } = this.computer;
    if (profile.repositoryPath !== null) await requireRepository(host, profile.repositoryPath);
  }

  async retrieveImage(library: ImageLibrary): Promise<string | null> {
    const { computer, reservation } = this;
    const { repositoryPath } = computer.profile;
    if (repositoryPath === null) return null;
    const local = new LocalHost({ name: reservation.managementNode.shortName });
    const found = await retrieveImage({
      ...library,
      local,
      repositoryPath,
      imageName: reservation.image.name,
      timeoutMs: computer.settings.imageTimeoutMs,
      signal: this.signal,
      onProgress: (percent) => computer.tellCopy(percent),
    }).finally(() => local.close());
    computer.view.forget();
    return found && found.partner;
  }

  private imagesOf(imageName: string | undefined) {
    if (imageName === undefined || imageName === this.reservation.image.name) return this.computer.images;
    return this.computer.imagesNamed(imageName);
  }

  // ------------------------------------------------------------------------------------------------ domains

  generateDomainXml(): Promise<DomainXml> {
    return this.load.generateDomainXml(this.signal);
  }

  async domainExists(name: string): Promise<boolean> {
    return (await this.computer.view.fresh()).domainNames.has(name);
  }

  async loadedVolumes() {
    const { names, host, volumes } = this.computer;
    const { stdout } = await this.computer.run(['virsh', '-q', 'dumpxml', '--inactive', names.uuid]);
    const found = volumesOf(
      names.shortName,
      readDefinition(stdout, `the definition of ${names.domain} on ${host.name}`),
    );
    const system = (await this.getVirtualDiskSizeBytes()) ?? 0;
    return found.map((volume) => {
      const made = volumes.find(({ path }) => path === volume.path);
      return { ...volume, sizeBytes: made ? made.sizeMiB * 2 ** 20 : volume.type === 'system' ? system : 0 };
    });
  }

  async getDomainXml(name: string): Promise<DomainXml> {
    const doing = `reading the XML of domain ${name} on host ${this.computer.host.name}`;
    const result = await this.computer.run(['virsh', '-q', 'dumpxml', '--domain', name], { expect: 'any' });
    if (result.exitCode !== 0) {
      throw virshError((await this.domainExists(name)) ? 'LIBVIRT_FAILED' : 'DOMAIN_NOT_FOUND', doing, result);
    }
    return { domain: parseXml(result.stdout, `the XML of domain ${name}`).domain ?? {} };
  }

  async getDomainInfo(): Promise<ReadonlyMap<string, { id?: number; state: string }>> {
    const result = await this.computer.run(['virsh', '-q', 'list', '--all'], { expect: 'any' });
    if (result.exitCode === 0) return parseDomainTable(result.stdout);
    throw virshError('LIBVIRT_FAILED', `listing the domains of host ${this.computer.host.name}`, result);
  }

  // ------------------------------------------------------------------------------------------------ snapshots

  async getSnapshotInfo(domain: string): Promise<SnapshotInfo[]> {
    return listSnapshots(this.computer, await this.requireOwn(domain));
  }

  async createSnapshot(domain: string, description: string): Promise<string> {
    return createSnapshot(this.computer, await this.requireOwn(domain), description);
  }

  async deleteSnapshot(domain: string, snapshot: string): Promise<void> {
    await deleteSnapshot(this.computer, await this.requireOwn(domain), snapshot);
  }

  async diagnoseGuest(): Promise<GuestDiagnosis> {
    const domain = await this.activeDomain();
    const driver = await this.initialise().catch(() => null);
    const { names } = this.computer;
    return diagnoseGuest(this.computer, domain?.uuid ?? names.uuid, driver?.consoleLog?.(domain?.name ?? names.domain));
  }

  // ------------------------------------------------------------------------------------------------

  private async ownSeen(): Promise<SeenDomain[]> {
    return (await this.computer.view.current()).domains.filter(({ own }) => own);
  }

  private async requireActive(): Promise<DomainSight> {
    return requireDomain(this.computer, await this.activeDomain());
  }

  private async requireOwn(name: string): Promise<SeenDomain> {
    const domain = ownDomainNamed(this.computer, await this.computer.view.fresh(), name);
    return requireDomain(this.computer, domain) as SeenDomain;
  }
}
