/** What a domain's definition says of what its VM can. */
import { describe, expect, it } from '@jest/globals';
import { diskFiles } from '../../../lib/libvirt/look';
import { featuresOf } from '../../../lib/libvirt/vm-sight';
import { allowedOperations } from '../../../lib/model/vm-rules';
import { parseXml } from '../../../lib/xml';

const DISK = "<disk type='file' device='disk'><source file='/vms/vm1.qcow2'/><target dev='vda'/></disk>";
const domain = (devices: string, features = '<features><acpi/></features>', type = 'kvm') =>
  parseXml(`<domain type='${type}'><name>vm1</name>${features}<devices>${devices}</devices></domain>`, 'a domain')
    .domain!;
const allowedFor = (...parts: Parameters<typeof domain>) =>
  allowedOperations({
    power: { state: 'Running', guestSleeping: false },
    features: featuresOf(domain(...parts)),
    blocked: new Map(),
    underWay: [],
    inHand: null,
  });

describe('what a VM can, by its definition', () => {
  it('is everything for an ordinary one, also with a drive that has no CD in it', () => {
    const drive = "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>";
    expect(allowedFor(DISK + drive)).toEqual(allowedFor(DISK));
    expect(allowedFor(DISK)).toEqual(expect.arrayContaining(['clean_shutdown', 'suspend', 'snapshot']));
    expect(diskFiles(domain(DISK + drive))).toEqual(['/vms/vm1.qcow2']);
  });

  it('does not include being asked to shut down where it has neither ACPI nor an agent', () => {
    expect(allowedFor(DISK, '')).not.toContain('clean_shutdown');
    expect(allowedFor(DISK, '')).toEqual(expect.arrayContaining(['shutdown', 'hard_shutdown']));
    const agent = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>";
    expect(allowedFor(DISK + agent, '')).toContain('clean_shutdown');
  });

  it('does not include saving its memory where devices of the host are given to it', () => {
    const allowed = allowedFor(`${DISK}<hostdev mode='subsystem' type='pci'/>`);
    for (const kind of ['suspend', 'snapshot', 'checkpoint']) expect(allowed).not.toContain(kind);
    expect(allowed).toContain('pause');
  });

  it('does not include snapshots on Xen, whose libvirt has none', () => {
    expect(allowedFor(DISK, '', 'xen')).not.toContain('snapshot');
    expect(allowedFor(DISK, '', 'xen')).toEqual(expect.arrayContaining(['suspend', 'clean_shutdown']));
  });
});
