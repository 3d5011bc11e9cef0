import { describe, expect, it } from '@jest/globals';
import kvm from '../../../drivers/kvm';
import xen from '../../../drivers/xen';
import { planBoot } from '../../../lib/libvirt/boot-plan';
import { type BootParameters, bootMethod } from '../../../lib/model/boot';
import { readBootParameters } from '../../../lib/store/boot-verbs';

const FOLDERS = ['/boot/guest', '/srv/images/'];
const plan = (parameters: BootParameters) => planBoot(parameters, FOLDERS);
const invalid = (field: keyof BootParameters) =>
  expect.objectContaining({ code: 'BOOT_INVALID', message: expect.stringContaining(field) });

describe('boot parameters with an HVM policy', () => {
  it.each([
    ['dc', ['cdrom', 'hd']],
    ['n', ['network']],
    ['', ['hd', 'cdrom']],
    [undefined, ['hd', 'cdrom']],
  ])('boot the devices of order %j', (hvmOrder, order) => {
    expect(plan({ hvmPolicy: 'BIOS order', hvmOrder })).toMatchObject({ method: 'firmware', order });
  });

  it('refuse letters, policies and firmware that nobody knows', () => {
    expect(() => plan({ hvmPolicy: 'BIOS order', hvmOrder: 'cx' })).toThrow(invalid('hvmOrder'));
    expect(() => plan({ hvmPolicy: 'BIOS order', hvmOrder: 'cc' })).toThrow(invalid('hvmOrder'));
    expect(() => plan({ hvmPolicy: 'bios order' })).toThrow(invalid('hvmPolicy'));
    expect(() => plan({ hvmPolicy: 'BIOS order', hvmFirmware: 'coreboot' })).toThrow(invalid('hvmFirmware'));
  });

  it('take no notice of the PV group, however wrong it is, and the other way round', () => {
    const both = { hvmOrder: 'zz', pvKernel: '/etc/shadow', pvBootloader: 'lilo' };
    expect(plan({ ...both, hvmOrder: 'd', hvmPolicy: 'BIOS order' })).toMatchObject({ order: ['cdrom'] });
    expect(plan({ hvmOrder: 'zz', pvBootloader: 'pygrub' })).toMatchObject({ method: 'bootloader' });
  });
});

describe('boot parameters without one', () => {
  it('mean pygrub when neither bootloader nor kernel is given', () => {
    expect(plan({})).toMatchObject({ method: 'bootloader', bootloader: null, mode: 'pv' });
    expect(plan({ pvBootloader: 'pygrub', pvMode: 'pvh' })).toMatchObject({ bootloader: null, mode: 'pvh' });
  });

  it('boot a kernel of the host directly when there is no bootloader', () => {
    const given = { pvKernel: '/boot/guest/vmlinuz', pvRamdisk: '/srv/images/initrd', pvArgs: 'root=/dev/xvda1 "x y"' };
    expect(plan(given)).toEqual({
      ...{ method: 'kernel', kernel: '/boot/guest/vmlinuz', ramdisk: '/srv/images/initrd', mode: 'pv' },
      args: 'root=/dev/xvda1 "x y"',
    });
  });

  it('hand kernel, ramdisk and arguments to another bootloader unmodified', () => {
    const given = {
      pvBootloader: '/usr/lib/xen/bin/mine',
      pvBootloaderArgs: '-q  -x',
      pvKernel: '(hd0)/k',
      pvArgs: ' a ',
    };
    expect(plan(given)).toMatchObject({
      ...{ bootloader: '/usr/lib/xen/bin/mine', bootloaderArgs: '-q  -x', kernel: '(hd0)/k', args: ' a ' },
    });
  });

  it.each([
    '/etc/shadow',
    '/boot/guest/../../etc/shadow',
    '/boot/guest',
    '/boot/guestx/k',
    'vmlinuz',
    '/boot/guest/./k',
    '/boot/guest/a b',
    '/boot/guest//k',
  ])('refuse %s as a kernel of the host', (pvKernel) => {
    expect(() => plan({ pvKernel })).toThrow(invalid('pvKernel'));
    expect(() => plan({ pvKernel: '/boot/guest/k', pvRamdisk: pvKernel })).toThrow(invalid('pvRamdisk'));
  });

  it('refuse bootloaders by name, modes that nobody knows, and more than a line', () => {
    expect(() => plan({ pvBootloader: 'eliloader' })).toThrow(invalid('pvBootloader'));
    expect(() => plan({ pvMode: 'pv-in-pvh' })).toThrow(invalid('pvMode'));
    expect(() => plan({ pvArgs: 'quiet\n</cmdline>' })).toThrow(invalid('pvArgs'));
  });
});

describe('boot parameters in the database', () => {
  it('are texts by known names', () => {
    expect(readBootParameters('{"pvArgs":"quiet"}')).toEqual({ pvArgs: 'quiet' });
    for (const json of ['', '[1]', 'null', '"x"', '{"args":"x"}', '{"pvArgs":1}']) {
      expect(() => readBootParameters(json)).toThrow(expect.objectContaining({ code: 'BOOT_INVALID' }));
    }
  });
});

describe('what a hypervisor can', () => {
  it.each([
    ['a boot order', { hvmPolicy: 'BIOS order' }, true, true],
    ['UEFI', { hvmPolicy: 'BIOS order', hvmFirmware: 'uefi' }, true, false],
    ['a kernel of the host', { pvKernel: '/boot/guest/k' }, true, true],
    ['pygrub', {}, false, true],
  ] as const)('%s', (_what, parameters, byKvm, byXen) => {
    const method = bootMethod(plan(parameters));
    expect([kvm.bootMethods?.includes(method), xen.bootMethods?.includes(method)]).toEqual([byKvm, byXen]);
  });
});
