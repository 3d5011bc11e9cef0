/** The front end writes statement by statement, and guards nothing: what a daemon that looks in between makes of it. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { STATE_IDS, type StateName } from '../../../lib/model/states';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { eventually } from '../../support/eventually';
import { FakeClusterSite } from '../../support/fake-cluster-site';
import { WebClient } from '../../support/web-client';
import { lastStateOfEnd } from '../../support/web-status';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const USER = '192.0.2.7';

wherever('between any two statements of the front end a daemon looks several times, and', () => {
  let site: FakeClusterSite;
  let web: WebClient;
  const seen: string[] = [];
  beforeEach(async () => {
    site = await FakeClusterSite.open({ computers: 2 });
    web = new WebClient(site.database, site.t.managementNodeId, (minutes) => site.time(minutes));
    seen.length = 0;
    await site.startNode();
  });
  afterEach(() => site.close());

  /** So slow that the daemon looks some times in between. */
  const slowly = () => {
    web.between = async (table) => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      const requests = await site.database('request').select<{ id: number }[]>('id');
      const states = await Promise.all(requests.map(({ id }) => site.state(id)));
      seen.push([table, ...states].join(' '));
    };
  };
  const wanted = async (computers: readonly string[] = ['vm1']) => {
    const { imageId, revisionId } = site.t.image;
    return { computers, userId: await site.userId('student'), imageId, revisionId };
  };
  const isReady = (requestId: number) => eventually(async () => (await web.status(requestId)) === 'ready', 30);
  const pending = (requestId: number, state: StateName) => site.waitFor(requestId, `pending/${state}`);
  const kicked = () => site.log.lines.filter(({ level }) => level === 'error').map(({ message }) => message);

  it('a request is left alone before its reservation is there', async () => {
    slowly();
    const requestId = await web.newReservation(await wanted());
    expect(seen.filter((look) => /^(request|log|sublog)/.test(look)).slice(1)).not.toContainEqual(
      expect.stringContaining('pending'),
    );
    await isReady(requestId);
    expect(kicked()).toEqual([]);
    expect(site.host.domains()).toHaveLength(1);
  });

  it('a cluster is loaded whole', async () => {
    slowly();
    const requestId = await web.newReservation(await wanted(['vm1', 'vm2']));
    await isReady(requestId);
    expect(site.host.domains()).toHaveLength(2);
  });

  it('a server request is one although its row comes when the load is under way', async () => {
    slowly();
    const group = await site.group('ops', 'lou');
    const requestId = await web.deployServer(await wanted(), { name: 'srv', loginGroupId: group, userData: 'data' });
    expect(seen.find((look) => look.startsWith('serverrequest'))).toMatch(/pending\/(new|reserved)/);
    await eventually(async () => (await site.state(requestId))?.startsWith('inuse/') ?? false, 30);
    expect(site.guests.read(site.domainOf('vm1')!.name, 'etc/passwd')).toMatch(/^lou:/m);
    expect(site.domainOf('vm1')).toMatchObject({ boots: 1 });
  });

  it('an acknowledgement whose rows come one after the other opens the way in once', async () => {
    const requestId = await web.newReservation(await wanted());
    await isReady(requestId);
    slowly();
    site.letUserConnect('vm1');
    await web.connect(requestId, USER);
    await eventually(async () => (await site.computerState('vm1')) === 'inuse', 10);
    expect(kicked()).toEqual([]);
  });

  it('a capture is begun with its state, when image and reservation are complete', async () => {
    const requestId = await web.newReservation(await wanted());
    site.letUserConnect('vm1');
    await isReady(requestId);
    await web.connect(requestId, USER);
    await eventually(async () => (await site.computerState('vm1')) === 'inuse', 10);
    slowly();
    const { imageId } = await web.createImage(requestId, 'slow');
    await site.waitFor(requestId, null, 60);
    expect(await site.database('image').where({ id: imageId }).first()).toMatchObject({ deleted: 0 });
  });

  it('a reservation that the front end removes in the middle leaves its computer free', async () => {
    site.guests.behave('vm1', { reaches: 'nothing' });
    const requestId = await web.newReservation(await wanted());
    await eventually(() => site.domainOf('vm1')?.state === 'running', 20);
    slowly();
    await web.remove(requestId);
    await eventually(async () => (await site.computerState('vm1')) === 'available', 20);
    await eventually(() => site.host.domains().length === 0, 10);
  });

  it('an end that is written while it is loaded, waited for, used, rebooted or reinstalled is worked out of each', async () => {
    const moments: readonly [StateName, () => Promise<number>][] = [
      ['new', () => stuckIn('new')],
      ['reserved', async () => ready()],
      ['inuse', async () => counting()],
      ['reboothard', () => stuckIn('reboothard')],
      ['reinstall', () => stuckIn('reinstall')],
    ];
    for (const [state, begin] of moments) {
      const requestId = await begin();
      await pending(requestId, state);
      await web.end(requestId);
      expect(`${state}: ${await site.state(requestId)}`).toMatch(
        new RegExp(`^${state}: (deleted|pending)/(${lastStateOfEnd('pending', state)}|deleted)$`),
      );
      site.guests.behave('vm1', {});
      await site.waitFor(requestId, null, 30);
      expect(`${state}: ${await site.computerState('vm1')}`).toBe(`${state}: available`);
    }
  });

  it('a request whose end has passed before anybody began is not loaded for nobody', async () => {
    await site.stopNodes();
    const requestId = await web.newReservation(await wanted());
    await site.database('request').update({ start: await site.time(-90), end: await site.time(-1) });
    await site.startNode();
    await eventually(async () => (await site.state(requestId)) === null, 20);
    expect(site.host.domains()).toEqual([]);
    expect(await site.computerState('vm1')).toBe('available');
    const told = site.log.lines.map(({ message }) => message);
    expect(told).not.toContain('set the computer reloading');
    expect(await site.database('log').first()).toMatchObject({ ending: 'failed' });
  });

  it('a second wish over the first is the one that is worked', async () => {
    const requestId = await ready();
    site.letUserConnect('vm1');
    await web.connect(requestId, USER);
    await eventually(async () => (await site.computerState('vm1')) === 'inuse', 10);
    await web.reboot(requestId, 'soft');
    await web.reboot(requestId, 'hard');
    await web.reinstall(requestId);
    const before = site.domainOf('vm1')!.uuid;
    await pending(requestId, 'reserved');
    await eventually(() => site.domainOf('vm1')?.uuid !== before, 20);
    expect(await site.database('request').where({ id: requestId }).first()).toMatchObject({
      stateid: STATE_IDS.pending,
    });
  });

  async function ready(): Promise<number> {
    const requestId = await web.newReservation(await wanted());
    await isReady(requestId);
    return requestId;
  }

  async function counting(): Promise<number> {
    const requestId = await ready();
    site.letUserConnect('vm1');
    await web.connect(requestId, USER);
    await eventually(async () => (await site.computerState('vm1')) === 'inuse', 10);
    await web.setEnd(requestId, 4);
    return requestId;
  }

  /** In the hands of the daemon, which waits for a guest that does not answer. */
  async function stuckIn(state: 'new' | 'reboothard' | 'reinstall'): Promise<number> {
    if (state === 'new') {
      site.guests.behave('vm1', { reaches: 'nothing' });
      return web.newReservation(await wanted());
    }
    const requestId = await ready();
    site.letUserConnect('vm1');
    await web.connect(requestId, USER);
    await eventually(async () => (await site.computerState('vm1')) === 'inuse', 10);
    site.guests.behave('vm1', { reaches: 'nothing' });
    await (state === 'reinstall' ? web.reinstall(requestId) : web.reboot(requestId, 'hard'));
    return requestId;
  }
});
