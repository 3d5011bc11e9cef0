/** A clone of a clone: it stands on the same base, with what the clone had. And disks that are compacted. On a fake world. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { emptyTrash } from '../../../lib/work/trash-keeper';
import { CloneWorld, type Furniture } from '../../support/clone-world';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const DONE = { state: 'done', error: null };
const FULL: Furniture = { system: 0x11, temporary: 0x12, data: 0x13 };

let world: CloneWorld;
afterEach(async () => world.close());

wherever('a clone of a clone', () => {
  it('stands on the same base and holds what that clone holds, in files of its own, as large; the clone is as it was', async () => {
    world = await CloneWorld.open({ vm1: FULL, vm2: {}, vm3: {}, vm4: { system: 0x44 } });
    expect(await world.do('prepare_base', 'vm1')).toMatchObject(DONE);
    expect(await world.do('clone', 'vm2', { base: 'vm1' })).toMatchObject(DONE);
    execFileSync('qemu-img', ['resize', '-q', '-f', 'qcow2', world.disks('vm2').vda!.path, '2M']);
    world.write(world.disks('vm2').vda!.path, 0x2a);
    world.write(world.disks('vm2').vdc!.path, 0x2c);
    const before = world.whole('vm2');
    await world.vms.bring('vm2', 'Running');
    expect(await world.do('clone', 'vm3', { like: 'vm2' })).toMatchObject({ error: { code: 'VM_BAD_POWER_STATE' } });
    await world.vms.bring('vm2', 'Halted');
    expect(await world.do('clone', 'vm3', { like: 'vm2' })).toMatchObject(DONE);
    expect(world.contents('vm3')).toEqual({ vda: 0x2a, vdb: 0x12, vdc: 0x2c });
    const [own, other] = ['vm3', 'vm2'].map((name) => Object.values(world.disks(name)));
    expect(own!.map(({ backing, sizeBytes }) => ({ backing, sizeBytes }))).toEqual(
      other!.map(({ backing, sizeBytes }) => ({ backing, sizeBytes })),
    );
    const files = [...own!, ...other!].map((disk) => path.basename(disk.path));
    expect(new Set(files).size).toBe(6);
    expect(world.whole('vm2')).toBe(before);
    const { id } = await world.vms.site.computer('vm1');
    expect((await world.vms.site.store.clonesOf(id)).map(({ shortName }) => shortName)).toEqual(['vm2', 'vm3']);
    // What is no clone has no base to share; and it is one or the other.
    for (const [more, code] of [
      [{ like: 'vm4' }, 'OPERATION_INVALID'],
      [{ like: 'vm9' }, 'NOT_FOUND'],
      [{ like: 'vm2', base: 'vm1' }, 'OPERATION_INVALID'],
      [{}, 'OPERATION_INVALID'],
    ] as const) {
      expect([more, (await world.do('clone', 'vm4', more)).error?.code]).toEqual([more, code]);
    }
    expect(world.contents('vm4')).toEqual({ vda: 0x44 });
  });
});

wherever('disks that are compacted', () => {
  it('hold the same and take less; the old ones are the backup, until the trash is emptied; of a VM that is on or suspended it is refused', async () => {
    world = await CloneWorld.open({ vm1: { system: 0x22, data: 0x33 } });
    const root = world.disks('vm1').vda!;
    const io = (command: string) => execFileSync('qemu-io', ['-f', 'qcow2', '-c', command, root.path]);
    io('write -P 7 128k 512k');
    io('write -P 0 128k 512k'); // what the guest deleted, and its file system zeroed
    for (const condition of ['Running', 'Suspended'] as const) {
      await world.vms.bring('vm1', condition);
      expect(await world.do('compact', 'vm1')).toMatchObject({
        error: { code: 'VM_BAD_POWER_STATE', message: expect.stringContaining(`it is ${condition}`) },
      });
    }
    await world.vms.bring('vm1', 'Halted');
    const planned = await world.do('compact', 'vm1', { dryRun: true });
    expect(planned).toMatchObject({
      ...DONE,
      result: { dryRun: true, makes: Array(2).fill(expect.stringContaining('(thin)')) },
    });
    const { id, ...operation } = await world.do('compact', 'vm1');
    expect(operation).toMatchObject(DONE);
    expect((operation.result as { gainedKiB: number }).gainedKiB).toBeGreaterThanOrEqual(512);
    expect(world.contents('vm1')).toEqual({ vda: 0x22, vdc: 0x33 });
    expect(world.disks('vm1').vda).toMatchObject({ backing: root.backing, sizeBytes: root.sizeBytes });
    execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', world.disks('vm1').vda!.path]);
    const backup = world.host.path('vms', '.trash', `vm1.${id}`, path.basename(root.path));
    execFileSync('qemu-img', ['compare', '-q', backup, world.disks('vm1').vda!.path]);
    expect(await world.do('undo', 'vm1')).toMatchObject(DONE);
    expect(world.disks('vm1').vda!.path).toBe(root.path);
    expect(await world.do('compact', 'vm1')).toMatchObject(DONE);
    const { site, lease } = world.vms;
    const { store, hosts } = site.adapters();
    await site.database.change('update provisiond_trash set expires = 1');
    await emptyTrash({ store, hosts }, lease, site.log);
    expect([existsSync(backup), world.contents('vm1').vda]).toEqual([false, 0x22]);
  });
});
