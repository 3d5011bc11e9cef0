/** Xen by libvirt's libxl: PV and PVH guests, their kernel found in the image by pygrub, and whole machines (HVM). */
import type { BootloaderBoot, BootPlan, DomainXml, HypervisorDriver, XmlNode } from '../lib/plugins/api';

const driver: HypervisorDriver = {
  apiVersion: 1,
  name: 'xen',
  description: 'Xen guests: PV, PVH and HVM',
  domainType: 'xen',
  diskDriverName: 'qemu', // without it libxl hands the guest the bytes of the qcow2 file itself
  diskFormats: ['qcow2', 'raw'],
  bootMethods: ['bootloader', 'kernel', 'firmware'],

  probe({ domainTypes }) {
    const usable = domainTypes.includes('xen');
    return { usable, reason: usable ? 'libvirt offers Xen guests' : 'libvirt offers no Xen guests' };
  },

  defaultBoot: ({ image }) =>
    /windows/i.test(image.os.type)
      ? { method: 'firmware', firmware: 'bios', order: ['hd'] }
      : { method: 'bootloader', bootloader: null, bootloaderArgs: '', kernel: '', ramdisk: '', args: '', mode: 'pv' },

  /** xenconsoled's, of PV and PVH guests; of an HVM guest its serial port goes to the file in the tree. */
  consoleLog: (domainName) => `/var/log/xen/guest-${domainName}.log`,

  async preDefine({ images, disk }) {
    const base = await images.ensureBase(disk.format);
    if (disk.format === 'qcow2') await images.createOverlay(base, disk);
    else await images.copyBase(base, disk);
  },

  extendDomainXml({ domain }, { boot }) {
    delete domain.cpu; // libxl knows models of its own only
    return boot.method === 'firmware' ? makeHvm(domain) : makeParavirtual(domain, boot);
  },
};

function makeHvm(domain: XmlNode): DomainXml {
  const devices = first(domain, 'devices');
  const consoleLog = first(devices, 'serial', 'log').$!.file!;
  devices.serial = [{ $: { type: 'file' }, source: [{ $: { path: consoleLog } }] }];
  delete devices.console;
  nodes(devices.disk).forEach((disk, index) => {
    const target = first(disk, 'target');
    if (target.$!.bus === 'virtio') target.$ = { dev: `hd${LETTERS[index]}`, bus: 'ide' };
  });
  for (const { $ } of nodes(devices.interface).flatMap((nic) => nodes(nic.model)))
    if ($!.type === 'virtio') $!.type = 'e1000';
  return { domain };
}

function makeParavirtual(domain: XmlNode, boot: Exclude<BootPlan, { method: 'firmware' }>): DomainXml {
  const devices = first(domain, 'devices');
  delete domain.features;
  first(domain, 'os').type = [{ _: boot.mode === 'pvh' ? 'xenpvh' : 'linux' }];
  const disks = nodes(devices.disk);
  disks.forEach((disk, index) => (first(disk, 'target').$ = { dev: `xvd${LETTERS[index]}`, bus: 'xen' }));
  if (boot.method === 'bootloader')
    domain.bootloader_args = bootloaderArgs(
      boot,
      disks.filter(({ $ }) => $?.device !== 'cdrom'),
    );
  for (const nic of nodes(devices.interface)) nic.model = [{ $: { type: 'netfront' } }];
  for (const device of ['serial', 'graphics']) delete devices[device];
  devices.console = [{ $: { type: 'pty' }, target: [{ $: { type: 'xen' } }] }];
  return { domain };
}

/**
 * libxl hands the first disk to a bootloader, behind its arguments, and starts none without a disk. A bootloader of the site is
 * told the others as well; pygrub looks at one. Between two arguments libvirt's driver wants all of blank, tab and newline.
 */
function bootloaderArgs({ bootloader, bootloaderArgs: args }: BootloaderBoot, disks: XmlNode[]): XmlNode[] | undefined {
  if (disks.length === 0) {
    throw Object.assign(new Error('Xen starts no bootloader for a guest without a disk'), { code: 'BOOT_UNSUPPORTED' });
  }
  const others = bootloader === null ? [] : disks.slice(1).map((disk) => first(disk, 'source').$!.file!);
  const words = [...args.split(' ').filter((word) => word !== ''), ...others];
  return words.length === 0 ? undefined : [{ _: words.join(' \t\n') }];
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

const nodes = (children: XmlNode[string]) => (children ?? []) as XmlNode[];
const first = (node: XmlNode, ...path: string[]) => path.reduce((parent, name) => nodes(parent[name])[0]!, node);

export default driver;
