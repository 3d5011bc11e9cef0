/**
 * Changes of what a VM is made of, on real qemu-img, libvirt and qemu, through rows and the daemon. Guests are boot sectors of
 * 512 bytes; what is in a disk is a pattern that qemu-io writes and reads.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { auditImages } from '../support/image-audit';
import { AT, fill, io, MIB, sum } from '../support/disk-bytes';
import { operate } from '../support/operate';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';
import { bootSector, defineTinyGuest } from '../support/tiny-guest';

const [FIRST, SECOND, OWN, DATA] = [0xb1, 0xb2, 0x22, 0xdd];

let site: Site;
let second: { fileName: string; revisionId: number };

/** Whatever else is wrong with the file makes the test fail. */
function holds(file: string, pattern: number): boolean {
  try {
    return !/failed/.test(io(file, `read -P ${pattern} ${AT} ${MIB}`));
  } catch (error) {
    if (/Pattern verification failed/.test(String((error as { stdout?: string }).stdout))) return false;
    throw error;
  }
}

/** An image that boots and holds a pattern. */
function makeImage(file: string, pattern: number, sizeMiB: number): void {
  const raw = path.join(site.folder, 'image.raw');
  writeFileSync(raw, Buffer.concat([bootSector('obedient'), Buffer.alloc(sizeMiB * MIB - 512)]));
  rmSync(file, { force: true });
  execFileSync('qemu-img', ['convert', '-O', 'qcow2', raw, file]);
  fill(file, pattern);
  chmodSync(file, 0o444);
}

const act = (computer: string, kind: string, more?: object) => operate(site, computer, kind, more);

const domains = new Map<string, string>();

/** A VM on the first image, as a load leaves it, off. @returns its system volume */
async function furnish(computer: string): Promise<string> {
  const earlier = domains.get(computer);
  if (earlier !== undefined) {
    await site.virsh('destroy', earlier).catch(() => {});
    await site.virsh('undefine', earlier, '--managed-save');
    for (const file of readdirSync(site.vms)) {
      if (file.startsWith(computer)) rmSync(path.join(site.vms, file));
    }
  }
  const name = await defineTinyGuest(site, computer, 'obedient');
  domains.set(computer, name);
  const [disk] = await disksOf(computer);
  rmSync(disk!);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', site.masterFile, disk!]);
  return disk!;
}

const definition = (computer: string) => site.virsh('dumpxml', '--inactive', domains.get(computer)!);
async function disksOf(computer: string): Promise<string[]> {
  return [...(await definition(computer)).matchAll(/<source file='([^']*)'/g)].map(([, file]) => file!);
}
const state = async (computer: string) => (await site.virsh('domstate', domains.get(computer)!)).trim();
const files = () =>
  readdirSync(site.vms, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.part'));

beforeAll(async () => {
  const settings = { guestShutdownTimeoutMs: 20_000, startProofMs: 1000 };
  site = await Site.open({ computers: [{}, {}, {}], settings });
  makeImage(site.masterFile, FIRST, 8);
  second = await site.frontEnd.addImage({
    ...{ prettyName: 'Second Linux', os: 'vmwarelinux', ramMiB: 256, cpus: 1, sizeMiB: 16, owner: 'admin' },
  });
  makeImage(path.join(site.datastore, `${second.fileName}.qcow2`), SECOND, 16);
});
afterAll(async () => site.close());

describe('a VM that is restored', () => {
  it('running on one image, it ends running on another: its size follows, its identity and its data stay, and undo brings all back', async () => {
    const old = await furnish('vm1');
    fill(old, OWN);
    expect((await act('vm1', 'add_volume', { volume: 'home', sizeMiB: 4 })).state).toBe('done');
    const data = (await disksOf('vm1'))[1]!;
    expect(path.basename(data)).toBe('vm1.data-home-g1.qcow2');
    fill(data, DATA);
    const before = { sum: sum(data), xml: await definition('vm1') };
    await site.virsh('start', domains.get('vm1')!);
    const restored = await act('vm1', 'restore', { image: 'Second Linux', hard: true, timeoutSeconds: 4 });
    expect(restored).toMatchObject({ state: 'done', error: null });
    expect(await state('vm1')).toBe('running');
    await site.virsh('destroy', domains.get('vm1')!);
    const [system, other] = await disksOf('vm1');
    expect(path.basename(system!)).toMatch(/\.root-g1\.qcow2$/);
    expect([holds(system!, SECOND), other, sum(data)]).toEqual([true, data, before.sum]);
    expect(
      JSON.parse(execFileSync('qemu-img', ['info', '--output=json', system!], { encoding: 'utf8' })),
    ).toMatchObject({
      'virtual-size': 16 * MIB,
      'full-backing-filename': path.join(site.datastore, `${second.fileName}.qcow2`),
    });
    const identity = (xml: string) =>
      ['uuid', 'name', 'mac address'].map((tag) => new RegExp(`<${tag}.*`).exec(xml)?.[0]);
    const after = await definition('vm1');
    expect(identity(after)).toEqual(identity(before.xml));
    expect(after).toContain(`imageRevisionId="${second.revisionId}"`);
    const row = await site.database('computer').where({ hostname: 'vm1' }).first<{ imagerevisionid: number }>();
    expect(row.imagerevisionid).toBe(second.revisionId);
    expect(await act('vm1', 'undo')).toMatchObject({ state: 'done', error: null });
    const [back] = await disksOf('vm1');
    expect([back, holds(back!, OWN), sum(data)]).toEqual([old, true, before.sum]);
    expect(await definition('vm1')).toContain(`imageRevisionId="${site.image.revisionId}"`);
    expect(files()).toEqual([]);
  });

  it('without an image named, it is its own image again, as large as its user made it, twice in a row', async () => {
    const old = await furnish('vm2');
    execFileSync('qemu-img', ['resize', '-q', '-f', 'qcow2', old, '32M']);
    fill(old, OWN);
    for (const generation of [1, 2]) {
      expect(await act('vm2', 'restore')).toMatchObject({ state: 'done', error: null });
      const [system] = await disksOf('vm2');
      expect(path.basename(system!)).toContain(`.root-g${generation}.`);
      expect(holds(system!, FIRST)).toBe(true);
      const info = JSON.parse(
        execFileSync('qemu-img', ['info', '--output=json', system!], { encoding: 'utf8' }),
      ) as object;
      expect(info).toMatchObject({ 'virtual-size': 32 * MIB });
      fill(system!, OWN);
    }
    expect(await state('vm2')).toBe('shut off');
  });

  it('empties its temporary volumes after every stop and before every start, and no others, and keeps them paused and suspended', async () => {
    await furnish('vm3');
    expect((await act('vm3', 'add_volume', { volume: 'home', sizeMiB: 4 })).state).toBe('done');
    expect((await act('vm3', 'add_volume', { volume: 'scratch', type: 'temporary', sizeMiB: 4 })).state).toBe('done');
    const [system, data, scratch] = await disksOf('vm3');
    expect(path.basename(scratch!)).toMatch(/\.tmp-scratch-g1\.qcow2$/);
    const domain = domains.get('vm3')!;
    const fillAll = () => [system!, data!, scratch!].forEach((file) => fill(file, OWN));
    const kept = () => [system!, data!, scratch!].map((file) => holds(file, OWN));
    fillAll();
    expect((await act('vm3', 'start')).state).toBe('done');
    expect((await act('vm3', 'hard_shutdown')).state).toBe('done');
    expect(kept()).toEqual([true, true, false]);
    // qemu is killed: nobody asked for that stop.
    fillAll();
    await site.virsh('start', domain);
    await eventually(async () => (await site.frontEnd.showVm('vm3')).powerState === 'Running', 30);
    await site.virsh('destroy', domain);
    await eventually(() => Promise.resolve(!holds(scratch!, OWN)), 30);
    expect(kept()).toEqual([true, true, false]);
    // Memory that is kept keeps the disks that it knows.
    fillAll();
    await site.virsh('start', domain);
    expect((await act('vm3', 'suspend')).state).toBe('done');
    expect(kept()).toEqual([true, true, true]);
    expect((await act('vm3', 'resume')).state).toBe('done');
    expect((await act('vm3', 'hard_reboot')).state).toBe('done');
    expect((await act('vm3', 'pause')).state).toBe('done');
    await site.virsh('destroy', domain);
  });

  it('keeps nothing of the trash when its time is over, and a data volume that was removed by name until then', async () => {
    await furnish('vm2');
    expect((await act('vm2', 'add_volume', { volume: 'home', sizeMiB: 4 })).state).toBe('done');
    const data = (await disksOf('vm2'))[1]!;
    fill(data, DATA);
    const removed = await act('vm2', 'remove_volume', { volume: 'home' });
    expect(removed).toMatchObject({ state: 'done', error: null });
    expect([await disksOf('vm2'), existsSync(data)]).toEqual([[expect.any(String)], false]);
    expect((await act('vm2', 'undo')).state).toBe('done');
    expect([(await disksOf('vm2'))[1], holds(data, DATA)]).toEqual([data, true]);
    expect(await auditImages(site)).toEqual([]);
  });
});
