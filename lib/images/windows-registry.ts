/**
 * What a Windows that was made on VMware must unlearn before it boots on KVM: `update_windows_image` of VCL's libvirt module. The
 * registry of a disk has no `CurrentControlSet`: that is made when Windows starts.
 */

const SERVICES = String.raw`HKEY_LOCAL_MACHINE\SYSTEM\ControlSet001\Services`;
const CRITICAL_DEVICES = String.raw`HKEY_LOCAL_MACHINE\SYSTEM\ControlSet001\Control\CriticalDeviceDatabase`;

/** Drivers and services of VMware's tools; one that is started without VMware stops the boot. */
const OF_VMWARE = ['VClone', 'vmci', 'vmmouse', 'vmscsi', 'VMTools', 'vmx_svga', 'vmxnet'];
const DISABLED = 4;
const AT_BOOT = 0;

/** Windows 5.x has a driver for what is in this list alone: the IDE channels and the controller of QEMU's `pc` (PIIX). */
const IDE_DEVICES: readonly (readonly [device: string, service: string])[] = [
  ['primary_ide_channel', 'atapi'],
  ['secondary_ide_channel', 'atapi'],
  ['*pnp0600', 'atapi'],
  ['pci#ven_8086&dev_7010', 'IntelIde'],
  ['pci#ven_8086&dev_7111', 'IntelIde'],
  ['pci#cc_0101', 'PCIIde'],
];
const HDC_CLASS = '{4D36E96A-E325-11CE-BFC1-08002BE10318}';

/** Groups decide when a driver is loaded; files are those that Windows 5.x comes with. */
const IDE_SERVICES: readonly (readonly [service: string, group: string, file: string])[] = [
  ['atapi', 'SCSI miniport', 'atapi.sys'],
  ['IntelIde', 'System Bus Extender', 'intelide.sys'],
  ['PCIIde', 'System Bus Extender', 'pciide.sys'],
];

/**
 * Text for `virt-win-reg --merge`.
 * @param modulePackage of the image's OS; those of Windows 2000, XP and 2003 are `…::Windows::Version_5…`
 * @returns null for what is no Windows
 */
export function windowsRegistryChanges(os: { readonly type: string; readonly modulePackage: string }): string | null {
  if (!/windows/i.test(os.type)) return null;
  const changes = OF_VMWARE.map((name) => key(`${SERVICES}\\${name}`, { Start: DISABLED }));
  if (/::Version_5\b|::Version_5_|::XP\b|::2003\b/.test(os.modulePackage)) {
    changes.push(
      ...IDE_DEVICES.map(([device, service]) =>
        key(`${CRITICAL_DEVICES}\\${device}`, { ClassGUID: HDC_CLASS, Service: service }),
      ),
      ...IDE_SERVICES.map(([service, group, file]) =>
        key(`${SERVICES}\\${service}`, {
          ErrorControl: 1,
          Group: group,
          Start: AT_BOOT,
          Type: 1,
          ImagePath: `system32\\DRIVERS\\${file}`,
        }),
      ),
    );
  }
  return `Windows Registry Editor Version 5.00\n\n${changes.join('\n')}`;
}

function key(path: string, values: Readonly<Record<string, string | number>>): string {
  const lines = Object.entries(values).map(([name, value]) => {
    if (typeof value === 'number') return `"${name}"=dword:${value.toString(16).padStart(8, '0')}`;
    return `"${name}"="${value.replaceAll('\\', '\\\\')}"`;
  });
  return `[${path}]\n${lines.join('\n')}\n`;
}
