/** What keeps a VM from being restored, and what may be added to it: refused before anything is made, on a fake world. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { Condition } from '../../../lib/model/vm-states';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { CloneWorld, type Furniture } from '../../support/clone-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const DONE = { state: 'done', error: null };

let world: CloneWorld;
afterEach(async () => world.close());

async function open(furniture: Readonly<Record<string, Furniture>>, settings = {}): Promise<void> {
  world = await CloneWorld.open(furniture, { settings });
}

/** It fails so, and the VM is byte for byte what it was, and runs if it ran. */
async function expectRefused(kind: string, more: object, code: string, says: string): Promise<void> {
  const before = [world.whole('vm1'), world.vms.condition('vm1'), world.files('vms')];
  expect(await world.do(kind, 'vm1', more)).toMatchObject({
    state: 'failed',
    error: { code, message: expect.stringContaining(says) },
  });
  expect([world.whole('vm1'), world.vms.condition('vm1'), world.files('vms')]).toEqual(before);
}

wherever('a restore', () => {
  it('of a VM that is neither on nor off is refused with its state; of a suspended one it discards the saved memory when told to', async () => {
    await open({ vm1: { system: 0x22 } });
    for (const condition of ['Paused', 'Suspended', 'Crashed', 'Asleep'] satisfies Condition[]) {
      await world.vms.bring('vm1', condition);
      await expectRefused('restore', {}, 'VM_BAD_POWER_STATE', `it is ${condition}`);
    }
    await world.vms.bring('vm1', 'Suspended');
    expect(await world.do('restore', 'vm1', { discardState: true })).toMatchObject(DONE);
    expect(world.domain('vm1').hasManagedSave).toBe(false);
    expect(world.contents('vm1')).toEqual({ vda: 0 });
    // Its host does not answer, or has no domain of it.
    await world.vms.virsh('undefine', world.vms.domainOf('vm1'));
    expect(await world.do('restore', 'vm1')).toMatchObject({ error: { code: 'DOMAIN_NOT_FOUND' } });
    world.host.stopLibvirtd();
    expect(await world.do('restore', 'vm1')).toMatchObject({ error: { code: 'LIBVIRT_FAILED' } });
    world.host.heal();
  });

  it('of a VM with two system volumes, or with none, is refused, with its disks named', async () => {
    await open({ vm1: { system: 0x22 } });
    const { xml } = world.domain('vm1');
    const disk = /<disk[\s\S]*?<\/disk>/.exec(xml)![0];
    const old = world.disks('vm1').vda!.path;
    const second = disk.replace(old, old.replace('.qcow2', '.root-g7.qcow2')).replace('"vda"', '"vdb"');
    await world.redefine('vm1', xml.replace('</devices>', `${second}</devices>`));
    await expectRefused('restore', {}, 'CONFLICT', 'has 2 system volumes');
    await world.redefine('vm1', xml.replace(disk, ''));
    await expectRefused('restore', {}, 'CONFLICT', 'has 0 system volumes, not one; its disks: none');
  });

  it('that an admin has blocked is refused with his reason, whatever it would be', async () => {
    await open({ vm1: { system: 0x22 } });
    const { frontEnd } = world.vms.site;
    await frontEnd.blockOperation('vm1', 'restore', 'a member of the cluster');
    await world.vms.bring('vm1', 'Running');
    await expectRefused('restore', {}, 'OPERATION_BLOCKED', 'a member of the cluster');
    await frontEnd.blockOperation('vm1', 'restore', null);
    expect(await world.do('restore', 'vm1', { hard: true })).toMatchObject(DONE);
  });

  it('to a size beyond the quota is refused while the guest runs; what makes the VM no larger is not', async () => {
    await open({ vm1: { system: 0x22, data: 0x33 } }, { volumeQuotaMiB: 5 });
    await world.vms.bring('vm1', 'Running');
    await expectRefused('restore', { sizeMiB: 8 }, 'OPERATION_INVALID', 'would be 9 MiB, and 5 are the most');
    await expectRefused('add_volume', { volume: 'more', sizeMiB: 4 }, 'OPERATION_INVALID', 'would be 6 MiB');
    await expectRefused('restore', { sizeMiB: 8, dryRun: true }, 'OPERATION_INVALID', 'would be 9 MiB');
    expect(await world.do('restore', 'vm1', { sizeMiB: 4, hard: true })).toMatchObject(DONE);
    expect(world.disks('vm1')).toMatchObject({ vda: { sizeBytes: 4 << 20 } });
  });

  it('of a computer that nobody knows, from nobody’s host, or of one whose base is missing says so, each by its own code', async () => {
    await open({ vm1: { system: 0x22 }, vm2: {} });
    expect(await world.do('prepare_base', 'vm2')).toMatchObject(DONE);
    expect(await world.do('clone', 'vm1', { base: 'vm2' })).toMatchObject(DONE);
    await expect(world.vms.ask('restore', {}, 'vm9')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await world.vms.bring('vm1', 'Halted');
    const base = world.disks('vm1').vda!.backing!;
    rmSync(base);
    await expectRefused('restore', {}, 'IMAGE_NOT_FOUND', path.basename(base).replace(/\.qcow2$/, ''));
    await world.vms.site.database.change("update computer set vmhostid = null where hostname = 'vm1'");
    expect(await world.do('restore', 'vm1')).toMatchObject({ error: { code: 'COMPUTER_NOT_ASSIGNED' } });
  });

  it('leaves no snapshot dangling: those of the old disks have to go first, and the next one is of the new disks', async () => {
    await open({ vm1: { system: 0x22 } });
    expect(await world.do('snapshot', 'vm1', { name: 'nightly' })).toMatchObject(DONE);
    await expectRefused('restore', {}, 'CONFLICT', 'nightly');
    await world.do('delete_snapshot', 'vm1', { snapshot: 'nightly' });
    expect(await world.do('restore', 'vm1')).toMatchObject(DONE);
    // It is asked for by VM, not by disk: a schedule of them goes on.
    expect(await world.do('snapshot', 'vm1', { name: 'nightly' })).toMatchObject(DONE);
    expect(world.domain('vm1').snapshots).toEqual(['nightly']);
  });
});

wherever('a volume that is added', () => {
  it('has a name that its VM has not, a target that nobody has, and a file that is only its own; of one name two VMs have two files', async () => {
    await open({ vm1: { system: 0x22, data: 0x33 }, vm2: { system: 0x23 } });
    await expectRefused('add_volume', { volume: 'home', sizeMiB: 1 }, 'CONFLICT', "has a volume 'home' already");
    expect(await world.do('add_volume', 'vm1', { volume: 'more', sizeMiB: 1 })).toMatchObject(DONE);
    expect(await world.do('add_volume', 'vm2', { volume: 'more', sizeMiB: 1 })).toMatchObject(DONE);
    expect(Object.keys(world.disks('vm1'))).toEqual(['vda', 'vdc', 'vdd']);
    expect(world.disks('vm1').vdd!.path).not.toBe(world.disks('vm2').vdb!.path);
    // What one VM keeps is no other VM's to attach.
    await expectRefused('add_volume', { volume: 'other' }, 'OPERATION_INVALID', "keeps no data volume 'other'");
  });
});
