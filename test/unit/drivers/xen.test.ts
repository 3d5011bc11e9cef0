import { describe, expect, it } from '@jest/globals';
import xen from '../../../drivers/xen';
import { planBoot } from '../../../lib/libvirt/boot-plan';
import { generateDefaultDomainXml } from '../../../lib/libvirt/domain-xml';
import type { BootParameters } from '../../../lib/model/boot';
import type { DriverContext, XmlNode } from '../../../lib/plugins/api';
import { EXAMPLE_IDENTITY } from '../../../lib/plugins/conformance/example';
import { buildXml, parseXml } from '../../../lib/xml';

/** What libvirt is given for a guest with so many disks, and reads from it. */
function domainOf(parameters: BootParameters, disks = 1): XmlNode {
  const boot = planBoot(parameters, ['/boot/guest']);
  const tree = generateDefaultDomainXml({
    ...{
      domainType: 'xen',
      name: 'vm1_12-v2',
      uuid: '3c3a2c58-0000-8000-8000-0123456789ab',
      identity: EXAMPLE_IDENTITY,
    },
    description: { imagePrettyName: 'Tiny', loadTime: '2026-01-05T10:00:00.000Z', managementNode: 'node' },
    ...{ memoryMiB: 512, vcpus: 1, clockOffset: 'utc', boot, interfaces: [], consoleLog: '/srv/vm1.log' },
    disk: { path: '/srv/1.qcow2', format: 'qcow2', driverName: 'qemu', bus: 'virtio', cache: undefined },
  });
  const devices = tree.domain.devices as XmlNode[];
  const [disk] = devices[0]!.disk as XmlNode[];
  devices[0]!.disk = Array.from({ length: disks }, (_, index) => ({
    ...structuredClone(disk!),
    source: [{ $: { file: `/srv/${index + 1}.qcow2` } }],
  }));
  const extended = xen.extendDomainXml!(tree, { boot } as DriverContext);
  return parseXml(buildXml(extended), 'the domain').domain!;
}

const argsOf = (domain: XmlNode) => (domain.bootloader_args as XmlNode[] | undefined)?.[0]?._?.split(' \t\n');
const os = (domain: XmlNode) => (domain.os as XmlNode[])[0]!;

describe('a bootloader of the site', () => {
  const mine: BootParameters = { pvBootloader: '/usr/lib/mine', pvBootloaderArgs: '-q  --entry 1', pvArgs: ' a  b ' };

  it('is given its arguments word by word, and behind them by libxl itself the only disk', () => {
    const domain = domainOf(mine);
    expect(domain.bootloader).toEqual([{ _: '/usr/lib/mine' }]);
    expect(argsOf(domain)).toEqual(['-q', '--entry', '1']);
    expect(os(domain).cmdline).toEqual([{ _: ' a  b ' }]);
  });

  it('is told all disks, of which libxl adds the first', () => {
    const domain = domainOf(mine, 3);
    expect(argsOf(domain)).toEqual(['-q', '--entry', '1', '/srv/2.qcow2', '/srv/3.qcow2']);
    const targets = ((domain.devices as XmlNode[])[0]!.disk as XmlNode[]).map(
      ({ target }) => (target as XmlNode[])[0]!.$,
    );
    expect(targets.map((target) => target!.dev)).toEqual(['xvda', 'xvdb', 'xvdc']);
  });

  it('is refused where there is no disk to boot from: libxl starts none', () => {
    expect(() => domainOf(mine, 0)).toThrow(expect.objectContaining({ code: 'BOOT_UNSUPPORTED' }));
    expect(() => domainOf({}, 0)).toThrow(expect.objectContaining({ code: 'BOOT_UNSUPPORTED' }));
  });
});

describe('pygrub', () => {
  it('is what boots when neither bootloader nor kernel is given, from the first of the disks', () => {
    const domain = domainOf({ pvBootloaderArgs: '--entry 1' }, 3);
    expect([domain.bootloader, argsOf(domain)]).toEqual([undefined, ['--entry', '1']]);
    expect(argsOf(domainOf({}, 3))).toBeUndefined();
  });
});

describe('a kernel of the host', () => {
  it('is booted with whatever disks there are, or none', () => {
    const kernel = { pvKernel: '/boot/guest/k', pvRamdisk: '/boot/guest/r', pvArgs: 'quiet' };
    for (const disks of [0, 1, 3]) {
      const domain = domainOf(kernel, disks);
      expect([os(domain).kernel, os(domain).initrd, os(domain).cmdline]).toEqual([
        ...[[{ _: '/boot/guest/k' }], [{ _: '/boot/guest/r' }], [{ _: 'quiet' }]],
      ]);
      expect([domain.bootloader, domain.bootloader_args]).toEqual([undefined, undefined]);
    }
  });
});
