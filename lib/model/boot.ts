/**
 * How a guest boots: the fields of the Xen API's VM class ("VM boot parameters") and the plan that they make.
 * The rules are in lib/libvirt/boot-plan.ts.
 */
/** What a site writes down for an image, a VM profile or a computer. What is left out is empty. */
export interface BootParameters {
  /** `HVM/boot_policy`: empty, or `BIOS order`. */
  readonly hvmPolicy?: string;
  /** `HVM/boot_params`, `order`: letters of `acdn` (floppy, disk, CD, network). */
  readonly hvmOrder?: string;
  /** `HVM/boot_params`, `firmware`: `bios` or `uefi`. */
  readonly hvmFirmware?: string;
  /** `PV/bootloader`: `pygrub`, or the full path of another on the host. */
  readonly pvBootloader?: string;
  readonly pvBootloaderArgs?: string;
  /** `PV/kernel` and `PV/ramdisk`: without a bootloader, paths on the host. */
  readonly pvKernel?: string;
  readonly pvRamdisk?: string;
  readonly pvArgs?: string;
  /** `pv` or, with the help of the processor, `pvh`. */
  readonly pvMode?: string;
}

export const BOOT_FIELDS = [
  'hvmPolicy',
  'hvmOrder',
  'hvmFirmware',
  'pvBootloader',
  'pvBootloaderArgs',
  'pvKernel',
  'pvRamdisk',
  'pvArgs',
  'pvMode',
] as const satisfies readonly (keyof BootParameters)[];

export type BootPlan = FirmwareBoot | KernelBoot | BootloaderBoot;
export type BootMethod = BootPlan['method'] | 'uefi';

/** A whole machine with its firmware. */
export interface FirmwareBoot {
  readonly method: 'firmware';
  readonly firmware: 'bios' | 'uefi';
  readonly order: readonly BootDevice[];
}

/** A kernel of the host, directly. */
export interface KernelBoot {
  readonly method: 'kernel';
  readonly kernel: string;
  readonly ramdisk: string;
  readonly args: string;
  readonly mode: 'pv' | 'pvh';
}

/** A program on the host that finds a kernel in the guest's disks. */
export interface BootloaderBoot {
  readonly method: 'bootloader';
  /** Null: the platform's own pygrub. */
  readonly bootloader: string | null;
  readonly bootloaderArgs: string;
  readonly kernel: string;
  readonly ramdisk: string;
  readonly args: string;
  readonly mode: 'pv' | 'pvh';
}

export type BootDevice = 'fd' | 'hd' | 'cdrom' | 'network';

export const FROM_DISK: FirmwareBoot = { method: 'firmware', firmware: 'bios', order: ['hd'] };

/** In words of {@link BootMethod}: what a driver must have listed to be given the plan. */
export function bootMethod(plan: BootPlan): BootMethod {
  return plan.method === 'firmware' && plan.firmware === 'uefi' ? 'uefi' : plan.method;
}
