/** The checksum of a copy is taken behind the load: what is known before, and what becomes of a base whose checksum is wrong. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { copiesRecorded } from '../../../lib/images/record-behind';
import { type Asking, BaseWorld, IMAGE, sumOf } from '../../support/base-world';
import { flipBit, makeSound } from '../../support/hostile-images';
import { openTestStore, type TestStore } from '../../support/store';

let t: TestStore;
let world: BaseWorld;
beforeAll(async () => void (t = await openTestStore('sqlite')));
afterAll(() => t.close());
beforeEach(async () => {
  await t.db.change('delete from provisiond_base');
  world = new BaseWorld(t);
  makeSound(world.inRepository(`${IMAGE}.qcow2`), 'qcow2');
});
afterEach(() => world.close());

const rows = () => t.store.listBaseFiles();
const load = (asking?: Asking) => world.images(asking).ensureBase('qcow2');
const UNTRUSTED = { code: 'IMAGE_UNTRUSTED', hint: expect.stringContaining('image check --accept') };

/** Whoever takes a checksum waits until the file `go` is there, after that it has read, if `also` says nothing else. */
function holdSums(also = ''): () => void {
  const go = world.host.path('go');
  const wait = `${also}\nwhile [ ! -e ${go} ]; do sleep 0.02; done`;
  world.play(
    'openssl',
    `/usr/bin/openssl "$@" >${world.host.path('sum.$$')}\n${wait}\ncat ${world.host.path('sum.$$')}`,
  );
  return () => writeFileSync(go, '');
}

/** Another content of the same length, at the same time. */
function replaceQuietly(file: string, { sameTime = true } = {}): void {
  const { mtime } = statSync(file);
  execFileSync('mv', ['-f', flipBit(file, 8 * 300_000), file]);
  if (sameTime) utimesSync(file, mtime, mtime);
  chmodSync(file, 0o444);
}

describe('a copy whose checksum is not known yet', () => {
  it('may be used: it has its record without the checksum, which comes behind the load', async () => {
    const go = holdSums();
    await load();
    expect(await rows()).toMatchObject([{ sha256: null, damage: null, sizeBytes: statSync(world.base()).size }]);
    await load({ computer: 'vm6' });
    go();
    await copiesRecorded();
    expect(await rows()).toMatchObject([{ sha256: sumOf(world.base()), damage: null }]);
  });

  it('is waited for where each use is held to the checksum', async () => {
    const go = holdSums();
    const loading = load({ checkAtUse: 'checksum' });
    expect(await Promise.race([loading, setTimeout(600, 'waits')])).toBe('waits');
    go();
    await loading;
    expect(await rows()).toMatchObject([{ sha256: sumOf(world.base()) }]);
  });

  it('whose daemon died gets its checksum at the next use', async () => {
    await world.use();
    await t.db.change("update provisiond_base set sha256 = ''");
    await world.use();
    expect(await rows()).toMatchObject([{ sha256: sumOf(world.base()), damage: null }]);
  });

  it('whose daemon died and that changed since is not used, for nobody knows what it was', async () => {
    await world.use();
    await t.db.change("update provisiond_base set sha256 = ''");
    replaceQuietly(world.base(), { sameTime: false });
    utimesSync(world.base(), 5, 5);
    await expect(load()).rejects.toMatchObject(UNTRUSTED);
    await expect(load()).rejects.toMatchObject(UNTRUSTED);
  });
});

describe('a wrong checksum that is found late', () => {
  const reports = () => world.log.lines.filter(({ level }) => level === 'error').map(({ message }) => message);

  it('because the file changed meanwhile marks the base, is reported, and keeps new loads off it', async () => {
    const go = holdSums();
    await load();
    utimesSync(world.base(), 5, 5);
    go();
    await copiesRecorded();
    expect(await rows()).toMatchObject([{ damage: expect.stringContaining('changed before its checksum was known') }]);
    expect(reports()).toEqual([`base image ${world.base()} is not used for loads any more`]);
    await expect(load({ computer: 'vm6' })).rejects.toMatchObject(UNTRUSTED);
    expect(existsSync(world.base())).toBe(true); // what stands on it goes on
  });

  it('because a plain copy of the same source has another one marks the base, and says where the other copy is', async () => {
    await world.use();
    const second = world.addHost('second');
    const other = { on: second, hostId: 901, ownFolders: true };
    // A disk that gives back other bytes than were written to it.
    const copied = second.path('datastore', `${IMAGE}.qcow2`);
    const real = '/usr/bin/openssl "$@"';
    writeFileSync(second.path('bin', 'openssl'), `#!/bin/sh\n{ cat; echo more; } | ${real}\n`, { mode: 0o755 });
    await world.use(other);
    const damaged = (await rows()).find(({ hostId }) => hostId === 901);
    expect(damaged).toMatchObject({ path: copied, damage: expect.stringContaining(world.base()) });
    expect(reports()).toEqual([`base image ${copied} is not used for loads any more`]);
    await expect(load({ ...other, computer: 'vm6' })).rejects.toMatchObject(UNTRUSTED);
    await load(); // the first host's is as sound as before
  });

  it('is no reason against conversions: two of one source may differ in their bytes', async () => {
    execFileSync('rm', [world.inRepository(`${IMAGE}.qcow2`)]);
    makeSound(world.inRepository(`${IMAGE}.vmdk`), 'vmdk');
    await world.use();
    await t.db.change("update provisiond_base set sha256 = 'of a conversion in another order'");
    await world.use({ on: world.addHost('second'), hostId: 901, ownFolders: true });
    expect(await rows()).toMatchObject([
      { damage: null },
      { damage: null, source: expect.stringMatching(/^converted/) },
    ]);
  });
});
