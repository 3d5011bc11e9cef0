/** A guest on the lab's Xen host as a load would have left it, on a kernel of the host: up in half the time of a load. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { METADATA_NAMESPACE } from '../../lib/model/identity';
import type { Condition } from '../../lib/model/vm-states';
import { eventually } from './eventually';
import type { Site } from './site';

/** Of the lab, on a disk of dom0's. */
const KERNEL = '/mnt/lab/guest.qcow2.kernel';
const INITRD = '/mnt/lab/guest.qcow2.initrd';

export class XenGuest {
  constructor(
    private readonly site: Site,
    readonly domain: string,
  ) {}

  /** A domain of the computer that is off. @param mode paravirtual, with the processor's help or without */
  static async define(site: Site, computer: string, mode: 'pv' | 'pvh'): Promise<XenGuest> {
    const row = await site.database('computer').where({ hostname: computer }).first<{ id: number }>();
    const { imageId, revisionId, fileName } = site.image;
    const base = `${computer}_${imageId}-v0`;
    const disk = path.posix.join(site.vms, `${base}.qcow2`);
    await site.vmHost.run('qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', site.masterFile, disk);
    const name = `${computer}_TinyLinux_${imageId}-v0`;
    const identity = {
      ...{ managementNodeId: site.managementNodeId, computerId: row.id, computerName: computer, requestId: 0 },
      ...{ reservationId: 0, imageId, imageRevisionId: revisionId, imageName: fileName, loadId: 'xen' },
    };
    const attributes = Object.entries(identity).map(([key, value]) => `${key}="${value}"`);
    const xml = `<domain type='xen'>
  <name>${name}</name>
  <metadata><provisiond:identity xmlns:provisiond="${METADATA_NAMESPACE}" ${attributes.join(' ')}/></metadata>
  <memory unit='MiB'>128</memory><vcpu>1</vcpu>
  <os><type>${mode === 'pvh' ? 'xenpvh' : 'linux'}</type><kernel>${KERNEL}</kernel><initrd>${INITRD}</initrd>
    <cmdline>console=hvc0 net.ifnames=0 mitigations=off sysrq_always_enabled</cmdline></os>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>preserve</on_crash>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${disk}'/><target dev='xvda' bus='xen'/></disk>
    <console type='pty'><target type='xen'/></console>
  </devices>
</domain>`;
    const folder = mkdtempSync(path.join(site.folder, 'xml-'));
    const file = path.join(folder, `${base}.xml`);
    writeFileSync(file, xml);
    await site.vmHost.put(file, `/tmp/${base}.xml`);
    rmSync(folder, { recursive: true });
    await site.virsh('define', `/tmp/${base}.xml`);
    return new XenGuest(site, name);
  }

  /** How often it has booted to its log-in, as it says itself. */
  async boots(): Promise<number> {
    const log = await this.site.vmHost.run('sh', '-c', 'cat "$1" 2>/dev/null || true', 'sh', this.log);
    return [...log.matchAll(/login:/g)].length;
  }

  async untilBooted(boots: number): Promise<void> {
    await eventually(async () => {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      return (await this.boots()) >= boots;
    }, 240);
  }

  /** Its kernel panics, at the word of the host; Debian's would not obey it if it were not told to. */
  async panic(): Promise<void> {
    await this.site.vmHost.run('xl', 'sysrq', this.domain, 'c');
    await eventually(async () => (await this.condition()) === 'Crashed', 60);
  }

  async state(): Promise<string> {
    return (await this.site.virsh('domstate', this.domain)).trim();
  }

  /** In words of the table. */
  async condition(): Promise<Condition> {
    const state = await this.state();
    if (state === 'shut off') {
      // libvirt's word for one that is kept after its crash as well; Xen's own is crashed.
      if (/^\S+ +\d+ .* \S*c\S* /m.test(await this.listed())) return 'Crashed';
      return /Managed save: +yes/.test(await this.site.virsh('dominfo', this.domain)) ? 'Suspended' : 'Halted';
    }
    return ({ paused: 'Paused', crashed: 'Crashed', pmsuspended: 'Asleep' } as const)[state] ?? 'Running';
  }

  /** Its line of `xl list`, with the letters of its state; empty when Xen has no such domain. */
  private listed(): Promise<string> {
    return this.site.vmHost.run('sh', '-c', 'xl list "$1" 2>/dev/null | sed 1d', 'sh', this.domain);
  }

  private get log(): string {
    return `/var/log/xen/guest-${this.domain}.log`;
  }
}
