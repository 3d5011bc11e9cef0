/** What becomes of a capture that cannot be made, and of one that is disturbed, on a world of rows, hosts and guests. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { eventually } from '../../support/eventually';
import { FakeClusterSite, type FakeClusterSiteOptions } from '../../support/fake-cluster-site';
import { type CaptureOrder, orderCaptureAt, type OrderedImage } from '../../support/capture-order';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const PASSWD = '/etc/passwd';

let site: FakeClusterSite;
afterEach(() => site?.close());

/** A user's machine, with an account and a file of his. @returns the request's id */
async function inUse(options: FakeClusterSiteOptions = {}): Promise<number> {
  site = await FakeClusterSite.open({ ...options, settings: { guestShutdownTimeoutMs: 10_000, ...options.settings } });
  await site.startNode();
  const { requestId } = await site.inuse({ minutes: 120, user: 'student' });
  site.guests.write(machine().name, '/home/student/diary', 'private');
  return requestId;
}

const machine = () => site.domainOf('vm1')!;
const order = (requestId: number, state: 'image' | 'checkpoint' = 'image', more: CaptureOrder = {}) =>
  orderCaptureAt(site.t.url, requestId, state, more);
const nameOf = ({ imageId }: OrderedImage, revision = 0, pretty = 'MyImage') =>
  `linux-${pretty}-${imageId}-v${revision}`;
const datastore = (name = '') => site.host.path('datastore', name);
const files = () =>
  ['datastore', 'repository'].flatMap((folder) =>
    site.host.files(folder).filter((file) => !file.endsWith('.lock') && file !== `${site.t.image.fileName}.qcow2`),
  );
const image = ({ imageId }: OrderedImage) =>
  site.database('image').where({ id: imageId }).first<Record<string, string | number>>();
const revision = ({ revisionId }: OrderedImage) =>
  site.database('imagerevision').where({ id: revisionId }).first<Record<string, string | number>>();
const failure = async (requestId: number) =>
  (await site.t.frontEnd.show(requestId)).timeline.filter(({ loadState }) => loadState === 'failed').at(-1)?.text ?? '';

/** The user has what he had: a machine that runs, his account, his home; and of the image there is nothing. */
async function expectAsItWas(ordered: OrderedImage, stays: readonly string[] = []): Promise<void> {
  expect(machine()).toMatchObject({ state: 'running' });
  expect(site.guests.read(machine().name, '/home/student/diary')).toBe('private');
  expect(site.guests.read(machine().name, PASSWD)).toContain('student:');
  expect(files()).toEqual(stays);
  expect(await image(ordered)).toMatchObject({ size: 0, deleted: 1 });
  const [disk] = machine().disks;
  expect(execFileSync('qemu-img', ['snapshot', '-l', disk!]).toString()).toBe('');
}

async function retry(requestId: number, ordered: OrderedImage): Promise<void> {
  const recovery = await site.t.frontEnd.recover(requestId, 'retry', { dryRun: false });
  expect(recovery.to).toEqual({ state: 'image', lastState: 'inuse' });
  await site.waitFor(requestId, null, 40);
  expect(await image(ordered)).toMatchObject({ deleted: 0 });
  await eventually(async () => (await site.computerState('vm1')) === 'available', 20);
}

wherever('a capture', () => {
  it('makes a new revision with a name of its own, and leaves the image to its production revision', async () => {
    const requestId = await inUse();
    const before = await site.database('image').where({ id: site.t.image.imageId }).first<{ name: string }>();
    const ordered = await order(requestId, 'image', { what: 'new revision' });
    await site.waitFor(requestId, null, 40);
    const name = nameOf(ordered, 1, 'TinyLinux');
    expect(files()).toEqual([`${name}.qcow2`, `${name}.xml`]);
    expect(await revision(ordered)).toMatchObject({ imagename: name, deleted: 0, production: 0 });
    expect(await image(ordered)).toMatchObject({ name: before.name, deleted: 0 });
    expect(site.t.frontEnd).toBeDefined();
    await eventually(async () => (await site.computer('vm1')).imagerevisionid === ordered.revisionId, 20);
  });

  it('of a machine that was off takes what is on its disk', async () => {
    const requestId = await inUse();
    await site.host.run(['virsh', '-q', 'destroy', machine().name]);
    const ordered = await order(requestId);
    await site.waitFor(requestId, null, 40);
    expect(files()).toContain(`${nameOf(ordered)}.qcow2`);
  });

  it('cuts the power of a guest that does not shut down', async () => {
    const requestId = await inUse({ settings: { guestShutdownTimeoutMs: 1000 } });
    site.host.makeDeaf(machine().name);
    const ordered = await order(requestId);
    await site.waitFor(requestId, null, 60);
    expect(site.story()).toContain('did not shut down');
    expect(files()).toContain(`${nameOf(ordered)}.qcow2`);
  });

  it('waits no longer for a guest that crashes while it shuts down', async () => {
    const requestId = await inUse();
    site.host.makeDeaf(machine().name);
    const ordered = await order(requestId);
    await eventually(() => site.story().includes('shut the guest down'), 20);
    site.host.happen(machine().name, 'panic');
    await site.waitFor(requestId, null, 40);
    expect(site.story()).toContain('the guest crashed; its power is cut');
    expect(files()).toContain(`${nameOf(ordered)}.qcow2`);
  });

  const obstacles = [
    [
      'there is no room',
      'HOST_DISK_FULL',
      'Free space on the host in the folder named',
      fillUp,
      () => rmSync(site.host.path('bin', 'df')),
    ],
    ['its name is taken', 'CONFLICT', 'Remove the file if nothing needs it', takeName, freeName],
    [
      'the repository is not mounted',
      'IMAGE_COPY_FAILED',
      'Mount it on the host: mount /',
      useRepository,
      mountRepository,
    ],
    [
      'the copy fails',
      'IMAGE_COPY_FAILED',
      'Check the repository and the space',
      breakCopy,
      () => rmSync(site.host.path('bin', 'sync')),
    ],
  ] as const;
  it.each(obstacles)(
    'that cannot be made because %s leaves the machine as it was, and is made when it is tried again',
    async (...row) => {
      const [, code, hint, disturb, mend] = row;
      const requestId = await inUse({ settings: { retryAttempts: 1 } });
      const ordered = await orderQuietly(requestId);
      await disturb(ordered);
      const stays = files();
      await site.write(requestId, 'image');
      await site.waitFor(requestId, 'maintenance/image', 40);
      expect(await site.computerState('vm1')).toBe('maintenance');
      expect(await failure(requestId)).toContain(code);
      expect(await failure(requestId)).toContain(hint);
      await expectAsItWas(ordered, stays);
      mend(ordered);
      await retry(requestId, ordered);
    },
  );

  it('of a machine with two disks of its own is refused, with both named', async () => {
    const requestId = await inUse();
    const second = site.host.path('vms', 'vm1_99-v0.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', second, '1M']);
    const facts = site.host.path('domains', machine().name, 'live.xml');
    execFileSync('sed', [
      '-i',
      `s|</devices>|<disk type="file" device="disk"><source file="${second}"/><target dev="vdb"/></disk></devices>|`,
      facts,
    ]);
    const ordered = await order(requestId);
    await site.waitFor(requestId, 'maintenance/image', 40);
    expect(await failure(requestId)).toContain(second);
    expect(await failure(requestId)).toContain('Leave the one that is to be captured');
    await expectAsItWas(ordered);
  });

  it('of a machine that is gone says so', async () => {
    const requestId = await inUse();
    const { name, disks } = machine();
    await site.host.run(['virsh', '-q', `destroy ${name}; undefine ${name}`]);
    rmSync(disks[0]!);
    const ordered = await order(requestId);
    await site.waitFor(requestId, 'maintenance/image', 40);
    expect(await failure(requestId)).toContain('DOMAIN_NOT_FOUND');
    expect(files()).toEqual([]);
    expect(await image(ordered)).toMatchObject({ deleted: 1 });
  });

  it('of an image that users have already is refused', async () => {
    const requestId = await inUse();
    await site.write(requestId, 'image');
    await site.waitFor(requestId, 'maintenance/image', 40);
    expect(await failure(requestId)).toContain('REQUEST_INVALID');
    expect(machine()).toMatchObject({ state: 'running' });
  });
});

wherever('while a capture is made,', () => {
  /** Holds the copy up until it is let go. */
  async function untilCopying(requestId: number): Promise<OrderedImage> {
    const ordered = await orderQuietly(requestId);
    site.host.fail('sync', { delayMs: 60_000 });
    await site.write(requestId, 'image');
    await eventually(() => files().some((file) => file.endsWith('.part')), 40);
    return ordered;
  }

  it('a deletion ends it: the computer is freed, and nothing of the image is left', async () => {
    const requestId = await inUse();
    const ordered = await untilCopying(requestId);
    site.host.heal();
    await site.write(requestId, 'deleted');
    await site.waitFor(requestId, null, 40);
    await eventually(async () => (await site.computerState('vm1')) === 'available', 20);
    expect(files()).toEqual([]);
    expect(site.host.domains()).toEqual([]);
    expect(await image(ordered)).toMatchObject({ deleted: 1, size: 0 });
  });

  it('a second click for the same image changes nothing', async () => {
    const requestId = await inUse();
    const ordered = await untilCopying(requestId);
    site.host.heal();
    await site.write(requestId, 'image');
    await site.waitFor(requestId, null, 60);
    expect(files()).toEqual([`${nameOf(ordered)}.qcow2`, `${nameOf(ordered)}.xml`]);
    expect(await image(ordered)).toMatchObject({ deleted: 0 });
  });

  it('a second click for another image makes that one, and nothing of the first', async () => {
    const requestId = await inUse();
    const first = await untilCopying(requestId);
    const second = await order(requestId, 'image', { prettyName: 'Second' });
    // One that is whole before the click is noticed would stay until `provisiond image gc`.
    await eventually(() => site.story().includes('stopped: '));
    site.host.heal();
    await site.waitFor(requestId, null, 60);
    expect(files()).toEqual([`${nameOf(second, 0, 'Second')}.qcow2`, `${nameOf(second, 0, 'Second')}.xml`]);
    expect(await image(first)).toMatchObject({ deleted: 1 });
  });

  it('the end of the reservation is waited for by nobody: the image is made', async () => {
    const requestId = await inUse();
    const ordered = await untilCopying(requestId);
    await site
      .database('request')
      .where({ id: requestId })
      .update({ end: await site.time(-1) });
    site.host.heal();
    await site.stopNodes(); // the copy that hangs is cut off, as when the daemon is stopped
    await site.startNode();
    await site.waitFor(requestId, null, 60);
    expect(await image(ordered)).toMatchObject({ deleted: 0 });
  });
});

/** No folder has room. */
function fillUp(): void {
  const text = '#!/bin/sh\necho Filesystem Type Blocks Used Available Capacity Mounted\necho x x 100 100 0 100% /\n';
  writeFileSync(site.host.path('bin', 'df'), text.replace(/x x/, 'x'), { mode: 0o755 });
}

/** The rows are there, and the daemon does not see them yet. */
async function orderQuietly(requestId: number): Promise<OrderedImage> {
  const before = (await site.state(requestId))!.split('/')[0] as 'inuse';
  await site.stopNodes();
  const ordered = await order(requestId);
  await site.write(requestId, before);
  await site.startNode();
  return ordered;
}

function takeName(ordered: OrderedImage): void {
  writeFileSync(datastore(`${nameOf(ordered)}.qcow2`), 'of somebody else');
}

function freeName(ordered: OrderedImage): void {
  rmSync(datastore(`${nameOf(ordered)}.qcow2`));
}

async function useRepository(): Promise<void> {
  await site
    .database('vmprofile')
    .whereNotNull('datastorepath')
    .update({ repositorypath: site.host.path('not-mounted') });
}

function mountRepository(): void {
  mkdirSync(site.host.path('not-mounted'));
  expect(existsSync(path.join(site.host.path('not-mounted')))).toBe(true);
}

/** Where a file system breaks in the middle of a copy. */
function breakCopy(): void {
  site.host.fail('sync', { message: 'sync: Input/output error' });
}
