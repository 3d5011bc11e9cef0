/**
 * Guests of 512 bytes: boot sectors that sleep until the timer ticks and look at the ACPI power button. They boot in a
 * second, and each has manners of its own: what it does when the button is pressed.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { METADATA_NAMESPACE } from '../../lib/model/identity';
import type { Site } from './site';

/** Switches off; does nothing; panics (pvpanic); goes to sleep (S3). */
export type Manners = 'obedient' | 'deaf' | 'panicking' | 'sleeping';

/** x86, real mode. PM registers of the i440FX as its BIOS sets them: status 0x600, enable 0x602, control 0x604. */
const LISTEN = [
  ...[0xfb], // sti
  ...[0xba, 0x02, 0x06, 0xb8, 0x00, 0x01, 0xef], // out 0x602, 0x100: the button is heard
  ...[0xf4], // hlt: until the timer ticks
  ...[0xba, 0x00, 0x06, 0xed, 0xf6, 0xc4, 0x01, 0x74, 0xf6], // in 0x600; test the button; back to hlt
  ...[0xb8, 0x00, 0x01, 0xef], // out 0x600, 0x100: heard
];
const LOOP = 8;

const outWord = (value: number) => [0xba, 0x04, 0x06, 0xb8, value & 0xff, value >> 8, 0xef];
const ACTIONS: Readonly<Record<Manners, readonly number[]>> = {
  obedient: outWord(0x2000), // S5
  deaf: [0x90],
  panicking: [0xba, 0x05, 0x05, 0xb0, 0x01, 0xee], // out 0x505, 1
  sleeping: outWord(0x2400), // S3
};

export function bootSector(manners: Manners): Buffer {
  const code = [...LISTEN, ...ACTIONS[manners]];
  code.push(0xeb, (LOOP - (code.length + 2)) & 0xff);
  const sector = Buffer.alloc(512);
  sector.set(code);
  sector.set([0x55, 0xaa], 510);
  return sector;
}

/** What a load would have left: a domain of the computer with metadata of ours. @returns its name */
export async function defineTinyGuest(site: Site, computer: string, manners: Manners): Promise<string> {
  const row = await site.database('computer').where({ hostname: computer }).first<{ id: number }>();
  const { imageId, revisionId, fileName } = site.image;
  const base = `${computer}_${imageId}-v0`;
  const disk = path.join(site.vms, `${base}.qcow2`);
  const raw = path.join(site.folder, `${base}.raw`);
  writeFileSync(raw, Buffer.concat([bootSector(manners), Buffer.alloc((1 << 20) - 512)]));
  execFileSync('qemu-img', ['convert', '-O', 'qcow2', raw, disk]);
  chmodSync(disk, 0o666);
  rmSync(raw);
  const name = `${computer}_TinyLinux_${imageId}-v0`;
  const identity = {
    managementNodeId: site.managementNodeId,
    computerId: row.id,
    computerName: computer,
    ...{ requestId: 0, reservationId: 0, imageId, imageRevisionId: revisionId, imageName: fileName, loadId: 'tiny' },
  };
  const attributes = Object.entries(identity).map(([key, value]) => `${key}="${value}"`);
  const xml = `<domain type='qemu'>
  <name>${name}</name>
  <metadata><provisiond:identity xmlns:provisiond="${METADATA_NAMESPACE}" ${attributes.join(' ')}/></metadata>
  <memory unit='MiB'>16</memory><vcpu>1</vcpu><os><type machine='pc'>hvm</type></os><features><acpi/></features>
  <pm><suspend-to-mem enabled='yes'/></pm>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>preserve</on_crash>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${disk}'/><target dev='vda' bus='virtio'/></disk>
    <panic model='isa'/>
  </devices>
</domain>`;
  const file = path.join(site.folder, `${base}.xml`);
  writeFileSync(file, xml);
  await site.virsh('define', file);
  rmSync(file);
  return name;
}
