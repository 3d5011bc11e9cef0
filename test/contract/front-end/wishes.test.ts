/**
 * Every wish of a user or admin that the front end writes (web rows 1), statement by statement, with a daemon that looks
 * all the time.
 */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { eventually } from '../../support/eventually';
import { FakeClusterSite } from '../../support/fake-cluster-site';
import { WebClient } from '../../support/web-client';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const USER = '192.0.2.7';
/** A user's action is noticed within this. */
const A_SECOND = 1;

let site: FakeClusterSite;
let web: WebClient;

const open = async (computers = 2) => {
  site = await FakeClusterSite.open({ computers });
  web = new WebClient(site.database, site.t.managementNodeId, (minutes) => site.time(minutes));
  await site.startNode();
};
const close = () => site.close();

const reserve = async (more: Partial<Parameters<WebClient['newReservation']>[0]> = {}) => {
  const { imageId, revisionId } = site.t.image;
  return web.newReservation({ computers: ['vm1'], userId: await site.userId('student'), imageId, revisionId, ...more });
};
const shows = (requestId: number, status: string, seconds = 30) =>
  eventually(async () => {
    const now = await web.status(requestId);
    if (now === 'failed' && status !== 'failed') throw new Error(site.story());
    return now === status;
  }, seconds);
/** Loaded, acknowledged, and its user is on it. */
const used = async (more: Parameters<typeof reserve>[0] = {}) => {
  const requestId = await reserve(more);
  for (const name of more.computers ?? ['vm1']) site.letUserConnect(name);
  await shows(requestId, 'ready');
  await web.connect(requestId, USER);
  await eventually(async () => /^(inuse|pending)\/(reserved|inuse)$/.test((await site.state(requestId)) ?? ''), 10);
  await eventually(async () => (await site.computerState('vm1')) === 'inuse', 15);
  return requestId;
};
const log = (requestId: number) =>
  site.database('log').where({ requestid: requestId }).first<{ ending: string; loaded: string | null }>();
const reservation = (requestId: number) =>
  site.database('reservation').where({ requestid: requestId }).first<{ id: number; pw: string; imageid: number }>();

wherever('a user of the front end', () => {
  beforeEach(() => open());
  afterEach(close);

  it('reserves from now on: sees it loading, then the Connect button with address and password, then is on it', async () => {
    const requestId = await reserve();
    expect(await web.status(requestId)).toBe('loading');
    await shows(requestId, 'ready');
    expect(await site.state(requestId)).toBe('pending/reserved');
    const { address, password } = await web.connectData(requestId);
    expect([address, password]).toEqual([(await site.computer('vm1')).IPaddress, expect.stringMatching(/^\w{8}$/)]);
    expect((await log(requestId)).loaded).not.toBeNull();
    const told = await site.told((await reservation(requestId)).id);
    const flow = ['statuscheck', 'doesimageexists', 'startload', 'transfervm', 'vmsetupconfig', 'startvm'];
    const shown = [...flow, 'machinebooted', 'loadimagecomplete', 'addinguser', 'nodeready', 'reserved'];
    await eventually(async () => (await site.told((await reservation(requestId)).id)).includes('acknowledgetimeout'));
    expect([...told, ...(await site.told((await reservation(requestId)).id))]).toEqual(expect.arrayContaining(shown));
    site.letUserConnect('vm1');
    await web.connect(requestId, USER);
    await eventually(async () => (await site.computerState('vm1')) === 'inuse', 10);
    expect(await web.status(requestId)).toBe('ready');
  });

  it('reserves for later: nothing is begun before the time comes', async () => {
    const requestId = await reserve({ startsInMinutes: 90 });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect([await site.state(requestId), await web.status(requestId)]).toEqual(['new/new', 'future']);
    expect(site.host.domains()).toEqual([]);
  });

  it('ends one that has not begun: the front end removes it, and nobody misses it', async () => {
    const requestId = await reserve({ startsInMinutes: 90 });
    await web.end(requestId);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect([await site.state(requestId), (await log(requestId)).ending]).toEqual([null, 'deleted']);
    expect(await site.computerState('vm1')).toBe('available');
  });

  it('ends one that he uses: what is done is done within a second, and the machine is gone with all that was his', async () => {
    const requestId = await used();
    await web.end(requestId);
    await eventually(async () => (await site.state(requestId)) !== 'deleted/inuse', A_SECOND);
    await site.waitFor(requestId, null);
    expect(site.host.domains()).toEqual([]);
    expect([await site.computerState('vm1'), (await log(requestId)).ending]).toEqual(['available', 'released']);
  });

  it('ends one that is being loaded: the load stops at its next step, within a second, and leaves nothing', async () => {
    site.guests.behave('vm1', { reaches: 'nothing' });
    const requestId = await reserve();
    await eventually(() => site.domainOf('vm1')?.state === 'running', 20);
    await web.end(requestId);
    expect(await site.state(requestId)).toBe('deleted/reserved');
    await eventually(async () => (await site.state(requestId)) !== 'deleted/reserved', A_SECOND);
    await site.waitFor(requestId, null);
    expect(site.host.domains()).toEqual([]);
    expect(await site.computerState('vm1')).toBe('available');
  });

  it('ends one that waits for his acknowledgement: within a second it is being cleaned', async () => {
    const requestId = await reserve();
    await shows(requestId, 'ready');
    await web.end(requestId);
    await eventually(async () => (await site.state(requestId)) !== 'deleted/reserved', A_SECOND);
    await site.waitFor(requestId, null);
    expect(await site.computerState('vm1')).toBe('available');
  });

  it('connects through the API: the countdown that the page would have begun is begun for him', async () => {
    const requestId = await reserve();
    await shows(requestId, 'ready');
    await web.connect(requestId, USER, 'api');
    const { id } = await reservation(requestId);
    await eventually(async () => (await site.told(id)).includes('initialconnecttimeout'), 5);
  });

  it('extends while he is on it: he keeps it, and the state is what it was', async () => {
    const requestId = await used({ minutes: 30 });
    await web.setEnd(requestId, 120);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await web.status(requestId)).toBe('ready');
    expect((await log(requestId)).ending).toBe('none');
  });

  it('extends in the last minutes: within a second nothing counts down any more', async () => {
    const requestId = await used();
    await web.setEnd(requestId, 3);
    await site.waitFor(requestId, 'pending/inuse');
    await web.setEnd(requestId, 120);
    await eventually(async () => (await site.state(requestId)) === 'inuse/inuse', A_SECOND);
  });

  it('reboots, gently: begun within a second, and ready again afterwards on the same machine', async () => {
    const requestId = await used();
    await web.reboot(requestId, 'soft');
    expect(await web.status(requestId)).toBe('loading');
    await eventually(async () => (await site.state(requestId)) !== 'rebootsoft/reserved', A_SECOND);
    await shows(requestId, 'ready');
    expect(site.domainOf('vm1')).toMatchObject({ state: 'running', boots: 2 });
  });

  it('reboots, hard', async () => {
    const requestId = await used();
    await web.reboot(requestId, 'hard');
    await shows(requestId, 'ready');
    expect(site.domainOf('vm1')).toMatchObject({ state: 'running', boots: 2 });
  });

  it('reinstalls: begun within a second, a fresh machine, and the Connect button once more', async () => {
    const requestId = await used();
    const before = site.domainOf('vm1')!;
    await web.reinstall(requestId);
    await eventually(async () => (await site.state(requestId))?.startsWith('pending/') ?? false, A_SECOND);
    await site.waitFor(requestId, 'pending/reserved');
    await shows(requestId, 'ready');
    expect(site.domainOf('vm1')!.uuid).not.toBe(before.uuid);
    expect(await site.computerState('vm1')).not.toBe('failed');
  });

  it('reinstalls with another revision, and has that', async () => {
    const { imageId, fileName } = site.t.image;
    const imagename = fileName.replace(/v0$/, 'v1');
    site.putImage(imagename);
    const row = { imageid: imageId, revision: 1, userid: 1, deleted: 0, production: 0, imagename };
    const revisionId = await site.insert('imagerevision', { ...row, datecreated: await site.time(0) });
    const requestId = await used();
    await web.reinstall(requestId, revisionId);
    await site.waitFor(requestId, 'pending/reserved');
    expect((await site.computer('vm1')).imagerevisionid).toBe(revisionId);
    expect(site.domainOf('vm1')!.name).toMatch(/-v1$/);
  });

  it('removes one that failed: the front end takes its rows, and the computer is nobody’s', async () => {
    site.host.fail('virsh define', { message: 'error: no' });
    const requestId = await reserve();
    await shows(requestId, 'failed');
    await web.remove(requestId);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await site.computerState('vm1')).toBe('available');
    expect(await site.state(await reserve())).toMatch(/new/);
  });
});

wherever('an owner of images', () => {
  beforeEach(() => open());
  afterEach(close);

  const image = (id: number) => site.database('image').where({ id }).first<{ deleted: number; name: string }>();

  it('ends his reservation with a new image: it is there for others, and his computer is loaded with it', async () => {
    const requestId = await used();
    const { imageId } = await web.createImage(requestId, 'brand new');
    expect(await web.status(requestId)).toBe('image');
    await site.waitFor(requestId, null, 60);
    expect(await image(imageId)).toMatchObject({ deleted: 0 });
    await eventually(async () => (await site.computerState('vm1')) === 'available', 30);
    expect((await site.computer('vm1')).currentimageid).toBe(imageId);
  });

  it('ends it with a new revision of the image', async () => {
    const requestId = await used();
    const { imageId, revisionId } = await web.updateImage(requestId);
    await site.waitFor(requestId, null, 60);
    expect(await site.database('imagerevision').where({ id: revisionId }).first()).toMatchObject({
      deleted: 0,
      production: 0,
    });
    expect(await image(imageId)).toMatchObject({ name: site.t.image.fileName });
  });

  it('keeps his reservation and makes an image of it', async () => {
    const requestId = await used();
    const { imageId } = await web.createImage(requestId, 'kept', 'checkpoint');
    await shows(requestId, 'ready', 60);
    expect(await image(imageId)).toMatchObject({ deleted: 0 });
    expect(await site.computerState('vm1')).toBe('inuse');
  });

  it('makes a revision production, which ends his reservation', async () => {
    const requestId = await used();
    await web.makeProduction(requestId);
    expect(await web.status(requestId)).toBe('error (unknown requestid)');
    await site.waitFor(requestId, null, 30);
    expect((await log(requestId)).ending).toBe('released');
  });
});

wherever('an owner of a server', () => {
  beforeEach(() => open());
  afterEach(close);

  const server = async (loginGroupId: number) => {
    const { imageId, revisionId } = site.t.image;
    const userId = await site.userId('student');
    const wanted = { computers: ['vm1'], userId, imageId, revisionId };
    const requestId = await web.deployServer(wanted, { name: 'srv one', loginGroupId, userData: 'hello userdata' });
    await eventually(async () => (await site.computerState('vm1')) === 'inuse', 30);
    return requestId;
  };
  const accounts = () => site.guests.read(site.domainOf('vm1')!.name, 'etc/passwd') ?? '';

  it('deploys it: it is in use without anybody’s acknowledgement, with its data and its group', async () => {
    const requestId = await server(await site.group('ops', 'lou'));
    expect(await web.status(requestId)).toBe('ready');
    expect(accounts()).toMatch(/^lou:/m);
    expect(await site.database('variable').where('name', 'like', 'userdata%')).toEqual([]);
    const { id: reservationid } = await reservation(requestId);
    const userid = await site.userId('lou');
    expect(await site.database('reservationaccounts').where({ reservationid, userid })).toHaveLength(1);
  });

  it('gives it another group: within a second it is being done, and it stays ready all the time', async () => {
    const requestId = await server(await site.group('ops', 'lou'));
    const loginGroupId = await site.group('others', 'kim');
    await eventually(async () => /^inuse/.test((await site.state(requestId)) ?? ''));
    await web.editGroups(requestId, { loginGroupId });
    expect(await web.status(requestId)).toBe('ready');
    await eventually(async () => !(await site.state(requestId))?.startsWith('servermodified'), A_SECOND);
    await eventually(() => /^kim:/m.test(accounts()) && !/^lou:/m.test(accounts()), 10);
    await eventually(async () => (await site.state(requestId))?.startsWith('inuse/') ?? false);
    expect(await web.status(requestId)).toBe('ready');
  });

  it('whose group gets a member has him on it', async () => {
    const group = await site.group('ops', 'lou');
    const requestId = await server(group);
    await eventually(async () => /^inuse/.test((await site.state(requestId)) ?? ''));
    await web.addToGroup(group, await site.userId('kim'));
    await eventually(() => /^kim:/m.test(accounts()), 10);
  });
});

wherever('an admin of the front end', () => {
  beforeEach(() => open());
  afterEach(close);

  it('reloads a computer, which is then free with the image', async () => {
    const requestId = await web.reload('vm1', site.t.image);
    await site.waitFor(requestId, null);
    expect(await site.computer('vm1')).toMatchObject({ stateid: 2, currentimageid: site.t.image.imageId });
  });

  it('takes a free VM off its host', async () => {
    const requestId = await web.takeOffHost('vm1');
    await site.waitFor(requestId, null);
    expect(await site.computer('vm1')).toMatchObject({ stateid: 10, vmhostid: null });
  });

  it('takes a busy VM off its host when its user has gone', async () => {
    const users = await used();
    const requestId = await web.takeOffHost('vm1');
    await site.waitFor(requestId, 'pending/tomaintenance');
    expect(await web.status(users)).toBe('ready');
    await web.end(users);
    await site.waitFor(requestId, null, 30);
    expect(await site.computer('vm1')).toMatchObject({ stateid: 10, vmhostid: null });
  });

  it('orders the reloads of a block allocation: each is done before the block, and its computers are free for it', async () => {
    const requestId = await web.reload('vm1', site.t.image, 30);
    await eventually(async () => (await site.computer('vm1')).currentimageid === site.t.image.imageId, 20);
    expect([await site.state(requestId), await site.computerState('vm1')]).toEqual(['reload/reload', 'available']);
  });
});
