/** Bases and clones on VMs of a fake world: real files and headers, a libvirt of files. */
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { CloneWorld, type Furniture } from '../../support/clone-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

const FULL: Furniture = { system: 0x11, temporary: 0x12, data: 0x13, drive: true };

let world: CloneWorld;
afterEach(async () => world.close());

const open = async (furniture: Readonly<Record<string, Furniture>>) => (world = await CloneWorld.open(furniture));
const baseFiles = () => world.files('datastore').filter((file) => file.includes('.base-'));
const DONE = { state: 'done', error: null };

wherever('a base', () => {
  it('is read-only files whose names carry the types of its volumes; its own disks stand on them, and it is never started', async () => {
    await open({ vm1: FULL });
    const { id, ...operation } = await world.do('prepare_base', 'vm1');
    expect(operation).toMatchObject(DONE);
    const names = ['data-home', 'root', 'tmp-scratch'].map((token) => `vm1.base-${id}.${token}.qcow2`);
    expect(baseFiles()).toEqual(names);
    for (const name of names) {
      expect(statSync(world.host.path('datastore', name)).mode & 0o777).toBe(0o444);
      expect(world.look(world.host.path('datastore', name)).backing).toBeNull();
    }
    const records = await world.vms.site.store.listBaseFiles();
    expect(records.map((file) => path.basename(file.path))).toEqual(expect.arrayContaining(names));
    const on = (token: string) => ({
      backing: world.host.path('datastore', `vm1.base-${id}.${token}.qcow2`),
      backingFormat: 'qcow2',
    });
    expect(world.disks('vm1')).toMatchObject({ vda: on('root'), vdb: on('tmp-scratch'), vdc: on('data-home') });
    expect(world.contents('vm1')).toEqual({ vda: 0x11, vdb: 0x12, vdc: 0x13 });
    expect(world.domain('vm1').xml).toContain(world.iso);
    expect(await world.do('start', 'vm1')).toMatchObject({
      state: 'failed',
      error: { code: 'OPERATION_BLOCKED', message: expect.stringContaining('it is a base') },
    });
    expect(world.vms.condition('vm1')).toBe('Halted');
    expect((await world.vms.site.frontEnd.showVm('vm1')).allowed).not.toContain('start');
  });

  it('is prepared from a running VM by stopping it first, and ends off', async () => {
    await open({ vm1: { system: 0x11 } });
    await world.vms.bring('vm1', 'Running');
    expect(await world.do('prepare_base', 'vm1')).toMatchObject(DONE);
    expect(world.vms.condition('vm1')).toBe('Halted');
    expect(world.contents('vm1')).toEqual({ vda: 0x11 });
  });

  it('is not begun when one of its files exists already: nothing is half done', async () => {
    await open({ vm1: FULL });
    await world.vms.bring('vm1', 'Running');
    const taken = world.host.path('datastore', 'vm1.base-1.tmp-scratch.qcow2');
    writeFileSync(taken, 'of somebody else');
    const before = world.whole('vm1');
    expect(await world.do('prepare_base', 'vm1')).toMatchObject({
      id: 1,
      state: 'failed',
      error: { code: 'CONFLICT', message: expect.stringContaining(`${taken} exists`) },
    });
    expect(world.whole('vm1')).toBe(before);
    expect(world.vms.condition('vm1')).toBe('Running');
    expect(baseFiles()).toEqual([path.basename(taken)]);
    expect(readFileSync(taken, 'utf8')).toBe('of somebody else');
  });

  it.each([
    ['is missing', (file: string) => rmSync(file), 'missing'],
    ['is garbage', (file: string) => writeFileSync(file, 'garbage'), 'home'],
  ])('is not begun when a disk %s', async (_what, spoil, says) => {
    await open({ vm1: FULL });
    spoil(world.domain('vm1').disks.find((file) => file.includes('data-home'))!);
    expect(await world.do('prepare_base', 'vm1')).toMatchObject({
      state: 'failed',
      error: { message: expect.stringContaining(says) },
    });
    expect(baseFiles()).toEqual([]);
    expect(await world.vms.site.store.vmBases()).toEqual([]);
  });

  it('is prepared once, and not from a VM with snapshots; of two that ask at once with one key one does the work for both', async () => {
    await open({ vm1: { system: 0x11 } });
    await world.vms.virsh('snapshot-create-as', world.vms.domainOf('vm1'), 's1');
    expect(await world.do('prepare_base', 'vm1')).toMatchObject({ state: 'failed', error: { code: 'CONFLICT' } });
    await world.vms.virsh('snapshot-delete', world.vms.domainOf('vm1'), 's1');
    const wish = { kind: 'prepare_base', computer: 'vm1', arguments: {}, requestedBy: 'two', idempotencyKey: 'k' };
    const both = await Promise.all([1, 2].map(() => world.vms.site.frontEnd.addOperation(wish)));
    expect(both[0]!.id).toBe(both[1]!.id);
    expect(await world.vms.ended(both[0]!)).toMatchObject(DONE);
    // Who asks in the second in which it ended still counts as one who asked with them.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    expect(await world.do('prepare_base', 'vm1')).toMatchObject({ state: 'failed' });
    expect(baseFiles()).toHaveLength(1);
  });

  it('stays while it has clones; when they are gone it is a VM again with what it had, and its files and rows are gone', async () => {
    await open({ vm1: FULL, vm2: {} });
    await world.do('prepare_base', 'vm1');
    const cloned = await world.do('clone', 'vm2', { base: 'vm1' });
    expect(cloned).toMatchObject(DONE);
    const files = baseFiles();
    expect(await world.do('remove_base', 'vm1')).toMatchObject({
      state: 'failed',
      error: { code: 'CONFLICT', message: expect.stringContaining('vm1 has 1 clones: vm2') },
    });
    expect(baseFiles()).toEqual(files);
    expect(await world.do('flatten', 'vm2')).toMatchObject(DONE);
    expect(await world.do('remove_base', 'vm1')).toMatchObject(DONE);
    expect(baseFiles()).toEqual([]);
    expect(await world.vms.site.store.vmBases()).toEqual([]);
    expect((await world.vms.site.store.listBaseFiles()).filter((file) => file.path.includes('.base-'))).toEqual([]);
    expect(world.contents('vm1')).toEqual({ vda: 0x11, vdb: 0x12, vdc: 0x13 });
    expect(Object.values(world.disks('vm1')).map(({ backing }) => backing)).toEqual([null, null, null]);
    expect(await world.do('start', 'vm1')).toMatchObject(DONE);
    expect(world.contents('vm2')).toEqual({ vda: 0x11, vdb: 0x12, vdc: 0x13 });
  });

  it('that somebody wrote to is refused by name, and nothing is made on it', async () => {
    await open({ vm1: { system: 0x11 }, vm2: { system: 0x22 } });
    const { id } = await world.do('prepare_base', 'vm1');
    const file = world.host.path('datastore', `vm1.base-${id}.root.qcow2`);
    chmodSync(file, 0o644);
    world.write(file, 0x66);
    const later = Date.now() / 1000 + 2; // the time of the last change is known in seconds
    utimesSync(file, later, later);
    const before = world.whole('vm2');
    expect(await world.do('clone', 'vm2', { base: 'vm1' })).toMatchObject({
      state: 'failed',
      error: { code: 'IMAGE_UNTRUSTED', message: expect.stringContaining(file) },
    });
    expect(world.whole('vm2')).toBe(before);
  });
});

wherever('a clone', () => {
  it('stands on the base with the format recorded, its disks in the order of the targets, its data its own, its drive as it was', async () => {
    await open({ vm1: FULL, vm2: { system: 0x22, drive: true } });
    const { id } = await world.do('prepare_base', 'vm1');
    const { uuid } = world.domain('vm2');
    expect(await world.do('clone', 'vm2', { base: 'vm1' })).toMatchObject(DONE);
    const base = (token: string) => world.host.path('datastore', `vm1.base-${id}.${token}.qcow2`);
    expect(world.disks('vm2')).toMatchObject({
      vda: { backing: base('root'), backingFormat: 'qcow2' },
      vdb: { backing: base('tmp-scratch'), backingFormat: 'qcow2' },
      vdc: { backing: null },
    });
    expect(world.contents('vm2')).toEqual({ vda: 0x11, vdb: 0x12, vdc: 0x13 });
    expect(world.domain('vm2').xml).toContain(world.iso);
    expect(world.domain('vm2').uuid).toBe(uuid);
    expect(await world.vms.site.store.clonesOf((await world.vms.site.computer('vm1')).id)).toMatchObject([
      { shortName: 'vm2' },
    ]);
    expect(await world.do('start', 'vm2')).toMatchObject(DONE);
  });

  it('is made while its siblings run, and undo gives the VM back what it was', async () => {
    await open({ vm1: { system: 0x11 }, vm2: {}, vm3: { system: 0x33 } });
    await world.do('prepare_base', 'vm1');
    await world.do('clone', 'vm2', { base: 'vm1' });
    await world.vms.bring('vm2', 'Running');
    await world.vms.bring('vm3', 'Running');
    expect(await world.do('clone', 'vm3', { base: 'vm1' })).toMatchObject(DONE);
    expect(world.vms.condition('vm3')).toBe('Running');
    expect(world.contents('vm3')).toEqual({ vda: 0x11 });
    expect(await world.do('undo', 'vm3')).toMatchObject(DONE);
    expect(world.contents('vm3')).toEqual({ vda: 0x33 });
    const { id } = await world.vms.site.computer('vm1');
    expect((await world.vms.site.store.clonesOf(id)).map(({ shortName }) => shortName)).toEqual(['vm2']);
  });

  it('is not made of a VM with data volumes of its own, nor of what is no base', async () => {
    await open({ vm1: { system: 0x11 }, vm2: { system: 0x22, data: 0x23 } });
    const before = world.whole('vm2');
    expect(await world.do('clone', 'vm2', { base: 'vm1' })).toMatchObject({
      state: 'failed',
      error: { code: 'NOT_FOUND' },
    });
    await world.do('prepare_base', 'vm1');
    expect(await world.do('clone', 'vm2', { base: 'vm1' })).toMatchObject({
      state: 'failed',
      error: { code: 'CONFLICT', message: expect.stringContaining('home') },
    });
    expect(world.whole('vm2')).toBe(before);
  });

  it('that is flattened stands on nothing, with the same content; the base keeps its files, can go then, and its VM starts', async () => {
    await open({ vm1: FULL, vm2: {} });
    await world.do('prepare_base', 'vm1');
    await world.do('clone', 'vm2', { base: 'vm1' });
    world.write(world.disks('vm2').vda!.path, 0x2a);
    await world.vms.bring('vm2', 'Running');
    const files = baseFiles();
    const sums = files.map((file) => readFileSync(world.host.path('datastore', file)).toString('base64'));
    expect(await world.do('flatten', 'vm2')).toMatchObject(DONE);
    expect(world.vms.condition('vm2')).toBe('Running');
    expect(world.contents('vm2')).toEqual({ vda: 0x2a, vdb: 0x12, vdc: 0x13 });
    expect(Object.values(world.disks('vm2')).map(({ backing }) => backing)).toEqual([null, null, null]);
    expect(world.domain('vm2').xml).not.toContain('backingStore');
    expect(baseFiles().map((file) => readFileSync(world.host.path('datastore', file)).toString('base64'))).toEqual(
      sums,
    );
    expect(await world.do('flatten', 'vm1')).toMatchObject({ state: 'failed', error: { code: 'OPERATION_BLOCKED' } });
    expect(await world.do('remove_base', 'vm1')).toMatchObject(DONE);
    expect(await world.do('start', 'vm1')).toMatchObject(DONE);
    expect(await world.do('flatten', 'vm2')).toMatchObject({ state: 'failed', error: { code: 'OPERATION_INVALID' } });
    await world.vms.bring('vm2', 'Halted');
    expect(await world.do('start', 'vm2')).toMatchObject(DONE);
  });

  it('may become a base itself: its files are flat and its own, so that no chain grows, and the first base is free to go', async () => {
    await open({ vm1: FULL, vm2: {}, vm3: {} });
    await world.do('prepare_base', 'vm1');
    await world.do('clone', 'vm2', { base: 'vm1' });
    world.write(world.disks('vm2').vda!.path, 0x2a);
    const second = await world.do('prepare_base', 'vm2');
    expect(second).toMatchObject(DONE);
    await world.do('clone', 'vm3', { base: 'vm2' });
    expect(world.contents('vm3')).toEqual({ vda: 0x2a, vdb: 0x12, vdc: 0x13 });
    const { backing } = world.disks('vm3').vda!;
    expect(path.basename(backing!)).toBe(`vm2.base-${second.id}.root.qcow2`);
    const chain = execFileSync('qemu-img', ['info', '--backing-chain', '--output=json', world.disks('vm3').vda!.path]);
    expect(JSON.parse(chain.toString())).toHaveLength(2);
    expect(new Set(Object.values(world.disks('vm3')).map((disk) => disk.path)).size).toBe(3);
  });
});
