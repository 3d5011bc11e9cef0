/** `restore` of VMs that were installed from an ISO image, and of others that are to be: kinds do not mix. On a fake world. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { CloneWorld } from '../../support/clone-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const DONE = { state: 'done', error: null };

let world: CloneWorld;
afterEach(async () => world.close());

/** As an admin installs one: made from no image, with a drive. @param media in the drive; null: nothing */
async function openInstalled(media: string | null): Promise<void> {
  world = await CloneWorld.open({ vm1: { system: 0x22, data: 0x33, drive: true } });
  const edited = world
    .domain('vm1')
    .xml.replace(/imageRevisionId="\d+"/, 'imageRevisionId="1"')
    .replace(/imageId="\d+"/, 'imageId="1"');
  await world.redefine('vm1', media === null ? edited.replace(/<source file="[^"]*\.iso"\/>/, '') : edited);
}

wherever('restore of a VM that was installed from an ISO image', () => {
  it('from another one gives it an empty system volume of the same size, and that one in its drive; its data stays; undo gives all back', async () => {
    await openInstalled('a.iso');
    const other = world.host.path('datastore', 'other.iso');
    writeFileSync(other, 'another ISO image');
    const { vda, vdc } = world.disks('vm1');
    const { uuid } = world.domain('vm1');
    expect(await world.do('restore', 'vm1', { iso: 'other.iso' })).toMatchObject(DONE);
    expect(world.contents('vm1')).toEqual({ vda: 0, vdc: 0x33 });
    expect(world.disks('vm1')).toMatchObject({ vda: { sizeBytes: vda!.sizeBytes, backing: null }, vdc });
    expect(world.domain('vm1').xml).toContain(other);
    expect(world.domain('vm1').xml).not.toContain(world.iso);
    expect(world.domain('vm1').uuid).toBe(uuid);
    // Without one named: the same again.
    world.write(world.disks('vm1').vda!.path, 0x44);
    expect(await world.do('restore', 'vm1')).toMatchObject(DONE);
    expect([world.contents('vm1').vda, world.domain('vm1').xml.includes(other)]).toEqual([0, true]);
    expect([await world.do('undo', 'vm1')]).toMatchObject([DONE]);
    expect(world.contents('vm1')).toEqual({ vda: 0x44, vdc: 0x33 });
  });

  it('from an image is refused, and nothing is changed', async () => {
    await openInstalled('a.iso');
    const before = world.whole('vm1');
    expect(await world.do('restore', 'vm1', { image: 'Tiny Linux' })).toMatchObject({
      state: 'failed',
      error: { code: 'OPERATION_INVALID', message: expect.stringContaining('cannot be made from another kind') },
    });
    expect(await world.do('restore', 'vm1', { iso: 'nowhere.iso' })).toMatchObject({
      state: 'failed',
      error: { code: 'IMAGE_NOT_FOUND', message: expect.stringContaining('nowhere.iso') },
    });
    expect(world.whole('vm1')).toBe(before);
  });

  it('with nothing in its drive and none named is refused', async () => {
    await openInstalled(null);
    const before = world.whole('vm1');
    expect(await world.do('restore', 'vm1')).toMatchObject({
      state: 'failed',
      error: { code: 'OPERATION_INVALID', message: expect.stringContaining('no ISO image in its drive') },
    });
    expect(world.whole('vm1')).toBe(before);
  });
});

wherever('restore of a VM that was made from an image', () => {
  it('from an ISO image is refused: its definition and every byte of its disks stay', async () => {
    world = await CloneWorld.open({ vm1: { system: 0x22, drive: true } });
    await world.vms.bring('vm1', 'Running');
    const before = world.whole('vm1');
    expect(await world.do('restore', 'vm1', { iso: 'a.iso' })).toMatchObject({
      state: 'failed',
      error: { code: 'OPERATION_INVALID', message: expect.stringContaining('was made from an image') },
    });
    expect([world.whole('vm1'), world.vms.condition('vm1')]).toEqual([before, 'Running']);
  });
});

wherever('a disk of a VM that is not to be put where a file is', () => {
  it('stays in the trash: undo is refused while somebody’s file is in its place, and both files stay what they are', async () => {
    world = await CloneWorld.open({ vm1: { system: 0x22 } });
    const old = world.disks('vm1').vda!.path;
    const { id } = await world.do('restore', 'vm1');
    const kept = world.host.path('vms', '.trash', `vm1.${id}`, old.slice(old.lastIndexOf('/') + 1));
    writeFileSync(old, 'of somebody else');
    const before = world.whole('vm1');
    expect(await world.do('undo', 'vm1')).toMatchObject({ state: 'failed', error: { code: 'CONFLICT' } });
    expect(readFileSync(old, 'utf8')).toBe('of somebody else');
    expect([existsSync(kept), world.read(kept), world.whole('vm1')]).toEqual([true, 0x22, before]);
    // It is not lost: when the place is free it can be brought back.
    await world.host.run(['rm', old]);
    expect(await world.do('undo', 'vm1')).toMatchObject(DONE);
    expect(world.contents('vm1')).toEqual({ vda: 0x22 });
  });
});
