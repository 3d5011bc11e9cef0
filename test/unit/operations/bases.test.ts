import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { capturedImageName } from '../../../lib/model/names';
import { recordBase } from '../../../lib/images/base-record';
import { removeBase } from '../../../lib/images/base-survey';
import type { ImageNode } from '../../../lib/images/image-tree';
import { imageLock } from '../../../lib/model/names';
import { type BaseParts, checkBases, collectGarbage, surveyAll } from '../../../lib/operations/bases';
import { FakeHost } from '../../support/fake-host';
import { flipBit, makeSound, qemuImg } from '../../support/hostile-images';
import { openTestStore, type TestStore } from '../../support/store';

let t: TestStore;
let image: string;
let hosts: FakeHost[];
let parts: BaseParts;

beforeAll(async () => {
  t = await openTestStore('sqlite');
  image = t.image.fileName;
});
afterAll(() => t.close());
beforeEach(async () => {
  await t.db.change('delete from provisiond_base');
  await t.db.change('update imagerevision set deleted = 0');
  await t.db.change('delete from request');
  hosts = [new FakeHost({ name: 'one' }), new FakeHost({ name: 'two' })];
  parts = {
    hosts: hosts.map((host, index) => ({ host, hostId: 900 + index, places: host.facts().profile })),
    records: t.store,
    readUses: () => t.frontEnd.listImageUse(),
    timeoutMs: 20_000,
  };
});
afterEach(() => Promise.all(hosts.map((host) => host.close())));

const base = (index = 0) => hosts[index]!.path('datastore', `${image}.qcow2`);

function makeOverlay(file: string, backing: string): string {
  mkdirSync(path.dirname(file), { recursive: true });
  qemuImg('create', '-q', '-f', 'qcow2', '-b', backing, '-F', 'qcow2', file);
  return file;
}

const record = (index = 0) =>
  recordBase({ ...parts.hosts[index]!, ...parts }, base(index), { imageName: image, source: 'a test' });

describe('the tree of image files', () => {
  it('is what qemu-img says of every chain', async () => {
    const [host] = hosts as [FakeHost];
    makeSound(base(), 'qcow2');
    makeSound(host.path('datastore', 'other.vmdk'), 'vmdk');
    const first = makeOverlay(host.path('vms', 'vm1_1-v0.qcow2'), base());
    makeOverlay(host.path('vms', 'vm2_1-v0.qcow2'), base());
    makeOverlay(host.path('vms', 'trash', 'vm 3.qcow2'), first);
    execFileSync('sh', [
      '-c',
      'cd "$1" && qemu-img create -q -f qcow2 -b ../datastore/other.vmdk -F vmdk relative.qcow2',
      'sh',
      host.path('vms'),
    ]);
    const [survey] = await surveyAll(parts);
    const chains: string[][] = [];
    const walk = ({ file, overlays }: ImageNode, below: string[]) => {
      chains.push([file.path, ...below]);
      for (const overlay of overlays) walk(overlay, [file.path, ...below]);
    };
    for (const root of survey!.tree.roots) walk(root, []);
    expect(chains).toHaveLength(6);
    for (const chain of chains) {
      const said = execFileSync('qemu-img', ['info', '--backing-chain', '--output=json', chain[0]!], {
        encoding: 'utf8',
      });
      const files = (JSON.parse(said) as { filename: string }[]).map(({ filename }) =>
        path.resolve(host.path('vms'), filename),
      );
      expect(files).toEqual(chain);
    }
  });

  it('names overlays whose base is gone or that stand on each other', async () => {
    const [host] = hosts as [FakeHost];
    const gone = host.path('datastore', 'gone.qcow2');
    makeSound(gone, 'qcow2');
    const lost = makeOverlay(host.path('vms', 'lost.qcow2'), gone);
    rmSync(gone);
    const circle = ['a', 'b'].map((name) => host.path('vms', `${name}.qcow2`)) as [string, string];
    makeSound(circle[0], 'qcow2');
    makeOverlay(circle[1], circle[0]);
    qemuImg('rebase', '-u', '-f', 'qcow2', '-b', circle[1], '-F', 'qcow2', circle[0]);
    const [survey] = await surveyAll(parts);
    expect(survey!.tree.roots).toEqual([]);
    expect(survey!.tree.broken.map((file) => file.path).sort()).toEqual([...circle, lost]);
  });
});

describe('a check of base images', () => {
  beforeEach(() => makeSound(base(), 'qcow2'));

  const verdicts = async (only: string | null = null, accept = false) =>
    (await checkBases(parts, only, accept)).map(({ host, verdict }) => `${host} ${verdict}`);

  it('records what has no record yet and finds it sound from then on', async () => {
    expect(await verdicts()).toEqual(['one recorded']);
    expect(await verdicts()).toEqual(['one ok']);
    expect((await t.store.listBaseFiles())[0]).toMatchObject({ checked: expect.any(String), damage: null });
  });

  it('finds every flipped bit, files that are gone, and files that can be written to', async () => {
    await record();
    chmodSync(base(), 0o644);
    expect(await verdicts()).toEqual(['one writable']);
    for (const bit of [8 * 300_000, 8 * 200_000 + 3]) {
      execFileSync('mv', ['-f', flipBit(base(), bit), base()]);
      expect(await verdicts()).toEqual(['one changed']);
      execFileSync('mv', ['-f', flipBit(base(), bit), base()]);
    }
    rmSync(base());
    expect(await verdicts()).toEqual(['one missing']);
    expect(await verdicts(image, true)).toEqual(['one missing']);
    expect(await t.store.listBaseFiles()).toEqual([]);
  });

  it('takes a change that was meant when told so', async () => {
    await record();
    execFileSync('mv', ['-f', flipBit(base(), 8 * 300_000), base()]);
    expect(await verdicts(null, true)).toEqual(['one accepted']);
    expect(await verdicts()).toEqual(['one ok']);
  });

  it('leaves alone what neither the rows nor the records know', async () => {
    const foreign = hosts[0]!.path('datastore', 'foreign.qcow2');
    makeSound(foreign, 'qcow2');
    chmodSync(foreign, 0o660);
    expect(await verdicts()).toEqual(['one recorded']);
    expect(execFileSync('stat', ['-c', '%a', foreign], { encoding: 'utf8' })).toBe('660\n');
  });

  it('says which host did not answer', async () => {
    hosts[1]!.stopLibvirtd();
    expect(await verdicts()).toEqual(['one recorded', 'two unknown']);
  });
});

describe('clearing away', () => {
  beforeEach(async () => {
    for (const index of [0, 1]) {
      makeSound(base(index), 'qcow2');
      await record(index);
    }
  });

  const deleteImage = () => t.db.change('update imagerevision set deleted = 1 where imagename = ?', [image]);
  const there = () => [base(0), base(1)].map((file) => existsSync(file));

  it('removes the files of a deleted image, and says before what it would remove', async () => {
    await deleteImage();
    const planned = await collectGarbage(parts, true);
    expect(planned.garbage.map(({ path: file, outcome }) => [file, outcome])).toEqual([
      [base(0), 'found'],
      [base(1), 'found'],
    ]);
    expect(there()).toEqual([true, true]);
    expect((await collectGarbage(parts, false)).garbage.map(({ outcome }) => outcome)).toEqual(['removed', 'removed']);
    expect(there()).toEqual([false, false]);
    expect(await t.store.listBaseFiles()).toEqual([]);
  });

  it('removes what a capture made that was given up when its file was whole and its rows were not', async () => {
    const row = (await t.frontEnd.listImageUse()).find(({ imageName }) => imageName === image)!;
    const { id } = (await t.db.one<{ id: number }>('select imageid as id from imagerevision where imagename = ?', [
      image,
    ]))!;
    const { prettyName } = row;
    const captured = capturedImageName({ id, revision: 0, prettyName, os: { name: 'vmwarelinux' } });
    await deleteImage();
    await t.db.change("update imagerevision set imagename = 'not yet captured' where imagename = ?", [image]);
    const file = hosts[0]!.path('datastore', `${captured}.qcow2`);
    makeSound(file, 'qcow2');
    const report = await collectGarbage(parts, false);
    await t.db.change('update imagerevision set imagename = ? where imagename = ?', [image, 'not yet captured']);
    expect(report.garbage).toContainEqual(expect.objectContaining({ path: file, outcome: 'removed' }));
    expect(existsSync(file)).toBe(false);
  });

  it('leaves images that are not deleted, and files that nobody knows', async () => {
    makeSound(hosts[0]!.path('datastore', 'foreign.qcow2'), 'qcow2');
    expect(await collectGarbage(parts, false)).toEqual({ garbage: [], kept: [], silent: [] });
    expect(there()).toEqual([true, true]);
  });

  it.each(['vms', 'vms/trash/of/yesterday', 'datastore/disks'])(
    'leaves a base that an overlay in %s of any host stands on',
    async (folder) => {
      await deleteImage();
      makeOverlay(hosts[1]!.path(folder, 'vm7.qcow2'), base(1));
      const { kept } = await collectGarbage(parts, false);
      expect(kept.map(({ why }) => why)).toEqual(['an overlay stands on it', 'an overlay stands on it']);
      expect(there()).toEqual([true, true]);
    },
  );

  it('leaves a base that a domain uses through a disk elsewhere', async () => {
    await deleteImage();
    const disk = makeOverlay(hosts[0]!.path('root', 'elsewhere.qcow2'), base());
    const xml = `<domain type='qemu'><name>wild</name><memory>1024</memory><os><type>hvm</type></os><devices><disk type='file' device='disk'>\n      <source file='${disk}'/>\n      <target dev='vda'/></disk></devices></domain>`;
    writeFileSync(hosts[0]!.path('wild.xml'), xml);
    await hosts[0]!.run(['virsh', 'define', '--file', hosts[0]!.path('wild.xml')]);
    expect((await collectGarbage(parts, false)).kept).toHaveLength(2);
    expect(there()).toEqual([true, true]);
  });

  it('leaves a base that a request in hand names', async () => {
    await t.newReservation();
    await deleteImage();
    const { kept } = await collectGarbage(parts, false);
    expect(kept[0]!.why).toMatch(/request/);
    expect(there()).toEqual([true, true]);
  });

  it.each([
    ['asks for', (name: string) => ({ arguments: JSON.stringify({ image: name }), journal: null })],
    [
      'is to put under a VM',
      (name: string) => ({
        arguments: '{}',
        journal: JSON.stringify({ plan: { changes: [{ after: { imageName: name } }] } }),
      }),
    ],
  ])(
    'leaves a base that an operation under way %s, and removes it when the operation has ended',
    async (_how, wish) => {
      await deleteImage();
      const { arguments: asked, journal } = wish(image);
      await t.db.change(
        "insert into provisiond_operation (kind, computerid, arguments, journal, state) values ('restore', 1, ?, ?, 'working')",
        [asked, journal],
      );
      const { kept } = await collectGarbage(parts, false);
      expect(kept.map(({ why }) => why)).toEqual(Array(2).fill('an operation that is not over names it'));
      expect(there()).toEqual([true, true]);
      await t.db.change(`update provisiond_operation set ended = ${t.db.dialect.now}`);
      await collectGarbage(parts, false);
      expect(there()).toEqual([false, false]);
      await t.db.change('delete from provisiond_operation');
    },
  );

  it('removes nothing anywhere while a host does not answer', async () => {
    await deleteImage();
    hosts[1]!.stopLibvirtd();
    const { garbage, silent } = await collectGarbage(parts, false);
    expect(garbage).toMatchObject([{ outcome: 'found' }]);
    expect(silent).toMatchObject([{ host: 'two' }]);
    expect(there()).toEqual([true, true]);
  });

  it('does not come between the look and a disk that is being made', async () => {
    const [{ host, places }] = parts.hosts as [BaseParts['hosts'][number]];
    const [survey] = await surveyAll(parts);
    const file = survey!.files.find((one) => one.path === base())!;
    const lock = imageLock(places, image);
    const overlay = makeOverlay(hosts[0]!.path('vms', 'late.qcow2.1-1-1.part'), base());
    expect(await removeBase(host, places, file, lock)).toBe('inUse');
    rmSync(overlay);
    const copying = spawn('flock', [lock, 'sleep', '1']);
    while (!existsSync(lock)) await new Promise((resolve) => setTimeout(resolve, 10));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await removeBase(host, places, file, lock)).toBe('busy');
    copying.kill();
    utimesSync(base(), 9, 9);
    execFileSync('flock', [lock, 'true']);
    expect(await removeBase(host, places, file, lock)).toBe('changed');
    expect(there()).toEqual([true, true]);
  });

  it('removes copies that broke off long ago, and no others', async () => {
    const dead = hosts[0]!.path('datastore', `${image}.qcow2.load-1.part`);
    const young = hosts[0]!.path('datastore', `${image}.qcow2.load-2.part`);
    for (const file of [dead, young]) writeFileSync(file, 'half');
    utimesSync(dead, 1000, 1000);
    await collectGarbage(parts, false);
    expect([dead, young].map((file) => existsSync(file))).toEqual([false, true]);
    expect(there()).toEqual([true, true]);
  });
});
