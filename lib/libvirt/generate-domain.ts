/** From a reservation and a look at its host to the tree that is defined. */
import { ProvisiondError } from '../errors';
import { type BootMethod, type BootPlan, FROM_DISK, bootMethod } from '../model/boot';
import type { DiskFile } from '../model/volume';
import type { DomainXml, DriverContext, HostFactsForDriver, HypervisorDriver } from '../plugins/api';
import { wantsSeed } from './domain-identity';
import { KERNEL_FOLDERS, planBoot } from './boot-plan';
import { type DomainDisk, VCL_MEMORY_FLOOR_MIB, generateDefaultDomainXml } from './domain-xml';
import type { HostedComputer } from './hosted-computer';
import type { HostLook } from './look';
import { guestInterfaces } from './networks';
import { childrenOf, firstOf, parseXml } from '../xml';

/** The default tree: `generate_domain_xml` before the driver sees it. */
export function defaultDomainXml(
  computer: HostedComputer,
  look: HostLook,
  driver: Pick<HypervisorDriver, 'diskDriverName' | 'defaultBoot'>,
  domainType: string,
): DomainXml {
  const { names, identity, reservation, settings } = computer;
  const { image, managementNode } = reservation;
  const hardware = masterHardware(look.masterXml);
  const floor = settings.memoryFloorMiB ?? VCL_MEMORY_FLOOR_MIB;
  return generateDefaultDomainXml({
    domainType,
    name: names.domain,
    uuid: names.uuid,
    identity,
    description: {
      imagePrettyName: image.prettyName,
      loadTime: new Date().toISOString(),
      managementNode: managementNode.shortName,
    },
    memoryMiB: Math.max(floor, image.minRamMiB, image.os.minRamMiB),
    vcpus: Math.max(1, image.minCpus),
    clockOffset: /windows/i.test(image.os.type) ? 'localtime' : 'utc',
    boot: bootOf(computer, driver),
    disk: loadDisk(look, computer.overlay, driver.diskDriverName, hardware.diskBus),
    volumes: computer.volumes.map((volume) => loadDisk(look, volume, driver.diskDriverName, hardware.diskBus)),
    ...(hardware.wantsSeed && { seed: names.seed }),
    interfaces: guestInterfaces(computer, look, hardware.networkModel),
    consoleLog: names.consoleLog,
  });
}

function loadDisk(look: HostLook, { path, format }: DiskFile, driverName: string, bus: string): DomainDisk {
  const remote = /^(nfs|afs|cifs|smb|ceph|9p|fuse\.|ocfs2|gfs2|lustre|gluster)/.test(look.diskFilesystem.type);
  return { path, format, driverName, bus, cache: remote ? 'none' : undefined };
}

/**
 * Hardware that the image was made on, from the XML file beside it: the first disk's bus and the first interface's
 * model, where the file says nothing VCL's defaults. No file: virtio.
 */
export function masterHardware(masterXml: string | null): MasterHardware {
  if (masterXml === null) return { diskBus: 'virtio', networkModel: 'virtio', wantsSeed: false };
  const { domain } = parseXml(masterXml, 'the XML file beside the base image');
  const devices = firstOf(domain, 'devices');
  const disk = childrenOf(devices, 'disk').find((candidate) => (candidate.$?.device ?? 'disk') === 'disk');
  const diskBus = firstOf(disk, 'target')?.$?.bus ?? 'ide';
  const networkModel = firstOf(devices, 'interface', 'model')?.$?.type ?? 'rtl8139';
  return { diskBus, networkModel, wantsSeed: domain !== undefined && wantsSeed(domain) };
}

export interface MasterHardware {
  readonly diskBus: string;
  readonly networkModel: string;
  /** A cloud image: its guests have to be told what they are. */
  readonly wantsSeed: boolean;
}

/** What the hooks of a driver are given. */
export function driverContext(
  computer: HostedComputer,
  driver: HypervisorDriver,
  facts: HostFactsForDriver,
  signal: AbortSignal,
): DriverContext {
  const { reservation, identity, overlay, images, log } = computer;
  const boot = bootOf(computer, driver);
  return { reservation, identity, host: facts, boot, disk: overlay, images, log, signal };
}

/**
 * What was written down for the computer, its image or its VM profile; else the driver's own way.
 * @throws BOOT_INVALID
 */
function bootOf(computer: HostedComputer, driver: Pick<HypervisorDriver, 'defaultBoot'>): BootPlan {
  const { reservation, profile } = computer;
  if (reservation.boot === null) return driver.defaultBoot?.(reservation) ?? FROM_DISK;
  return planBoot(reservation.boot, [profile.datastorePath, ...KERNEL_FOLDERS]);
}

/** What a hypervisor cannot do is refused when it is asked for. @throws BOOT_UNSUPPORTED, BOOT_INVALID */
export function checkBoot(computer: HostedComputer, driver: HypervisorDriver): BootMethod {
  const method = bootMethod(bootOf(computer, driver));
  const methods = driver.bootMethods ?? ['firmware'];
  if (methods.includes(method)) return method;
  throw new ProvisiondError(
    'BOOT_UNSUPPORTED',
    `computer ${computer.names.shortName} is to boot by ${method}; driver '${driver.name}' of host ${computer.host.name} can by ${methods.join(', ')}`,
  );
}

/** @throws CONFIG_INVALID */
export function checkDiskFormat(computer: HostedComputer, driver: HypervisorDriver): void {
  const { format } = computer.overlay;
  if (driver.diskFormats.includes(format)) return;
  const { name } = computer.profile;
  throw new ProvisiondError(
    'CONFIG_INVALID',
    `VM profile ${name} has datastore format ${format}; driver '${driver.name}' runs from ${driver.diskFormats.join(', ')}`,
    { hint: 'Choose another datastore image type in the VM profile' },
  );
}
