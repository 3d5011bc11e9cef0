import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { HostedComputer } from '../../../lib/libvirt/hosted-computer';
import type { Log } from '../../../lib/log';
import { makeHostedReservation } from '../../fixtures/hosted-reservation';
import { FakeHost } from '../../support/fake-host';

const log: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
const IMAGE = 'vmwarelinux-Tiny12-v2';

let host: FakeHost;
beforeEach(() => {
  host = new FakeHost();
});
afterEach(() => host.close());

/** The image verbs of one of several computers. */
function imagesOf(computerId = 5, changes: { imageName?: string; format?: string } = {}) {
  const facts = host.facts();
  const reservation = makeHostedReservation({
    computer: { id: computerId, shortName: `vm${computerId}` },
    image: { name: changes.imageName ?? IMAGE },
    host: { ...facts, profile: { ...facts.profile, datastoreFormat: changes.format ?? 'qcow2' } },
  });
  const settings = { xmlDirectory: host.path('xml'), imageTimeoutMs: 20_000 };
  const computer = new HostedComputer({ reservation, loadId: `load-${computerId}`, host, settings, log });
  return { images: computer.images, disk: computer.overlay };
}

function makeImage(file: string, format = 'qcow2', size = '8M'): void {
  execFileSync('qemu-img', ['create', '-q', '-f', format, file, size]);
  if (format === 'qcow2') execFileSync('qemu-io', ['-f', format, '-c', 'write -P 7 0 4M', file], { stdio: 'ignore' });
}

const inRepository = (name: string) => {
  mkdirSync(host.path('repository', IMAGE), { recursive: true });
  return host.path('repository', IMAGE, name);
};
const sha256 = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
const info = (file: string) =>
  JSON.parse(execFileSync('qemu-img', ['info', '--output=json', file], { encoding: 'utf8' })) as Record<
    string,
    unknown
  >;

describe('the base image', () => {
  it('is used where it is, in folders below the datastore as well', async () => {
    mkdirSync(host.path('datastore', 'linux'));
    const file = host.path('datastore', 'linux', `${IMAGE}.qcow2`);
    makeImage(file);
    expect(await imagesOf().images.ensureBase('qcow2')).toEqual({
      path: file,
      format: 'qcow2',
      virtualSizeBytes: 8 * 2 ** 20,
    });
  });

  it('is not confused with descriptions beside it and with revisions whose names begin alike', async () => {
    makeImage(host.path('datastore', `${IMAGE}.qcow2`));
    makeImage(host.path('datastore', `${IMAGE}0.qcow2`));
    for (const name of ['xml', 'reference', 'qcow2.other-load.part'])
      writeFileSync(host.path('datastore', `${IMAGE}.${name}`), '');
    expect(await imagesOf().images.ensureBase('qcow2')).toMatchObject({
      path: host.path('datastore', `${IMAGE}.qcow2`),
    });
  });

  it('that is there twice is refused with both names', async () => {
    makeImage(host.path('datastore', `${IMAGE}.qcow2`));
    makeImage(host.path('datastore', `${IMAGE}.raw`), 'raw');
    await expect(imagesOf().images.ensureBase('qcow2')).rejects.toMatchObject({
      code: 'IMAGE_AMBIGUOUS',
      message: expect.stringMatching(/qcow2.*raw|raw.*qcow2/),
    });
  });

  it('is copied from the repository once, however many ask, and is read-only', async () => {
    const source = inRepository(`${IMAGE}.qcow2`);
    makeImage(source);
    writeFileSync(inRepository(`${IMAGE}.xml`), '<domain/>');
    const answers = await Promise.all([5, 6, 7, 8].map((id) => imagesOf(id).images.ensureBase('qcow2')));
    const final = host.path('datastore', `${IMAGE}.qcow2`);
    expect(new Set(answers.map(({ path }) => path))).toEqual(new Set([final]));
    expect(sha256(final)).toBe(sha256(source));
    expect(statSync(final).mode & 0o777).toBe(0o444);
    expect(host.files('datastore')).toEqual([`.${IMAGE}.lock`, `${IMAGE}.qcow2`, `${IMAGE}.xml`]);
  });

  it('is converted when the repository has another format', async () => {
    makeImage(inRepository(`${IMAGE}.vmdk`), 'vmdk');
    const base = await imagesOf().images.ensureBase('qcow2');
    expect(info(base.path)).toMatchObject({ format: 'qcow2', 'virtual-size': 8 * 2 ** 20 });
  });

  it('is put together from the parts of a split vmdk', async () => {
    execFileSync('qemu-img', [
      'create',
      '-q',
      '-f',
      'vmdk',
      '-o',
      'subformat=monolithicSparse',
      inRepository(`${IMAGE}-s001.vmdk`),
      '4M',
    ]);
    copyFileSync(inRepository(`${IMAGE}-s001.vmdk`), inRepository(`${IMAGE}-s002.vmdk`));
    writeFileSync(inRepository(`${IMAGE}.vmdk`), '# Disk DescriptorFile\n');
    const base = await imagesOf().images.ensureBase('qcow2');
    expect(info(base.path)).toMatchObject({ 'virtual-size': 8 * 2 ** 20 });
  });

  it('that is nowhere is an error that names both places', async () => {
    await expect(imagesOf().images.ensureBase('qcow2')).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      message: expect.stringContaining(`${host.path('datastore')} nor in ${host.path('repository')}`),
    });
  });

  it('is not copied from a file that names others', async () => {
    writeFileSync(host.path('secret'), 'root:x');
    execFileSync('qemu-img', [
      'create',
      '-q',
      '-f',
      'qcow2',
      '-b',
      host.path('secret'),
      '-F',
      'raw',
      inRepository(`${IMAGE}.qcow2`),
      '1M',
    ]);
    await expect(imagesOf().images.ensureBase('qcow2')).rejects.toMatchObject({ code: 'IMAGE_UNTRUSTED' });
    expect(host.files('datastore')).toEqual([]);
  });

  it('is not there at all when its copy broke off, and the next one succeeds', async () => {
    makeImage(inRepository(`${IMAGE}.vmdk`), 'vmdk');
    host.fail('qemu-img', { message: 'qemu-img: error while reading' });
    await expect(imagesOf().images.ensureBase('qcow2')).rejects.toMatchObject({ code: 'IMAGE_COPY_FAILED' });
    host.heal();
    writeFileSync(host.path('datastore', `${IMAGE}.qcow2.dead-load.part`), 'half an image');
    await imagesOf().images.ensureBase('qcow2');
    expect(host.files('datastore')).toEqual([`.${IMAGE}.lock`, `${IMAGE}.qcow2`]);
  });
});

describe('the disk of a load', () => {
  beforeEach(() => makeImage(host.path('datastore', `${IMAGE}.qcow2`)));

  it('is an overlay with the absolute path and the format of its base', async () => {
    const { images, disk } = imagesOf();
    await images.createOverlay(await images.ensureBase('qcow2'), disk);
    expect(info(disk.path)).toMatchObject({
      'backing-filename': host.path('datastore', `${IMAGE}.qcow2`),
      'backing-filename-format': 'qcow2',
      'virtual-size': 8 * 2 ** 20,
    });
  });

  it('is an independent copy where there are no overlays', async () => {
    const { images, disk } = imagesOf(5, { format: 'raw' });
    await images.copyBase(await images.ensureBase('raw'), disk);
    expect(statSync(disk.path).size).toBe(8 * 2 ** 20);
    expect(readFileSync(disk.path).subarray(0, 4)).toEqual(Buffer.alloc(4, 7));
  });

  it('takes nothing from the base, and two of one base take nothing from each other', async () => {
    const base = await imagesOf().images.ensureBase('qcow2');
    const before = sha256(base.path);
    const [one, two] = [imagesOf(5), imagesOf(6)];
    await Promise.all([one, two].map(({ images, disk }) => images.createOverlay(base, disk)));
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 9 0 64k', one.disk.path], { stdio: 'ignore' });
    execFileSync('qemu-io', ['-f', 'qcow2', '-r', '-c', 'read -P 7 0 64k', two.disk.path], { stdio: 'ignore' });
    expect(sha256(base.path)).toBe(before);
  });

  it('is left alone while a guest has it open', async () => {
    const { images, disk } = imagesOf();
    const base = await images.ensureBase('qcow2');
    await images.createOverlay(base, disk);
    const { ino } = statSync(disk.path);
    const guest = spawnGuest(disk.path);
    try {
      await guest.ready;
      await expect(images.createOverlay(base, disk)).rejects.toMatchObject({ code: 'CONFLICT' });
    } finally {
      guest.end();
    }
    expect(statSync(disk.path).ino).toBe(ino);
  });
});

/** Something that has a disk open for writing, as a running guest has. */
function spawnGuest(file: string) {
  const child = spawn('qemu-io', ['-f', 'qcow2', file], { stdio: ['pipe', 'pipe', 'ignore'] });
  const ready = new Promise<void>((resolve) => child.stdout.once('data', () => resolve()));
  return { ready, end: () => child.stdin.end('quit\n') };
}

describe('a full host', () => {
  it('is named with the folder, what it has and what is needed, and keeps no half image', async () => {
    await host.close();
    host = new FakeHost({ diskMiB: 12 });
    makeImage(inRepository(`${IMAGE}.qcow2`));
    const restore = host.fillDisk(512);
    await expect(imagesOf().images.ensureBase('qcow2')).rejects.toMatchObject({
      code: 'HOST_DISK_FULL',
      message: expect.stringMatching(/datastore has \d+ MiB free and needs \d+ MiB/),
    });
    restore();
    expect(host.files('datastore')).toEqual([`.${IMAGE}.lock`]);
    const base = await imagesOf().images.ensureBase('qcow2');
    const { images, disk } = imagesOf();
    await expect(images.createOverlay(base, disk)).rejects.toMatchObject({ code: 'HOST_DISK_FULL' });
  });
});
