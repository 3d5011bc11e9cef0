/**
 * Boot parameters, checked and turned into one plan. The rules are the Xen API's: HVM and PV exclude each other, and the
 * HVM policy decides; only the group selected is used. An empty policy is PV: with a bootloader, that; with a kernel
 * alone, the kernel directly; with neither, pygrub. From its successor come the order `cd` where none is given, and
 * kernels only from folders that are allowed.
 */
import path from 'node:path';
import { ProvisiondError } from '../errors';
import type { BootDevice, BootloaderBoot, BootParameters, BootPlan, FirmwareBoot, KernelBoot } from '../model/boot';

/** Where kernels for guests may lie on a host, besides its datastore: never just anywhere. */
export const KERNEL_FOLDERS: readonly string[] = ['/var/lib/libvirt/boot', '/boot/guest'];

const DEVICES: Readonly<Record<string, BootDevice>> = { a: 'fd', c: 'hd', d: 'cdrom', n: 'network' };
const DEFAULT_ORDER = 'cd';

/**
 * @param allowedFolders where kernels and ramdisks of the host may lie
 * @throws BOOT_INVALID naming the field and what may stand there
 */
export function planBoot(parameters: BootParameters, allowedFolders: readonly string[]): BootPlan {
  const { hvmPolicy = '' } = parameters;
  if (hvmPolicy === 'BIOS order') return planFirmware(parameters);
  if (hvmPolicy !== '') throw invalid('hvmPolicy', hvmPolicy, "empty (paravirtual) or 'BIOS order'");
  return planParavirtual(parameters, allowedFolders);
}

function planFirmware({ hvmOrder = '', hvmFirmware = '' }: BootParameters): FirmwareBoot {
  const letters = [...(hvmOrder === '' ? DEFAULT_ORDER : hvmOrder)];
  const order = letters.map((letter) => DEVICES[letter]);
  if (order.includes(undefined) || new Set(order).size < order.length) {
    throw invalid('hvmOrder', hvmOrder, 'letters of a (floppy), c (disk), d (CD) and n (network), each once');
  }
  const firmware = hvmFirmware === '' ? 'bios' : hvmFirmware;
  if (firmware !== 'bios' && firmware !== 'uefi') throw invalid('hvmFirmware', hvmFirmware, 'bios or uefi');
  return { method: 'firmware', firmware, order: order as BootDevice[] };
}

function planParavirtual(parameters: BootParameters, allowedFolders: readonly string[]): KernelBoot | BootloaderBoot {
  const { pvBootloader = '', pvBootloaderArgs = '', pvKernel = '', pvRamdisk = '', pvArgs = '' } = parameters;
  const { pvMode = '' } = parameters;
  if (!['', 'pv', 'pvh'].includes(pvMode)) throw invalid('pvMode', pvMode, 'pv or pvh');
  for (const field of ['pvArgs', 'pvBootloaderArgs', 'pvKernel', 'pvRamdisk'] as const) {
    // eslint-disable-next-line no-control-regex
    if (/[\u0000-\u001f\u007f]/.test(parameters[field] ?? '')) throw invalid(field, parameters[field]!, 'one line');
  }
  const shared = { ramdisk: pvRamdisk, args: pvArgs, mode: pvMode === 'pvh' ? 'pvh' : 'pv' } as const;
  if (pvBootloader === '' && pvKernel !== '') {
    checkPath('pvKernel', pvKernel, allowedFolders);
    if (pvRamdisk !== '') checkPath('pvRamdisk', pvRamdisk, allowedFolders);
    return { method: 'kernel', kernel: pvKernel, ...shared };
  }
  const own = pvBootloader === '' || pvBootloader === 'pygrub';
  if (!own && !isPlainPath(pvBootloader)) {
    throw invalid('pvBootloader', pvBootloader, 'pygrub or the full path of a bootloader on the host');
  }
  const bootloader = own ? null : pvBootloader;
  return { method: 'bootloader', bootloader, bootloaderArgs: pvBootloaderArgs, kernel: pvKernel, ...shared };
}

function isPlainPath(file: string): boolean {
  return /^(\/[A-Za-z0-9._+-]+)+$/.test(file) && path.posix.normalize(file) === file;
}

function checkPath(field: keyof BootParameters, file: string, allowedFolders: readonly string[]): void {
  const inside = allowedFolders.some((folder) => file.startsWith(`${folder.replace(/\/$/, '')}/`));
  if (isPlainPath(file) && inside) return;
  throw invalid(field, file, `a file below ${allowedFolders.join(' or ')} on the host`);
}

function invalid(field: keyof BootParameters, value: string, wanted: string): ProvisiondError {
  return new ProvisiondError('BOOT_INVALID', `boot parameter ${field} is ${JSON.stringify(value)}, must be ${wanted}`, {
    details: { field, value },
  });
}
