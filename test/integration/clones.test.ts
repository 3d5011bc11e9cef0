/**
 * Bases and their clones on real qemu-img, libvirt and qemu, through rows and the daemon. Guests are boot sectors of 512 bytes; what is
 * in a disk is a pattern that qemu-io writes and reads.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { auditImages } from '../support/image-audit';
import { byteIn, fill, MIB, sum } from '../support/disk-bytes';
import { operate, well as goesWell } from '../support/operate';
import { Site } from '../support/site';
import { bootSector, defineTinyGuest } from '../support/tiny-guest';

let site: Site;
const domains = new Map<string, string>();

const backingOf = (file: string): { backing: string | undefined; format: string | undefined } => {
  const text = execFileSync('qemu-img', ['info', '--output=json', file], { encoding: 'utf8' });
  const info = JSON.parse(text) as Record<string, string | undefined>;
  return { backing: info['full-backing-filename'], format: info['backing-filename-format'] };
};
/** The byte at the place that is written to, in each of the VM's disks. */
async function contents(computer: string): Promise<number[]> {
  return (await disksOf(computer)).map(byteIn);
}

const act = (computer: string, kind: string, more?: object) => operate(site, computer, kind, more);
const well = (computer: string, kind: string, more?: object) => goesWell(site, computer, kind, more);

/** A VM on the image, as a load leaves it, off, with a pattern of its own. */
async function furnish(computer: string, pattern: number): Promise<void> {
  domains.set(computer, await defineTinyGuest(site, computer, 'obedient'));
  const [disk] = await disksOf(computer);
  rmSync(disk!);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', site.masterFile, disk!]);
  fill(disk!, pattern);
}
const definition = (computer: string) => site.virsh('dumpxml', '--inactive', domains.get(computer)!);
async function disksOf(computer: string): Promise<string[]> {
  return [...(await definition(computer)).matchAll(/<source file='([^']*)'/g)].map(([, file]) => file!);
}
const state = async (computer: string) => (await site.virsh('domstate', domains.get(computer)!)).trim();
const bases = () => readdirSync(site.datastore).filter((file) => /\.base-.*\.qcow2$/.test(file));
/** The guests obey their button, sooner or later. */
const PATIENT = { timeoutSeconds: 30, hard: true };

beforeAll(async () => {
  const settings = { guestShutdownTimeoutMs: 20_000, startProofMs: 1000 };
  site = await Site.open({ computers: [{}, {}, {}], settings });
  const raw = path.join(site.folder, 'image.raw');
  writeFileSync(raw, Buffer.concat([bootSector('obedient'), Buffer.alloc(8 * MIB - 512)]));
  rmSync(site.masterFile, { force: true });
  execFileSync('qemu-img', ['convert', '-O', 'qcow2', raw, site.masterFile]);
  chmodSync(site.masterFile, 0o444);
});
afterAll(async () => site.close());

describe('bases and clones', () => {
  it('a base of a running VM is flat, read-only and off; clones run on it while others are made; flattened they stand alone, and the base can go', async () => {
    await furnish('vm1', 0x11);
    await furnish('vm2', 0x22);
    await furnish('vm3', 0x33);
    await well('vm1', 'add_volume', { volume: 'home', sizeMiB: 4 });
    fill((await disksOf('vm1'))[1]!, 0x12);
    await site.virsh('start', domains.get('vm1')!);
    const { id } = await well('vm1', 'prepare_base', PATIENT);
    expect(await state('vm1')).toBe('shut off');
    const names = ['data-home', 'root'].map((token) => `vm1.base-${id}.${token}.qcow2`);
    expect(bases()).toEqual(names);
    const [home, root] = names.map((name) => path.join(site.datastore, name));
    for (const file of [home!, root!]) {
      expect([statSync(file).mode & 0o777, backingOf(file).backing]).toEqual([0o444, undefined]);
    }
    expect((await disksOf('vm1')).map(backingOf)).toEqual([
      { backing: root, format: 'qcow2' },
      { backing: home, format: 'qcow2' },
    ]);
    expect(await act('vm1', 'start')).toMatchObject({ error: { code: 'OPERATION_BLOCKED' } });
    const sums = [sum(home!), sum(root!)];

    await site.virsh('start', domains.get('vm2')!);
    await well('vm2', 'clone', { base: 'vm1', ...PATIENT });
    expect(await state('vm2')).toBe('running');
    await well('vm3', 'clone', { base: 'vm1', ...PATIENT });
    await well('vm3', 'start');
    expect(await act('vm1', 'remove_base')).toMatchObject({
      error: { code: 'CONFLICT', message: expect.stringContaining('vm1 has 2 clones: vm2, vm3') },
    });
    for (const clone of ['vm2', 'vm3']) {
      await well(clone, 'flatten', PATIENT);
      expect(await state(clone)).toBe('running');
      await site.virsh('destroy', domains.get(clone)!);
      expect(await contents(clone)).toEqual([0x11, 0x12]);
      expect((await disksOf(clone)).map((file) => backingOf(file).backing)).toEqual([undefined, undefined]);
      expect(await definition(clone)).not.toContain('<backingStore');
    }
    expect([sum(home!), sum(root!)]).toEqual(sums);
    await well('vm1', 'remove_base');
    expect(bases()).toEqual([]);
    expect(await contents('vm1')).toEqual([0x11, 0x12]);
    await well('vm1', 'start');
    await site.virsh('destroy', domains.get('vm1')!);
  });

  it('a running clone that moves to another base shows that one, and keeps its own data; undo brings it back; a spoiled base is refused', async () => {
    // vm1 and vm3 have a system and a data volume since the test before.
    await well('vm1', 'prepare_base', PATIENT);
    fill((await disksOf('vm3'))[0]!, 0x77);
    const second = await well('vm3', 'prepare_base', PATIENT);
    await well('vm2', 'remove_volume', { volume: 'home', ...PATIENT });
    await well('vm2', 'clone', { base: 'vm1', ...PATIENT });
    fill((await disksOf('vm2'))[1]!, 0xdd);
    const data = sum((await disksOf('vm2'))[1]!);
    await site.virsh('start', domains.get('vm2')!);
    expect(await act('vm2', 'rebase', { base: 'vm3' })).toMatchObject({ error: { code: 'VM_BAD_POWER_STATE' } });
    await well('vm2', 'rebase', { base: 'vm3', stop: true, ...PATIENT });
    expect(await state('vm2')).toBe('running');
    await site.virsh('destroy', domains.get('vm2')!);
    expect(await contents('vm2')).toEqual([0x77, 0xdd]);
    const [system, home] = await disksOf('vm2');
    expect(backingOf(system!).backing).toBe(path.join(site.datastore, `vm3.base-${second.id}.root.qcow2`));
    expect(sum(home!)).toBe(data);
    await well('vm2', 'undo');
    expect(await contents('vm2')).toEqual([0x11, 0xdd]);

    expect(await auditImages(site)).toEqual([]);
    const spoiled = path.join(site.datastore, `vm3.base-${second.id}.root.qcow2`);
    chmodSync(spoiled, 0o644);
    fill(spoiled, 0x66);
    expect(await act('vm2', 'rebase', { base: 'vm3' })).toMatchObject({
      error: { code: 'IMAGE_UNTRUSTED', message: expect.stringContaining(spoiled) },
    });
    expect(await contents('vm2')).toEqual([0x11, 0xdd]);
    expect(existsSync(system!)).toBe(false);
  });
});
