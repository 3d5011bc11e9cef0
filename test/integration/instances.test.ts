/**
 * Appliances captured on real qemu-img, libvirt and qemu, through rows and the daemon. Guests are boot sectors; what is in a disk is a
 * pattern that qemu-io writes and reads, or a counter that a guest writes without a pause.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LocalHost } from '../../lib/host/local-host';
import { Vm } from '../../lib/libvirt/vm';
import { type CopyGroup, VmCopies } from '../../lib/libvirt/vm-copies';
import { byteIn, fill, look, MIB, sum } from '../support/disk-bytes';
import { operate, well } from '../support/operate';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';
import { bootSector, defineTinyGuest } from '../support/tiny-guest';
import { readRing, ringWriter } from '../support/ring-guest';

let site: Site;
const domains = new Map<string, string>();

const infoOf = (file: string) =>
  JSON.parse(execFileSync('qemu-img', ['info', '-U', '--output=json', file], { encoding: 'utf8' })) as Record<
    string,
    unknown
  >;

const capture = (more: object = {}) =>
  operate(site, null, 'capture_instances', { appliance: 'shop', timeoutSeconds: 5, ...more });
const deploy = () => well(site, null, 'deploy_appliance', { appliance: 'shop' });

async function furnish(computer: string, sector: Buffer, pattern: number): Promise<void> {
  domains.set(computer, await defineTinyGuest(site, computer, 'obedient'));
  const disk = (await disksOf(computer))[0]!;
  rmSync(disk);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', site.masterFile, disk]);
  const boot = path.join(site.folder, `${computer}.sector`);
  writeFileSync(boot, sector);
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', `write -s ${boot} 0 512`, disk]);
  rmSync(boot);
  fill(disk, pattern);
}
const definition = (computer: string) => site.virsh('dumpxml', '--inactive', domains.get(computer)!);
async function disksOf(computer: string): Promise<string[]> {
  return [...(await definition(computer)).matchAll(/<source file='([^']*)'/g)].map(([, file]) => file!);
}
const state = async (computer: string) => (await site.virsh('domstate', domains.get(computer)!)).trim();
/** How often its guest has written to its system volume since it was started. */
const writesOf = async (computer: string): Promise<number> =>
  Number(/wr_req (\d+)/.exec(await site.virsh('domblkstat', domains.get(computer)!, 'vda'))?.[1] ?? 0);
const instances = () => site.frontEnd.listInstances();
const unfinished = () => readdirSync(site.datastore).filter((file) => file.includes('.part'));

beforeAll(async () => {
  const settings = { guestShutdownTimeoutMs: 5_000, startProofMs: 500 };
  site = await Site.open({ computers: [{}, {}, {}], settings });
  const raw = path.join(site.folder, 'image.raw');
  writeFileSync(raw, Buffer.concat([bootSector('obedient'), Buffer.alloc(8 * MIB - 512)]));
  rmSync(site.masterFile, { force: true });
  execFileSync('qemu-img', ['convert', '-O', 'qcow2', raw, site.masterFile]);
  chmodSync(site.masterFile, 0o444);
  await site.frontEnd.createAppliance('shop');
  await site.frontEnd.addToAppliance('shop', ['vm1', 'vm2']);
});
afterAll(async () => site.close());

describe('the capture of an appliance', () => {
  it('copies a guest that runs by one job over all its disks, and one that is off as it is; what is deployed again shows the instances; the versions before go (65, 69, 80, 81, 82)', async () => {
    await furnish('vm1', ringWriter(), 0x11);
    await furnish('vm2', bootSector('obedient'), 0x22);
    await well(site, 'vm1', 'add_volume', { volume: 'home', sizeMiB: 4 });
    fill((await disksOf('vm1'))[1]!, 0x13);
    await site.virsh('start', domains.get('vm1')!);
    const [root] = await disksOf('vm1');
    await eventually(async () => readRing(look, root!).newest > 2, 60);
    const before = readRing(look, root!).newest;
    const { error, result } = await capture({ update: true, oneMoment: true });
    expect(error).toBeNull();
    const [first, second] = await instances();
    expect([first!.consistency, second!.consistency]).toEqual(['crash-consistent', 'offline']);
    expect(result).toMatchObject({ undeployed: ['vm1', 'vm2'] });
    for (const { path: file, sha256 } of [...first!.files, ...second!.files]) {
      expect([file, sum(file)]).toEqual([file, sha256]);
      expect(infoOf(file)['backing-filename']).toBeUndefined();
      expect(infoOf(file).snapshots).toBeUndefined();
    }
    expect(first!.files.map(({ volume, path: file }) => [volume, byteIn(file)])).toEqual([
      ['root', 0x11],
      ['home', 0x13],
    ]);
    expect(byteIn(second!.files[0]!.path)).toBe(0x22);
    // A ring that is as of one moment has no gap: each sector is one ahead of that before it, or a round behind.
    const ring = readRing(look, first!.files[0]!.path);
    expect(ring.torn).toEqual([]);
    expect(ring.newest).toBeGreaterThanOrEqual(before);
    expect([await state('vm1'), await state('vm2')]).toEqual(['shut off', 'shut off']);
    expect(unfinished()).toEqual([]);

    await deploy();
    expect([await state('vm1'), await state('vm2')]).toEqual(['running', 'running']);
    const [fresh] = await disksOf('vm1');
    expect(infoOf(fresh!)['full-backing-filename']).toBe(first!.files[0]!.path);
    await eventually(async () => (await writesOf('vm1')) > 2, 60);
    expect((await capture({ update: true })).error).toBeNull();
    const later = await instances();
    expect(later).toHaveLength(2);
    expect(later.map(({ sourceRevisionId }) => sourceRevisionId)).toEqual(
      [first!, second!].map(({ imageRevisionId }) => imageRevisionId),
    );
    for (const { path: file } of [...first!.files, ...second!.files])
      expect([file, existsSync(file)]).toEqual([file, false]);
    expect(existsSync(site.masterFile)).toBe(true);
    expect(byteIn(later[0]!.files[0]!.path)).toBe(0x11);
  });
});

describe('the copies of a guest that runs', () => {
  const group = async (computer: string, name: string): Promise<CopyGroup> => {
    const disks = await disksOf(computer);
    const copies = disks.map((file, index) => ({
      target: `vd${'ab'[index]}`,
      source: { path: file, format: 'qcow2' },
      file: { path: path.join(site.datastore, `${name}-${index}.qcow2`), format: 'qcow2' },
      virtualSizeBytes: Number(infoOf(file)['virtual-size']),
    }));
    return { uuid: (await site.virsh('domuuid', domains.get(computer)!)).trim(), copies, others: [] };
  };
  const copiesOf = async (computer: string): Promise<VmCopies> => {
    const row = await site.database('computer').where({ hostname: computer }).first<{ id: number }>();
    const { host } = (await site.store.vmComputer(row.id))!;
    const parts = { computer: { id: row.id, shortName: computer }, hostFacts: host!, managementNodeId: 1, token: 9999 };
    return new VmCopies(new Vm({ ...parts, host: new LocalHost({ name: 'here' }), longTimeoutMs: 60_000 }));
  };

  it('of which one has a bad target are not begun: no disk is changed, nothing is left, and the guest runs on (81)', async () => {
    await deploy();
    const copies = await copiesOf('vm1');
    const wanted = await group('vm1', 'bad');
    const [good, other] = wanted.copies;
    const bad = {
      ...other!,
      file: { path: path.join(site.datastore, 'no-such-folder', 'x.qcow2'), format: 'qcow2' },
    };
    const was = [readdirSync(site.datastore).sort(), await disksOf('vm1')];
    const id = await site.virsh('domid', domains.get('vm1')!);
    const begun = copies.begin([{ ...wanted, copies: [good!, bad] }], 'try', true);
    await expect(begun).rejects.toMatchObject({ code: 'LIBVIRT_FAILED' });
    await copies.end(wanted.uuid, [good!], true, 77);
    expect([readdirSync(site.datastore).sort(), await disksOf('vm1')]).toEqual(was);
    expect([await state('vm1'), await site.virsh('domid', domains.get('vm1')!)]).toEqual(['running', id]);
    expect(await site.virsh('domjobinfo', domains.get('vm1')!)).toContain('None');
    await copies.begin([wanted], 'try', false);
    await copies.waitFor([wanted.uuid], new AbortController().signal);
    await copies.publish(wanted.copies, true);
    expect(byteIn(wanted.copies[0]!.file.path)).toBe(0x11);
    await copies.end(wanted.uuid, wanted.copies, true, 77);
  });

  it.each(['snapshot', 'pause'] as const)(
    'where libvirt has no jobs for it: a %s of all disks is copied, the guest goes on in the disks that it had and writes on, and the image under them is untouched (80)',
    async (how) => {
      if ((await state('vm1')) !== 'running') await deploy();
      const copies = await copiesOf('vm1');
      const wanted = await group('vm1', `by-${how}`);
      const backing = String(infoOf(wanted.copies[0]!.source.path)['full-backing-filename']);
      const was = [sum(backing), await disksOf('vm1')];
      const begun = await copies.copyLive(how, wanted, { quiesce: 'try', compress: false, operationId: 77 });
      expect(begun.frozen).toEqual([]);
      for (const { file } of wanted.copies) expect(infoOf(file.path)['backing-filename']).toBeUndefined();
      expect(byteIn(wanted.copies[0]!.file.path)).toBe(0x11);
      expect(readRing(look, wanted.copies[0]!.file.path).torn).toEqual([]);
      expect(await state('vm1')).toBe('running');
      expect([sum(backing), await disksOf('vm1')]).toEqual(was);
      const live = await site.virsh('domblklist', domains.get('vm1')!);
      expect(live).not.toContain('.leaf-');
      expect(readdirSync(site.vms).filter((file) => file.includes('.leaf-'))).toEqual([]);
      const now = await writesOf('vm1');
      await eventually(async () => (await writesOf('vm1')) > now, 60);
      await copies.end(wanted.uuid, wanted.copies, true, 77);
      for (const { file } of wanted.copies) expect(existsSync(file.path)).toBe(false);
    },
  );
});
