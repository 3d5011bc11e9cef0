/** What may be wrong with an image, its repository and its host: each with the code, the words and the remedy that an operator needs. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { requireRepository } from '../../../lib/images/repository';
import { retrieveImage } from '../../../lib/images/retrieval';
import { BaseWorld, IMAGE } from '../../support/base-world';
import { makeSound, qemuImg } from '../../support/hostile-images';
import { openTestStore, type TestStore } from '../../support/store';

let t: TestStore;
let world: BaseWorld;
beforeAll(async () => void (t = await openTestStore('sqlite')));
afterAll(() => t.close());
beforeEach(async () => {
  await t.db.change('delete from provisiond_base');
  world = new BaseWorld(t);
});
afterEach(() => world.close());

const source = (extension = 'qcow2') => world.inRepository(`${IMAGE}.${extension}`);

/** What stands in the way: how it is made, and what is said of it. */
const OBSTACLES: readonly {
  readonly what: string;
  readonly make: () => void;
  readonly code: string;
  readonly says: RegExp;
  readonly hint: RegExp;
}[] = [
  {
    what: 'no space',
    make() {
      makeSound(source(), 'qcow2');
      world.play('df', 'echo Filesystem Blocks Used Available Capacity Mounted; echo x 100 100 0 100% /');
    },
    code: 'HOST_DISK_FULL',
    says: /copying image .* on host fakehost: folder \/.*\/datastore has 0 MiB free and needs 1 MiB/,
    hint: /^Free space on the host/,
  },
  {
    what: 'a source that vanished between the look and the copy',
    make() {
      makeSound(source('vmdk'), 'vmdk');
      // Somebody is quicker: it goes while the lock is waited for.
      world.play('prlimit', `rm -f ${source('vmdk')}; exec /usr/bin/prlimit "$@"`);
    },
    code: 'IMAGE_COPY_FAILED',
    says: /vmwarelinux-Tiny12-v2\.vmdk.*(not there any more|No such file)/s,
    hint: /repository/,
  },
  {
    what: 'a checksum that is wrong',
    make() {
      makeSound(source(), 'qcow2');
      writeFileSync(`${source()}.sha256`, `${'0'.repeat(64)}  x\n`);
    },
    code: 'IMAGE_UNTRUSTED',
    says: /has not the checksum that stands beside it/,
    hint: /once more; or, if it was changed on purpose: sha256sum/,
  },
  {
    what: 'a format that lies',
    make: () => makeSound(source('raw'), 'qcow2'),
    code: 'IMAGE_UNTRUSTED',
    says: /\.raw is not used as base: its name says raw, its first bytes say qcow2/,
    hint: /make it again with qemu-img convert/,
  },
  {
    what: 'a backing file of the host',
    make: () => qemuImg('create', '-q', '-f', 'qcow2', '-b', '/etc/passwd', '-F', 'raw', source(), '1M'),
    code: 'IMAGE_UNTRUSTED',
    says: /is not used as base: it .*backing/,
    hint: /make it again with qemu-img convert/,
  },
  {
    what: 'a backing file that is missing',
    make: () => qemuImg('create', '-q', '-u', '-f', 'qcow2', '-b', '/gone.qcow2', '-F', 'qcow2', source(), '1M'),
    code: 'IMAGE_UNTRUSTED',
    says: /is not used as base: it .*backing/,
    hint: /make it again with qemu-img convert/,
  },
  {
    what: 'tables that are damaged',
    make() {
      makeSound(source(), 'qcow2');
      const bytes = readFileSync(source());
      const l1 = Number(bytes.readBigUInt64BE(40));
      bytes.writeBigUInt64BE(bytes.readBigUInt64BE(l1) + 512n, l1);
      writeFileSync(source(), bytes);
    },
    code: 'IMAGE_UNTRUSTED',
    says: /its tables are damaged, as qemu-img check says/,
    hint: /^Bring the image to the repository once more/,
  },
  {
    what: 'a name that two files have',
    make() {
      for (const format of ['qcow2', 'vmdk']) makeSound(world.base(`${IMAGE}.${format}`), format);
    },
    code: 'IMAGE_AMBIGUOUS',
    says: /has several files below .*: .*Tiny12-v2\.(qcow2|vmdk), /,
    hint: /^Keep one file of that name/,
  },
  {
    what: 'no file anywhere',
    make: () => {},
    code: 'IMAGE_NOT_FOUND',
    says: /is not in .*datastore nor in .*repository of host fakehost/,
    hint: /provisiond image add/,
  },
];

describe('an image that cannot be brought to its host', () => {
  it.each(OBSTACLES.map((obstacle) => [obstacle.what, obstacle] as const))(
    'because of %s says so with code, place and remedy, and nothing of it stays',
    async (_what, { make, code, says, hint }) => {
      make();
      const before = world.host.files('datastore');
      const refused = { code, message: expect.stringMatching(says), hint: expect.stringMatching(hint) };
      await expect(world.use()).rejects.toMatchObject(refused);
      expect(world.host.files('datastore').filter((name) => !name.endsWith('.lock'))).toEqual(before);
      expect(await t.store.listBaseFiles()).toEqual([]);
    },
  );

  it('for want of space is not even begun: the space is looked at first', async () => {
    makeSound(source(), 'qcow2');
    world.play('df', 'echo Filesystem Blocks Used Available Capacity Mounted; echo x 100 100 0 100% /');
    const made: string[] = [];
    const watcher = watch(world.host.path('datastore'), (_event, name) => void made.push(name ?? ''));
    await expect(world.use()).rejects.toMatchObject({ code: 'HOST_DISK_FULL' });
    watcher.close();
    expect(made.filter((name) => name.endsWith('.part'))).toEqual([]);
  });
});

describe('a repository that is not mounted', () => {
  const gone = () => world.host.path('not-mounted');

  it('is told from one without the image, with the host and the command that mounts it', async () => {
    await requireRepository(world.host, world.host.path('repository'));
    await expect(requireRepository(world.host, gone())).rejects.toMatchObject({
      code: 'IMAGE_COPY_FAILED',
      blame: 'host',
      message: `the repository ${gone()} is not mounted on host fakehost`,
      hint: `Mount it on the host: mount ${gone()}`,
    });
  });

  it('on the management node is nothing that an image is retrieved into', async () => {
    const partner = { managementNodeId: 2, name: 'node2', address: '127.0.0.1', port: 1, user: 'root' };
    const retrieving = retrieveImage({
      local: world.host,
      imageName: IMAGE,
      repositoryPath: gone(),
      partners: [{ ...partner, keyFile: '/none', installPath: '/install' }],
      knownHostsFile: '/none',
      timeoutMs: 1000,
      signal: new AbortController().signal,
    });
    await expect(retrieving).rejects.toMatchObject({ hint: 'Mount the repository on the management node too' });
    expect(existsSync(gone())).toBe(false);
  });
});

describe('an image with holes', () => {
  const MIB = 1024;
  const takenKiB = (file: string) => Number(execFileSync('du', ['-k', file], { encoding: 'utf8' }).split('\t')[0]);

  it.each([
    ['raw', 'raw'],
    ['raw', 'qcow2'],
    ['qcow2', 'raw'],
    ['vmdk', 'qcow2'],
  ])('from %s as %s keeps them on the way to the host and in a copy for a guest', async (from, to) => {
    const content = world.host.path('content');
    execFileSync('truncate', ['-s', '1G', content]);
    execFileSync('dd', [
      'if=/dev/urandom',
      `of=${content}`,
      'bs=1M',
      'count=2',
      'seek=700',
      'conv=notrunc',
      'status=none',
    ]);
    if (from === 'raw') copyFileSync(content, source('raw'));
    else qemuImg('convert', '-f', 'raw', '-O', from, content, source(from));
    execFileSync('fallocate', ['-d', source(from)]);
    const base = await world.use({ datastoreFormat: to });
    expect(takenKiB(base.path)).toBeLessThan(8 * MIB);
    const disk = { path: world.host.path('vms', `vm5.${to}`), format: to };
    await world.images({ datastoreFormat: to }).copyBase(base, disk);
    expect(takenKiB(disk.path)).toBeLessThan(8 * MIB);
    qemuImg('compare', '-f', 'raw', '-F', to, content, disk.path);
    rmSync(content);
  });
});
