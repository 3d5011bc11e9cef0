import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { recordBase } from '../../../lib/images/base-record';
import { COPY_FROM_REPOSITORY } from '../../../lib/images/qemu-img';
import { type Asking, BaseWorld, IMAGE, sumOf } from '../../support/base-world';
import type { FakeHost } from '../../support/fake-host';
import { HOSTILE_IMAGES, flipBit, makeSound, qemuImg } from '../../support/hostile-images';
import { openTestStore, type TestStore } from '../../support/store';

/** Those of the corpus that would really have qemu-img read or write what it must not. */
const READS_OTHERS = /host|json:|loop|60 TiB|disguise|elsewhere|parent|after 4096/;

let world: BaseWorld;
let host: FakeHost;
let t: TestStore;
beforeAll(async () => void (t = await openTestStore('sqlite')));
afterAll(() => t.close());
beforeEach(async () => {
  await t.db.change('delete from provisiond_base');
  world = new BaseWorld(t);
  host = world.host;
});
afterEach(() => world.close());

const base = (name?: string) => world.base(name);
const inRepository = (name: string) => world.inRepository(name);
const use = (asking?: Asking) => world.use(asking);

describe('a base image that was copied', () => {
  it.each([
    ['qcow2', []],
    ['qcow2', ['-c', '-o', 'compression_type=zstd']],
    ['vmdk', []],
    ['vdi', []],
    ['raw', []],
  ])('from %s %j is recorded with checksum, size, format and source, and is read-only', async (format, options) => {
    makeSound(inRepository(`${IMAGE}.${format}`), format, options);
    await use();
    expect(await t.store.listBaseFiles()).toEqual([
      expect.objectContaining({
        hostId: 900,
        path: base(),
        imageName: IMAGE,
        format: 'qcow2',
        virtualSizeBytes: 2 ** 20,
        sizeBytes: statSync(base()).size,
        sha256: sumOf(base()),
        source: `${format === 'qcow2' ? 'copied' : 'converted'} from ${inRepository(`${IMAGE}.${format}`)}`,
        damage: null,
      }),
    ]);
    expect(statSync(base()).mode & 0o777).toBe(0o444);
    expect(statSync(base()).uid).toBe(process.getuid!());
    execFileSync('qemu-img', ['compare', '-f', format, '-F', 'qcow2', inRepository(`${IMAGE}.${format}`), base()]);
  });

  it('is made of the flat parts of a split vmdk, in their order', async () => {
    writeFileSync(inRepository(`${IMAGE}.vmdk`), '# Disk DescriptorFile\nRW 2048 FLAT "/etc/passwd" 0\n');
    writeFileSync(inRepository(`${IMAGE}-f002.vmdk`), Buffer.alloc(2 ** 20, 2));
    writeFileSync(inRepository(`${IMAGE}-f001.vmdk`), Buffer.alloc(2 ** 20, 1));
    for (const name of ['vmx', 'txt', 'xml']) writeFileSync(inRepository(`${IMAGE}.${name}`), 'beside it');
    await use();
    qemuImg('convert', '-f', 'qcow2', '-O', 'raw', base(), host.path('content'));
    const whole = Buffer.concat([Buffer.alloc(2 ** 20, 1), Buffer.alloc(2 ** 20, 2)]);
    expect(readFileSync(host.path('content')).equals(whole)).toBe(true);
  });

  it('must have the checksum that stands beside the source', async () => {
    makeSound(inRepository(`${IMAGE}.qcow2`), 'qcow2');
    writeFileSync(inRepository(`${IMAGE}.qcow2.sha256`), `${'0'.repeat(64)}  ${IMAGE}.qcow2\n`);
    await expect(use()).rejects.toMatchObject({ code: 'IMAGE_UNTRUSTED', message: expect.stringMatching(/checksum/) });
    expect(host.files('datastore')).toEqual([`.${IMAGE}.lock`]);
    writeFileSync(inRepository(`${IMAGE}.qcow2.sha256`), `${sumOf(inRepository(`${IMAGE}.qcow2`))}  x\n`);
    await use();
  });

  it('is refused when its tables are damaged', async () => {
    makeSound(inRepository(`${IMAGE}.qcow2`), 'qcow2');
    const bytes = readFileSync(inRepository(`${IMAGE}.qcow2`));
    const l1 = Number(bytes.readBigUInt64BE(40));
    bytes.writeBigUInt64BE(bytes.readBigUInt64BE(l1) + 512n, l1);
    writeFileSync(inRepository(`${IMAGE}.qcow2`), bytes);
    await expect(use()).rejects.toMatchObject({ code: 'IMAGE_UNTRUSTED', message: expect.stringMatching(/tables/) });
    expect(host.files('datastore')).toEqual([`.${IMAGE}.lock`]);
  });
});

describe('a hostile file in the repository', () => {
  it('is refused before qemu-img sees it, whatever is wrong with it', async () => {
    writeFileSync(host.path('secret'), 'root:x:');
    // Whatever calls qemu-img in this world fails otherwise than by refusing the file.
    host.fail('qemu-img', { message: 'qemu-img was let at the file' });
    for (const image of HOSTILE_IMAGES.filter(({ what }) => READS_OTHERS.test(what))) {
      const file = inRepository(`${IMAGE}.${image.extension}`);
      image.make(file, host.path('secret'));
      const refused = { code: 'IMAGE_UNTRUSTED', message: expect.stringMatching(image.says) };
      await expect(use()).rejects.toMatchObject(refused);
      rmSync(file);
    }
    expect(host.files('datastore')).toEqual([]);
    expect(await t.store.listBaseFiles()).toEqual([]);
  });
});

describe('a base image that was there already', () => {
  beforeEach(() => makeSound(base(), 'qcow2'));

  it('is recorded and made read-only when it is first used', async () => {
    chmodSync(base(), 0o666);
    await use();
    expect(await t.store.listBaseFiles()).toMatchObject([{ sha256: sumOf(base()), source: 'found on the host' }]);
    expect(statSync(base()).mode & 0o777).toBe(0o444);
  });

  it('is refused when its size changed, and accepted again when it is put back', async () => {
    await use();
    copyFileSync(base(), host.path('kept'));
    execFileSync('sh', ['-c', 'echo more >> "$1"', 'sh', base()]);
    await expect(use()).rejects.toMatchObject({ code: 'IMAGE_UNTRUSTED', message: expect.stringMatching(/bytes/) });
    execFileSync('cp', ['-f', host.path('kept'), base()]);
    await use();
  });

  it('is refused when its content changed, for good', async () => {
    await use();
    const damaged = flipBit(base(), 8 * 300_000);
    execFileSync('mv', ['-f', damaged, base()]);
    utimesSync(base(), 1, 1);
    for (let time = 0; time < 2; time++) {
      await expect(use()).rejects.toMatchObject({
        code: 'IMAGE_UNTRUSTED',
        message: expect.stringMatching(/checksum/),
      });
    }
  });

  it('that was only touched is read once more and then believed', async () => {
    await use();
    utimesSync(base(), 5, 5);
    await use();
    expect(await t.store.listBaseFiles()).toMatchObject([{ modified: 5 }]);
  });

  it('with the time of its last change forged is found by the policy to read it at each use', async () => {
    await use();
    const { mtime } = statSync(base());
    execFileSync('mv', ['-f', flipBit(base(), 8 * 300_000), base()]);
    utimesSync(base(), mtime, mtime);
    chmodSync(base(), 0o444);
    await use();
    await expect(use({ checkAtUse: 'checksum' })).rejects.toMatchObject({ code: 'IMAGE_UNTRUSTED' });
  });

  it('is read once for all hosts that have it on shared storage', async () => {
    await use({ hostId: 900 });
    host.fail('openssl');
    host.fail('sha256sum');
    await use({ hostId: 901 });
    const known = await t.store.listBaseFiles();
    expect(known.map(({ hostId, sha256 }) => [hostId, sha256])).toEqual([900, 901].map((id) => [id, sumOf(base())]));
  });

  it('made by somebody else is recorded by one call', async () => {
    const place = { host, hostId: 900, records: t.store, timeoutMs: 10_000 };
    const recorded = await recordBase(place, base(), { imageName: IMAGE, source: 'captured from vm7' });
    expect(recorded).toMatchObject({ sha256: sumOf(base()), format: 'qcow2', source: 'captured from vm7' });
    expect(await t.store.findBaseFiles(IMAGE)).toMatchObject([recorded]);
  });
});

describe('a copy', () => {
  it('is made once for ten computers, on two hosts with shared storage and two daemons', async () => {
    makeSound(inRepository(`${IMAGE}.vmdk`), 'vmdk');
    host.fail('qemu-img', { delayMs: 300 });
    const converted = world.countConversions();
    const second = world.addHost('second');
    for (const name of ['faults', 'bin'])
      execFileSync('sh', ['-c', 'rm -r "$2" && ln -s "$1" "$2"', 'sh', host.path(name), second.path(name)]);
    symlinkSync(host.path('datastore'), path.join(second.folder, 'shared'));
    const everybody = [host, second].flatMap((on, index) =>
      Array.from({ length: 5 }, () => ({ on, hostId: 900 + index })),
    );
    const answers = await Promise.all(everybody.map((one) => use(one)));
    expect(new Set(answers.map(({ path: file }) => file))).toEqual(new Set([base()]));
    expect(host.files('datastore')).toEqual([`.${IMAGE}.lock`, `${IMAGE}.qcow2`]);
    const known = await t.store.listBaseFiles();
    expect(known.map(({ hostId }) => hostId)).toEqual([900, 901]);
    expect(known.filter(({ source }) => source.startsWith('converted'))).not.toEqual([]);
    expect(new Set(known.map(({ sha256 }) => sha256))).toEqual(new Set([sumOf(base())]));
    expect(converted()).toBe(1);
  });

  it('that outlived its daemon is waited for and adopted: nobody copies a second time', async () => {
    makeSound(inRepository(`${IMAGE}.vmdk`), 'vmdk');
    const converted = world.countConversions('sleep 2; ');
    // The daemon is gone with kill -9 and its way to the host with it; over there the script goes on.
    const lock = host.path('datastore', `.${IMAGE}.lock`);
    const args = [
      base(),
      `${base()}.dead.part`,
      lock,
      '60',
      'vmdk',
      'qcow2',
      '/none.xml',
      base(`${IMAGE}.xml`),
      '90000000',
    ];
    const orphan = spawn('sh', ['-c', COPY_FROM_REPOSITORY, 'sh', ...args, inRepository(`${IMAGE}.vmdk`)], {
      ...{
        detached: true,
        stdio: 'ignore',
        env: { ...process.env, PATH: `${host.path('bin')}:${process.env['PATH']}` },
      },
    });
    const gone = once(orphan, 'exit');
    while (!host.files('datastore').some((name) => name.endsWith('.dead.part'))) await setTimeout(20);
    const percents: number[] = [];
    expect(await use({ onPercent: (percent) => percents.push(percent) })).toMatchObject({ path: base() });
    await gone;
    expect(converted()).toBe(1);
    expect(host.files('datastore')).toEqual([`.${IMAGE}.lock`, `${IMAGE}.qcow2`]);
    expect(await t.store.findBaseFiles(IMAGE)).toMatchObject([{ sha256: sumOf(base()), damage: null }]);
  });

  it('is not believed when the source vanishes in the middle, and nothing of it stays', async () => {
    makeSound(inRepository(`${IMAGE}.vmdk`), 'vmdk');
    await world.images().findFiles();
    const gone = world.images().ensureBase('qcow2');
    host.fail('qemu-img', { delayMs: 300 });
    rmSync(inRepository(`${IMAGE}.vmdk`));
    await expect(gone).rejects.toMatchObject({ code: expect.stringMatching(/IMAGE_(NOT_FOUND|COPY_FAILED)/) });
    expect(host.files('datastore').filter((name) => !name.endsWith('.lock'))).toEqual([]);
  });

  it('tells how far it is to everybody who waits for it', async () => {
    qemuImg('create', '-q', '-f', 'raw', inRepository(`${IMAGE}.raw`), '64M');
    writeFileSync(inRepository(`${IMAGE}.raw`), Buffer.alloc(8 * 2 ** 20, 7), { flag: 'r+' });
    // The copy stands still after its first half.
    writeFileSync(host.path('bin', 'cp'), '#!/bin/sh\nhead -c 4194304 "$1" >"$2"; sleep 2.5; exec /bin/cp "$@"\n', {
      mode: 0o755,
    });
    const heard = [0, 1].map(() => [] as number[]);
    await Promise.all(
      heard.map((list, index) =>
        use({ computer: `vm${index}`, datastoreFormat: 'raw', onPercent: (percent) => list.push(percent) }),
      ),
    );
    expect(heard[0]).toContain(50);
    expect(heard[1]).toEqual(heard[0]);
  });

  it('whose script dies leaves nothing that counts, and the next one makes it', async () => {
    makeSound(inRepository(`${IMAGE}.qcow2`), 'qcow2');
    writeFileSync(host.path('bin', 'cp'), '#!/bin/sh\nhead -c 4096 "$1" >"$2"; kill -9 $PPID; sleep 0.2\n', {
      mode: 0o755,
    });
    await expect(use()).rejects.toMatchObject({ code: 'IMAGE_COPY_FAILED' });
    expect(host.files('datastore')).toEqual([`.${IMAGE}.lock`, expect.stringMatching(/\.part$/)]);
    expect(await t.store.listBaseFiles()).toEqual([]);
    execFileSync('rm', [host.path('bin', 'cp')]);
    await use();
    expect(host.files('datastore')).toEqual([`.${IMAGE}.lock`, `${IMAGE}.qcow2`]);
    expect(sumOf(base())).toBe(sumOf(inRepository(`${IMAGE}.qcow2`)));
  });

  it('that would write more than its header says is stopped', async () => {
    makeSound(inRepository(`${IMAGE}.vmdk`), 'vmdk');
    const text =
      '#!/bin/sh\nfor last; do :; done\ncase $1 in convert) exec head -c 200M /dev/zero >"$last" ;; esac\nexec /usr/bin/qemu-img "$@"\n';
    writeFileSync(host.path('bin', 'qemu-img'), text, { mode: 0o755 });
    await expect(use()).rejects.toMatchObject({ code: 'IMAGE_COPY_FAILED' });
    expect(host.files('datastore')).toEqual([`.${IMAGE}.lock`]);
  });
});
