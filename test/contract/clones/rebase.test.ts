/** Clones that move to another base, one and all, on VMs of a fake world: real files and headers, a libvirt of files. */
import path from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { CloneWorld, type Furniture } from '../../support/clone-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

const DONE = { state: 'done', error: null };
const FIRST: Furniture = { system: 0xb1, temporary: 0xb2, data: 0xb3, drive: true };
const SECOND: Furniture = { system: 0xc1, temporary: 0xc2, data: 0xc3, drive: true };

/** All of them with `npm run test:life`. */
const some = <T>(all: readonly T[]): readonly T[] => (process.env.PROVISIOND_LIFE === 'long' ? all : all.slice(0, 1));

let world: CloneWorld;
afterEach(async () => world.close());

/** Bases `vm1` and `vm2`, and clones of the first. */
async function open(clones: readonly string[], first = FIRST, second = SECOND): Promise<void> {
  const furniture = Object.fromEntries(clones.map((name) => [name, first.drive ? { drive: true as const } : {}]));
  world = await CloneWorld.open({ vm1: first, vm2: second, ...furniture });
  for (const name of ['vm1', 'vm2']) expect(await world.do('prepare_base', name)).toMatchObject(DONE);
  for (const name of clones) expect(await world.do('clone', name, { base: 'vm1' })).toMatchObject(DONE);
}

const clonesOf = async (name: string) => {
  const { store } = world.vms.site;
  return (await store.clonesOf((await world.vms.site.computer(name)).id)).map(({ shortName }) => shortName);
};

wherever('rebase of a clone', () => {
  it('shows the new base in its system and temporary volumes and its own pattern in its data; every backing file is of the new base', async () => {
    await open(['vm3']);
    const data = world.disks('vm3').vdc!.path;
    world.write(data, 0xdd);
    world.write(world.disks('vm3').vda!.path, 0xaa);
    expect(await world.do('rebase', 'vm3', { base: 'vm2' })).toMatchObject(DONE);
    expect(world.contents('vm3')).toEqual({ vda: 0xc1, vdb: 0xc2, vdc: 0xdd });
    expect(world.disks('vm3').vdc!.path).toBe(data);
    const backings = Object.values(world.disks('vm3')).map(({ backing }) => backing && path.basename(backing));
    expect(backings).toEqual([expect.stringMatching(/^vm2\.base/), expect.stringMatching(/^vm2\.base/), null]);
    expect(world.domain('vm3').xml).toContain(world.iso);
    expect([await clonesOf('vm1'), await clonesOf('vm2')]).toEqual([[], ['vm3']]);
    expect(await world.do('undo', 'vm3')).toMatchObject(DONE);
    expect(world.contents('vm3')).toEqual({ vda: 0xaa, vdb: 0xb2, vdc: 0xdd });
    expect([await clonesOf('vm1'), await clonesOf('vm2')]).toEqual([['vm3'], []]);
  });

  it.each(
    some<readonly [string, Furniture]>([
      ['has no data volume', { system: 0xc1, temporary: 0xc2, drive: true as const }],
      ['has a data volume more', { ...SECOND, temporary: undefined }],
      ['has no drive', { system: 0xc1, temporary: 0xc2, data: 0xc3 }],
    ]),
  )('onto a base that %s is refused, and the clone is byte for byte what it was', async (_what, second) => {
    await open(['vm3'], FIRST, second);
    const before = world.whole('vm3');
    expect(await world.do('rebase', 'vm3', { base: 'vm2' })).toMatchObject({
      state: 'failed',
      error: { code: 'CONFLICT', message: expect.stringContaining('volume outline different') },
    });
    expect(world.whole('vm3')).toBe(before);
  });

  it('that runs is refused unless it may be stopped; then it is, and runs again on the new base; what is no clone is refused', async () => {
    await open(['vm3'], { system: 0xb1 }, { system: 0xc1 });
    await world.vms.bring('vm3', 'Running');
    const refused = await world.do('rebase', 'vm3', { base: 'vm2' });
    expect(refused).toMatchObject({ state: 'failed', error: { code: 'VM_BAD_POWER_STATE' } });
    expect(world.vms.condition('vm3')).toBe('Running');
    expect(await world.do('rebase', 'vm3', { base: 'vm2', stop: true })).toMatchObject(DONE);
    expect(world.vms.condition('vm3')).toBe('Running');
    expect(world.contents('vm3')).toEqual({ vda: 0xc1 });
    await world.do('flatten', 'vm3');
    await world.vms.bring('vm3', 'Halted');
    expect(await world.do('rebase', 'vm3', { base: 'vm1' })).toMatchObject({
      state: 'failed',
      error: { code: 'OPERATION_INVALID', message: expect.stringContaining('is not a clone') },
    });
  });

  it('whose new base does not start goes back to the old one, and starts that', async () => {
    await open(['vm3'], { system: 0xb1 }, { system: 0xc1 });
    await world.vms.bring('vm3', 'Running');
    world.host.fail('virsh start', { times: 1, message: 'error: the kernel is not bootable' });
    expect(await world.do('rebase', 'vm3', { base: 'vm2', stop: true })).toMatchObject({ state: 'failed' });
    expect(world.contents('vm3')).toEqual({ vda: 0xb1 });
    expect(world.vms.condition('vm3')).toBe('Running');
    expect(await clonesOf('vm1')).toEqual(['vm3']);
  });
});

wherever('restore of a clone', () => {
  it('begins its system and temporary volumes anew on the base that it has, and leaves its data as it was changed', async () => {
    await open(['vm3']);
    const targets = Object.keys(world.disks('vm3'));
    for (const { path: file } of Object.values(world.disks('vm3'))) world.write(file, 0xee);
    expect(await world.do('restore', 'vm3')).toMatchObject(DONE);
    expect(world.contents('vm3')).toEqual({ vda: 0xb1, vdb: 0xb2, vdc: 0xee });
    expect(Object.keys(world.disks('vm3'))).toEqual(targets);
    expect(await clonesOf('vm1')).toEqual(['vm3']);
  });
});

wherever('rebase of all clones of a base', () => {
  it('moves those that can be moved, says who failed and why, and who asks again moves only those that are left', async () => {
    await open(['vm3', 'vm4', 'vm5'], { system: 0xb1 }, { system: 0xc1 });
    await world.vms.bring('vm4', 'Running');
    const bulk = await world.vms.ended(await world.vms.ask('rebase_clones', { base: 'vm2' }, 'vm1'), 90);
    expect(bulk).toMatchObject({
      state: 'failed',
      error: { message: expect.stringContaining('1 of 3 clones stay on vm1; failed: vm4') },
      result: {
        total: 3,
        done: 2,
        failed: [{ computer: 'vm4', error: expect.stringContaining('Running') }],
        pending: [],
      },
    });
    expect([await clonesOf('vm1'), await clonesOf('vm2')]).toEqual([['vm4'], ['vm3', 'vm5']]);
    expect(world.contents('vm4')).toEqual({ vda: 0xb1 });
    expect(world.vms.condition('vm4')).toBe('Running');
    const again = await world.vms.ended(await world.vms.ask('rebase_clones', { base: 'vm2', stop: true }, 'vm1'), 90);
    expect(again).toMatchObject({ ...DONE, result: { total: 1, done: 1, failed: [] } });
    expect(await clonesOf('vm2')).toEqual(['vm3', 'vm4', 'vm5']);
  });

  it('onto one of them, which became a base itself, moves the others and leaves that one what it is', async () => {
    await open(['vm3', 'vm4'], { system: 0xb1 }, { system: 0xc1 });
    world.write(world.disks('vm3').vda!.path, 0xd1);
    expect(await world.do('prepare_base', 'vm3')).toMatchObject(DONE);
    const before = world.whole('vm3');
    const bulk = await world.vms.ended(await world.vms.ask('rebase_clones', { base: 'vm3' }, 'vm1'), 90);
    expect(bulk).toMatchObject({ ...DONE, result: { total: 1, done: 1, failed: [] } });
    expect([await clonesOf('vm1'), await clonesOf('vm3')]).toEqual([[], ['vm4']]);
    expect([world.contents('vm4').vda, world.whole('vm3')]).toEqual([0xd1, before]);
  });

  it('with a canary that fails moves none of the others', async () => {
    await open(['vm3', 'vm4', 'vm5'], { system: 0xb1 }, { system: 0xc1 });
    await world.vms.bring('vm3', 'Running');
    const bulk = await world.vms.ended(await world.vms.ask('rebase_clones', { base: 'vm2', canary: true }, 'vm1'), 90);
    expect(bulk).toMatchObject({ state: 'failed', result: { done: 0, pending: ['vm4', 'vm5'] } });
    expect(await clonesOf('vm1')).toEqual(['vm3', 'vm4', 'vm5']);
    expect(world.contents('vm5')).toEqual({ vda: 0xb1 });
  });

  it('that a daemon left behind is gone on with by its successor: each clone is moved once', async () => {
    await open(['vm3', 'vm4'], { system: 0xb1 }, { system: 0xc1 });
    const bulk = await world.vms.ask('rebase_clones', { base: 'vm2', parallel: 1 }, 'vm1');
    await world.vms.reached(bulk, 'move the clones');
    await world.vms.inbox.stop('the daemon ends');
    await world.vms.startInbox();
    expect(await world.vms.ended(bulk, 90)).toMatchObject({ ...DONE, result: { total: 2, done: 2 } });
    const moves = (await world.vms.site.frontEnd.listOperations(50)).filter(({ kind }) => kind === 'rebase');
    expect(moves.map(({ computer, state }) => `${computer} ${state}`).sort()).toEqual(['vm3 done', 'vm4 done']);
  });
});
