/**
 * Disks of VMs where only real qemu-img, qemu and libvirt can tell: booting from a drive, snapshots that live in disks, copies that are
 * killed, bases that are in use. Guests are boot sectors of 512 bytes.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { writeBootIso } from '../support/boot-iso';
import { byteIn, fill, io } from '../support/disk-bytes';
import { DiskSite } from '../support/disk-site';
import { bootSector } from '../support/tiny-guest';

/** The guests obey their button, sooner or later. */
const PATIENT = { timeoutSeconds: 30, hard: true };
const [OWN, SCRATCH] = [0x22, 0x33];

let world: DiskSite;
beforeAll(async () => (world = await DiskSite.open(3)));
afterAll(async () => world.site.close());

const off = (computer: string) => world.site.virsh('destroy', world.domain(computer)).catch(() => {});

describe('a VM', () => {
  it('restored while it is off it stays off; started, it runs on its new disk', async () => {
    await world.furnish('vm1');
    const [old] = await world.disks('vm1');
    fill(old!, OWN);
    await world.well('vm1', 'restore');
    expect(await world.state('vm1')).toBe('shut off');
    const [fresh] = await world.disks('vm1');
    expect([fresh === old, existsSync(old!), byteIn(fresh!)]).toEqual([false, false, 0]);
    await world.well('vm1', 'start');
    // It boots what the image has: a guest that hears its button.
    await world.well('vm1', 'clean_shutdown', { timeoutSeconds: 60 });
  });

  it('installed from an ISO image, restored it boots from its drive, until there is something on its disk', async () => {
    await world.furnish('vm2');
    writeBootIso(path.join(world.site.datastore, 'setup.iso'), bootSector('obedient'));
    const drive = `<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/><readonly/></disk></devices>`;
    await world.redefine('vm2', (xml) =>
      xml
        .replace(/imageRevisionId="\d+"/, 'imageRevisionId="1"')
        .replace(/imageId="\d+"/, 'imageId="1"')
        .replace('</devices>', drive),
    );
    const [old] = await world.disks('vm2');
    fill(old!, OWN);
    expect(await world.do('vm2', 'restore')).toMatchObject({ error: { code: 'OPERATION_INVALID' } });
    await world.well('vm2', 'restore', { iso: 'setup.iso' });
    const [root] = await world.disks('vm2');
    expect([byteIn(root!), await world.definition('vm2')]).toEqual([0, expect.stringContaining('/setup.iso')]);
    await world.well('vm2', 'start');
    await world.well('vm2', 'clean_shutdown', { timeoutSeconds: 60 });
    // What is installed comes first from now on, although the image is still in the drive.
    const sector = path.join(world.site.folder, 'sector');
    execFileSync('sh', ['-c', `cat >"$1"`, 'sh', sector], { input: bootSector('deaf') });
    io(root!, `write -s ${sector} 0 512`);
    await world.well('vm2', 'start');
    expect(await world.do('vm2', 'clean_shutdown', { timeoutSeconds: 6 })).toMatchObject({
      error: { code: 'VM_SHUTDOWN_TIMEOUT' },
    });
    await off('vm2');
    await world.well('vm2', 'undo');
    expect(await world.disks('vm2')).toEqual([old]);
    expect(await world.definition('vm2')).not.toContain('setup.iso');
  });

  it('with a snapshot empties its temporary volume within it: the snapshot is still what it was', async () => {
    await off('vm1');
    await world.well('vm1', 'add_volume', { volume: 'scratch', type: 'temporary', sizeMiB: 4 });
    const [root, scratch] = (await world.disks('vm1')) as [string, string];
    fill(scratch, SCRATCH);
    await world.well('vm1', 'snapshot', { name: 's1' });
    await world.well('vm1', 'start');
    await world.well('vm1', 'hard_shutdown');
    expect(byteIn(scratch)).toBe(0);
    fill(root, OWN);
    await world.well('vm1', 'revert', { snapshot: 's1' });
    expect([byteIn(root), byteIn(scratch)]).toEqual([0, SCRATCH]);
    // A checkpoint has the guest's memory, which knows that disk.
    await world.well('vm1', 'start');
    expect(byteIn(scratch)).toBe(0);
    await world.well('vm1', 'hard_shutdown');
    await world.well('vm1', 'delete_snapshot', { snapshot: 's1' });
    execFileSync('qemu-img', ['check', '-q', scratch]);
  });

  it('whose copy is killed in the middle keeps its disks and runs on them; asked again it is whole', async () => {
    await world.furnish('vm3');
    const [old] = (await world.disks('vm3')) as [string];
    execFileSync('qemu-img', ['resize', '-q', '-f', 'qcow2', old, '1G']);
    // Half a GiB that cannot be copied in no time.
    for (let at = 8; at < 520; at += 64) io(old, `write -P ${at & 0xff || 1} ${at}M 64M`);
    await world.site.virsh('start', world.domain('vm3'));
    const asked = await world.ask('vm3', 'flatten', PATIENT);
    const killed = await killCopy();
    const ended = await world.ended(asked);
    expect([killed, ended.state]).toEqual([true, 'failed']);
    expect([await world.state('vm3'), await world.disks('vm3'), world.unfinished()]).toEqual(['running', [old], []]);
    await world.well('vm3', 'flatten', PATIENT);
    await off('vm3');
    const [flat] = (await world.disks('vm3')) as [string];
    execFileSync('qemu-img', ['check', '-q', flat]);
    for (let at = 8; at < 520; at += 64) expect(io(flat, `read -P ${at & 0xff || 1} ${at}M 64M`)).not.toMatch(/failed/);
  });
});

/** Of the host, once it has written something. @returns whether there was one */
async function killCopy(): Promise<boolean> {
  for (const deadline = Date.now() + 60_000; Date.now() < deadline;) {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      const words = commandOf(pid);
      const part = words.at(-1) ?? '';
      if (!words[0]?.endsWith('qemu-img') || words[1] !== 'convert' || !part.endsWith('.part')) continue;
      if (!existsSync(part) || Number(execFileSync('du', ['-k', part]).toString().split('\t')[0]) < 1024) continue;
      process.kill(Number(pid), 'SIGKILL');
      return true;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return false;
}

function commandOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
  } catch {
    return []; // it ended meanwhile
  }
}

describe('a base', () => {
  it('that a clone runs on cannot be committed into or resized, not even by root', async () => {
    await off('vm1');
    await world.well('vm1', 'prepare_base', PATIENT);
    const base = readdirSync(world.site.datastore).find((file) => /^vm1\.base-\d+\.root\.qcow2$/.test(file))!;
    const file = path.join(world.site.datastore, base);
    await off('vm2');
    await world.redefine('vm2', (xml) => xml.replace(/<disk type='file' device='cdrom'>[\s\S]*?<\/disk>/, ''));
    await world.well('vm2', 'clone', { base: 'vm1' });
    await world.well('vm2', 'start');
    const sum = () => execFileSync('sha256sum', [file], { encoding: 'utf8' });
    const before = sum();
    const [own] = (await world.disks('vm1')) as [string];
    const attempts = [
      ['resize', '-f', 'qcow2', file, '+8M'],
      ['commit', '-q', '-f', 'qcow2', own],
    ].map((argv) => spawnSync('qemu-img', argv, { encoding: 'utf8' }));
    for (const { status, stderr } of attempts) expect([status, stderr]).toEqual([1, expect.stringMatching(/lock/)]);
    expect(sum()).toBe(before);
    for (const kind of ['start', 'snapshot', 'flatten']) {
      expect(await world.do('vm1', kind)).toMatchObject({ error: { code: 'OPERATION_BLOCKED' } });
    }
    expect(sum()).toBe(before);
    await off('vm2');
  });
});
