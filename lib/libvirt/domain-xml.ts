/**
 * The domain as every libvirt hypervisor takes it: `generate_domain_xml` of VCL's libvirt module, before the driver's
 * `extendDomainXml`. Pure: the same input gives the same tree.
 *
 * Different from VCL: a UUID and our metadata; a serial console with a log, so that a guest that does not come up can be
 * asked why; `on_poweroff` destroys, because libvirt 9 refuses to preserve; a CPU topology only where it is valid;
 * virtio for images that have no XML file beside them. A `<backingStore>` is never written: it would win over the
 * header of the disk (and a stale one would start the guest on another base).
 */
import type { BootPlan } from '../model/boot';
import type { DomainIdentity } from '../model/identity';
import type { DomainXml, XmlNode } from '../plugins/api';
import { identityMetadata } from './domain-identity';

/** VCL never gives a guest less. */
export const VCL_MEMORY_FLOOR_MIB = 512;

export interface DomainXmlInput {
  readonly domainType: string;
  readonly name: string;
  readonly uuid: string;
  readonly identity: DomainIdentity;
  readonly description: DescriptionFacts;
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly clockOffset: 'utc' | 'localtime';
  readonly boot: BootPlan;
  readonly disk: DomainDisk;
  /** Further disks, in the order of their targets. */
  readonly volumes?: readonly DomainDisk[];
  /** A volume that tells a cloud image what it is, on the host; left out: the guest knows by itself. */
  readonly seed?: string;
  readonly interfaces: readonly DomainInterface[];
  /** File on the host that takes what the guest's serial console says. */
  readonly consoleLog: string;
}

export interface DescriptionFacts {
  readonly imagePrettyName: string;
  readonly loadTime: string;
  readonly managementNode: string;
}

export interface DomainDisk {
  readonly path: string;
  readonly format: string;
  readonly driverName: string;
  readonly bus: string;
  /** `none` on network file systems, so that a guest can be seen by another host; undefined: QEMU's default. */
  readonly cache: 'none' | undefined;
}

export interface DomainInterface {
  /** `network`: a network of libvirt; `bridge`: a bridge of the host. */
  readonly type: 'network' | 'bridge';
  readonly source: string;
  readonly mac: string;
  readonly model: string;
}

export function generateDefaultDomainXml(input: DomainXmlInput): DomainXml {
  const memory: XmlNode = { $: { unit: 'MiB' }, _: String(input.memoryMiB) };
  return {
    domain: {
      $: { type: input.domainType },
      name: text(input.name),
      uuid: text(input.uuid),
      description: text(describe(input)),
      metadata: [identityMetadata(input.identity, input.seed !== undefined)],
      memory: [memory],
      vcpu: text(String(input.vcpus)),
      ...bootElements(input.boot),
      features: [{ acpi: [{}], apic: [{}] }],
      cpu: [{ topology: [{ $: topology(input.vcpus) }] }],
      clock: [{ $: { offset: input.clockOffset } }],
      on_poweroff: text('destroy'),
      on_reboot: text('restart'),
      on_crash: text('preserve'),
      devices: [
        {
          disk: disks(input),
          interface: input.interfaces.map(networkInterface),
          serial: [{ $: { type: 'pty' }, log: [{ $: { file: input.consoleLog, append: 'on' } }] }],
          console: [{ $: { type: 'pty' }, target: [{ $: { type: 'serial', port: '0' } }] }],
          graphics: [{ $: { type: 'vnc', autoport: 'yes' } }],
        },
      ],
    },
  };
}

/**
 * `<os>`, and `<bootloader>` beside it. Empty values are left out: without bootloader and kernel libvirt's Xen driver
 * takes the platform's pygrub.
 */
function bootElements(boot: BootPlan): { os: XmlNode[]; bootloader?: XmlNode[]; bootloader_args?: XmlNode[] } {
  const type = text('hvm');
  if (boot.method === 'firmware') {
    const os: XmlNode = { type, boot: boot.order.map((dev) => ({ $: { dev } })) };
    return { os: [boot.firmware === 'uefi' ? { $: { firmware: 'efi' }, ...os } : os] };
  }
  const given = (value: string | null) => (value === null || value === '' ? undefined : text(value));
  const os: XmlNode = { type, kernel: given(boot.kernel), initrd: given(boot.ramdisk), cmdline: given(boot.args) };
  if (boot.method === 'kernel') return { os: [os] };
  return { bootloader: given(boot.bootloader), bootloader_args: given(boot.bootloaderArgs), os: [os] };
}

function text(value: string): XmlNode[] {
  return [{ _: value }];
}

/** The lines that VCL writes; the web front end and admins read them. */
function describe({ description, identity }: DomainXmlInput): string {
  return [
    `image: ${description.imagePrettyName}`,
    `revision: ${identity.imageName}`,
    `load time: ${description.loadTime}`,
    `management node: ${description.managementNode}`,
    `request ID: ${identity.requestId}`,
    `reservation ID: ${identity.reservationId}`,
  ].join('\n');
}

/** VCL's: up to two sockets. An odd number of CPUs does not halve: then each is a core of one socket. */
function topology(vcpus: number): Record<string, string> {
  const sockets = vcpus <= 2 ? vcpus : vcpus % 2 === 0 ? 2 : 1;
  return { sockets: String(sockets), cores: String(vcpus / sockets), threads: '1' };
}

const DEVICE_PREFIXES: Readonly<Record<string, string>> = { virtio: 'vd', xen: 'xvd', ide: 'hd', fdc: 'fd' };

function disks({ disk: system, seed, volumes = [] }: DomainXmlInput): XmlNode[] {
  const fixed = seed === undefined ? [disk(system, 0)] : [disk(system, 0), seedDisk(seed, system)];
  return [...fixed, ...volumes.map((volume, index) => disk(volume, fixed.length + index))];
}

function disk({ path, format, driverName, bus, cache }: DomainDisk, index: number): XmlNode {
  const driver: Record<string, string> = { name: driverName, type: format };
  if (cache !== undefined) driver.cache = cache;
  return {
    $: { type: 'file', device: 'disk' },
    driver: [{ $: driver }],
    source: [{ $: { file: path } }],
    target: [{ $: { dev: `${DEVICE_PREFIXES[bus] ?? 'sd'}${String.fromCharCode('a'.charCodeAt(0) + index)}`, bus } }],
  };
}

/** On the bus of the disk, which the guest has a driver for; QEMU's IDE has no disks that are read-only, but CD-ROMs. */
function seedDisk(path: string, { driverName, bus }: DomainDisk): XmlNode {
  const device = bus === 'ide' || bus === 'sata' ? 'cdrom' : 'disk';
  return {
    $: { type: 'file', device },
    driver: [{ $: { name: driverName, type: 'raw' } }],
    source: [{ $: { file: path } }],
    target: [{ $: { dev: `${DEVICE_PREFIXES[bus] ?? 'sd'}b`, bus } }],
    readonly: [{}],
  };
}

function networkInterface({ type, source, mac, model }: DomainInterface): XmlNode {
  return {
    $: { type },
    mac: [{ $: { address: mac } }],
    source: [{ $: { [type]: source } }],
    model: [{ $: { type: model } }],
  };
}
