/** Firmware that a host has for its guests besides the BIOS that comes with every hypervisor. */
import { ProvisiondError } from '../errors';
import type { Host } from '../host/host';
import { childrenOf, firstOf, parseXml } from '../xml';
import { virshError } from './virsh';

/**
 * UEFI is a package of its own (ovmf), which libvirt looks for when a domain is defined: the disks would be made by then.
 * @param domainType of the guests, as `<domain type=…>` has it
 * @throws BOOT_UNSUPPORTED when the host has none; LIBVIRT_FAILED
 */
export async function requireUefi(host: Host, domainType: string): Promise<void> {
  const argv = ['virsh', '-q', 'domcapabilities', '--virttype', domainType];
  const result = await host.run(argv, { expect: 'any' });
  const doing = `asking libvirt of host ${host.name} for UEFI`;
  if (result.exitCode !== 0) throw virshError('LIBVIRT_FAILED', doing, result);
  const { domainCapabilities } = parseXml(result.stdout, `what host ${host.name} has for ${domainType} guests`);
  const firmware = childrenOf(firstOf(domainCapabilities, 'os'), 'enum').filter(({ $ }) => $?.name === 'firmware');
  if (firmware.flatMap((known) => childrenOf(known, 'value')).some(({ _ }) => _ === 'efi')) return;
  throw new ProvisiondError('BOOT_UNSUPPORTED', `host ${host.name} has no UEFI for its ${domainType} guests`, {
    hint: 'Install it on the host (Debian: ovmf), or choose other boot parameters',
  });
}
