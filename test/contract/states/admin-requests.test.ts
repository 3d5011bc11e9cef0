/** Requests that an admin's page, a block allocation or the clock makes, and that no user waits for (contract 2.3, 2.6). */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { eventually } from '../../support/eventually';
import { FakeClusterSite } from '../../support/fake-cluster-site';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const NO_IMAGE = { imageId: 1, revisionId: 1, withoutLog: true };

let site: FakeClusterSite;

async function open(): Promise<void> {
  site = await FakeClusterSite.open();
  await site.startNode();
}

/** The computer as a reload has left it: loaded, and nobody's. */
async function reload(name = 'vm1'): Promise<void> {
  const { requestId } = await site.request({ state: 'reload', computers: [name], withoutLog: true });
  await site.waitFor(requestId, null);
}

wherever('tomaintenance', () => {
  beforeEach(open);
  afterEach(() => site.close());

  it('removes the domain, puts the computer aside, takes it off its host, and is gone', async () => {
    await reload();
    const { requestId } = await site.request({ state: 'tomaintenance', ...NO_IMAGE });
    await site.waitFor(requestId, null);
    expect(site.host.domains()).toEqual([]);
    expect(await site.computerState('vm1')).toBe('maintenance');
    expect(await site.computer('vm1')).toMatchObject({ vmhostid: null, currentimageid: 1, imagerevisionid: 1 });
  });

  it('waits for the user to leave', async () => {
    const { requestId: users } = await site.inuse();
    const { requestId } = await site.request({ state: 'tomaintenance', ...NO_IMAGE });
    await site.waitFor(requestId, 'pending/tomaintenance');
    expect(await site.computerState('vm1')).toBe('inuse');
    await site.write(users, 'deleted');
    await site.waitFor(requestId, null, 30);
    expect(await site.computer('vm1')).toMatchObject({ vmhostid: null });
    expect(await site.computerState('vm1')).toBe('maintenance');
  });

  it('takes a computer that is in maintenance already off its host, and is repeatable', async () => {
    await site.database('computer').where({ hostname: 'vm1.test' }).update({ stateid: 10, vmhostid: null });
    const { requestId } = await site.request({ state: 'tomaintenance', ...NO_IMAGE });
    await site.waitFor(requestId, null);
    expect(await site.computerState('vm1')).toBe('maintenance');
  });

  it('is not begun before its start', async () => {
    const { requestId } = await site.request({ state: 'tomaintenance', ...NO_IMAGE, startsInMinutes: 30 });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await site.state(requestId)).toBe('tomaintenance/tomaintenance');
  });
});

wherever('tovmhostinuse', () => {
  beforeEach(open);
  afterEach(() => site.close());

  it('without an image only makes the computer a VM host', async () => {
    const { requestId } = await site.request({ state: 'tovmhostinuse', ...NO_IMAGE });
    await site.waitFor(requestId, null);
    expect(await site.computerState('vm1')).toBe('vmhostinuse');
    expect(site.host.domains()).toEqual([]);
  });

  it('with an image loads it first, from maintenance too', async () => {
    await site.database('computer').where({ hostname: 'vm1.test' }).update({ stateid: 10 });
    const { requestId } = await site.request({ state: 'tovmhostinuse', withoutLog: true });
    await site.waitFor(requestId, null);
    expect(site.domainOf('vm1')).toMatchObject({ state: 'running' });
  });
});

wherever('imageprep', () => {
  beforeEach(open);
  afterEach(() => site.close());

  it('loads the image, leaves the computer available, and is gone', async () => {
    const { requestId } = await site.request({ state: 'imageprep', withoutLog: true });
    await site.waitFor(requestId, null);
    expect(await site.computerState('vm1')).toBe('available');
    expect(await site.computer('vm1')).toMatchObject({ currentimageid: site.t.image.imageId });
    expect(site.domainOf('vm1')).toMatchObject({ state: 'running' });
  });

  it('gives way to what has the computer, and leaves it as it is', async () => {
    await site.database('computer').where({ hostname: 'vm1.test' }).update({ stateid: 10 });
    const { requestId } = await site.request({ state: 'imageprep', withoutLog: true });
    await site.waitFor(requestId, null);
    expect(await site.computerState('vm1')).toBe('maintenance');
  });
});

wherever('the preload window, from 35 to 25 minutes before the start,', () => {
  beforeEach(open);
  afterEach(() => site.close());
  const preloaded = async (requestId: number) =>
    (await site.database('request').where({ id: requestId }).first<{ preload: number }>()).preload;

  it('loads the image ahead; the request waits for its start as before, the computer is free meanwhile', async () => {
    const { requestId, reservationIds } = await site.request({ startsInMinutes: 30 });
    await eventually(async () => (await preloaded(requestId)) === 1, 20);
    expect(await site.state(requestId)).toBe('new/new');
    expect(await site.computerState('vm1')).toBe('available');
    expect(site.domainOf('vm1')).toMatchObject({ state: 'running', boots: 1 });
    await site
      .database('request')
      .where({ id: requestId })
      .update({ start: await site.time(-1) });
    await site.waitFor(requestId, 'pending/reserved');
    expect(site.domainOf('vm1')).toMatchObject({ boots: 1 });
    expect((await site.told(reservationIds[0]!)).filter((name) => name === 'startload')).toHaveLength(1);
  });

  it('on a computer in use only notes the image as its next, and tries no second time', async () => {
    const { requestId: users } = await site.inuse({ minutes: 20 });
    const { requestId } = await site.request({ startsInMinutes: 30 });
    await eventually(async () => (await preloaded(requestId)) === 1);
    expect(await site.state(requestId)).toBe('new/new');
    expect(await site.computer('vm1')).toMatchObject({ nextimageid: site.t.image.imageId });
    expect(await site.computerState('vm1')).toBe('inuse');
    expect(await site.state(users)).toMatch(/inuse/);
  });

  it('that fails is no failure: the load is tried again at the start', async () => {
    site.host.fail('virsh define', { message: 'error: no' });
    const { requestId } = await site.request({ startsInMinutes: 30 });
    await eventually(async () => (await preloaded(requestId)) === 1, 20);
    expect(await site.state(requestId)).toBe('new/new');
    expect(await site.computerState('vm1')).toBe('available');
    expect(site.host.domains()).toEqual([]);
  });

  it('is the same for reloads that a block allocation ordered', async () => {
    const { requestId } = await site.request({ state: 'reload', withoutLog: true, startsInMinutes: 30 });
    await eventually(async () => (await preloaded(requestId)) === 1, 20);
    expect(await site.state(requestId)).toBe('reload/reload');
    expect(site.domainOf('vm1')).toMatchObject({ state: 'running' });
  });

  it('leaves the computer free when the user takes his request back in the middle', async () => {
    site.guests.behave('vm1', { reaches: 'nothing' });
    const { requestId } = await site.request({ startsInMinutes: 30 });
    await eventually(async () => (await site.computerState('vm1')) === 'reloading');
    await site.database('reservation').where({ requestid: requestId }).delete();
    await site.database('request').where({ id: requestId }).delete();
    await eventually(async () => (await site.computerState('vm1')) === 'available');
  });
});

wherever('makeproduction', () => {
  beforeEach(open);
  afterEach(() => site.close());

  it('makes the revision that of everybody, and reloads idle computers that hold an older one', async () => {
    const { imageId, revisionId, fileName } = site.t.image;
    await reload('vm2');
    const name = fileName.replace(/v0$/, 'v1');
    site.putImage(name);
    const tested = await site.insert('imagerevision', {
      imageid: imageId,
      revision: 1,
      userid: 1,
      datecreated: await site.time(0),
      deleted: 0,
      production: 0,
      imagename: name,
    });
    await site.database('image').where({ id: imageId }).update({ test: 1 });
    const { requestId } = await site.inuse({ revisionId: tested });
    await site.write(requestId, 'makeproduction');
    await eventually(async () => [null, 'complete/deleted'].includes(await site.state(requestId)), 20);
    expect(await site.database('image').where({ id: imageId }).first()).toMatchObject({ name, test: 0 });
    const revisions = await site.database('imagerevision').where({ imageid: imageId }).orderBy('revision');
    expect(revisions).toMatchObject([
      { id: revisionId, production: 0 },
      { id: tested, production: 1 },
    ]);
    await eventually(async () => (await site.computer('vm2')).imagerevisionid === tested, 20);
    const log = await site.database('log').where({ requestid: null }).orderBy('id', 'desc').first<{ ending: string }>();
    expect(log.ending).toBe('released');
  });

  it('of an image with only one revision makes that production [bug of vcld]', async () => {
    const { imageId, revisionId } = site.t.image;
    await site.database('imagerevision').where({ id: revisionId }).update({ production: 0 });
    const { requestId } = await site.inuse();
    await site.write(requestId, 'makeproduction');
    await eventually(
      async () => ![`pending/makeproduction`, 'makeproduction/reserved'].includes((await site.state(requestId)) ?? ''),
    );
    expect(await site.database('imagerevision').where({ imageid: imageId })).toMatchObject([{ production: 1 }]);
  });
});

wherever('imageinuse', () => {
  beforeEach(open);
  afterEach(() => site.close());

  it('is watched as inuse is', async () => {
    const { requestId } = await site.inuse();
    await site.database('reservation').where({ requestid: requestId }).update({ lastcheck: null });
    await site.write(requestId, 'imageinuse');
    await site.waitFor(requestId, 'inuse/imageinuse');
    expect(await site.computerState('vm1')).toBe('inuse');
  });
});
