/** What the site's variables, the image and the request say about waiting for the user (contract 2.4, 2.6, web rows 6). */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { eventually } from '../../support/eventually';
import { FakeClusterSite } from '../../support/fake-cluster-site';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

wherever('while its user is waited for', () => {
  let site: FakeClusterSite;
  beforeEach(async () => {
    site = await FakeClusterSite.open();
  });
  afterEach(() => site.close());

  const set = async (name: string, value: string | number) => {
    await site.database('variable').where({ name }).delete();
    await site.insert('variable', { name, serialization: 'none', value, timestamp: '2026-01-01 00:00:00' });
  };
  const ending = async () => (await site.database('log').orderBy('id', 'desc').first<{ ending: string }>()).ending;
  const password = async (requestId: number) =>
    (await site.database('reservation').where({ requestid: requestId }).first<{ pw: string }>()).pw;

  it('a time-out for the users of his affiliation wins over that for everybody', async () => {
    await set('acknowledgetimeout', 900);
    await set('acknowledgetimeout|Local', 1);
    await site.startNode();
    const { requestId } = await site.request();
    await site.waitFor(requestId, 'complete/timeout');
    expect(await ending()).toBe('noack');
  });

  it('the password has the length and the characters of the site’s variables', async () => {
    await set('user_password_length', 9);
    await set('user_password_spchar|Local', 1);
    await site.startNode();
    const { requestId } = await site.request();
    await site.waitFor(requestId, 'pending/reserved');
    expect(await password(requestId)).toMatch(/^(?=.{9}$)[A-Za-z0-9]+[-_+=.,@%!?*][A-Za-z0-9]+$/);
  });

  it('a user of a federated affiliation gets no password, for he has one', async () => {
    await site.userId('fred');
    await site.database('user').where({ unityid: 'fred' }).update({ uid: 4711 });
    await site.database('managementnode').update({ NOT_STANDALONE: 'Other,Local' });
    await site.startNode();
    const { requestId } = await site.request({ user: 'fred' });
    await site.waitFor(requestId, 'pending/reserved');
    expect(await password(requestId)).toBeNull();
    expect(site.guests.read(site.domainOf('vm1')!.name, 'etc/passwd')).toMatch(/^fred:x:4711:/m);
  });

  it('the countdown of the first connection has its row, even when the acknowledgement came through the API', async () => {
    await site.startNode();
    const { requestId, reservationIds } = await site.request();
    await site.waitFor(requestId, 'pending/reserved');
    await eventually(async () => (await site.told(reservationIds[0]!)).includes('acknowledgetimeout'));
    await site.acknowledge(requestId);
    await eventually(async () => (await site.told(reservationIds[0]!)).includes('initialconnecttimeout'));
    expect(await site.told(reservationIds[0]!)).not.toContain('acknowledgetimeout');
  });

  it('a row of the front end’s for that countdown is not doubled', async () => {
    await site.startNode();
    const { requestId, reservationIds } = await site.request();
    await site.waitFor(requestId, 'pending/reserved');
    const { id: computerid } = await site.computer('vm1');
    const state = await site
      .database('computerloadstate')
      .where({ loadstatename: 'initialconnecttimeout' })
      .first<{ id: number }>();
    await site.insert('computerloadlog', {
      reservationid: reservationIds[0],
      computerid,
      loadstateid: state.id,
      timestamp: await site.time(0),
    });
    await site.acknowledge(requestId);
    await eventually(async () => (await site.told(reservationIds[0]!)).includes('postreserve'));
    expect((await site.told(reservationIds[0]!)).filter((name) => name === 'initialconnecttimeout')).toHaveLength(1);
  });

  it('a guest that is slow to answer costs him nothing, one that is off does', async () => {
    await site.startNode();
    const { requestId, reservationIds } = await site.request();
    await site.waitFor(requestId, 'pending/reserved');
    await site.acknowledge(requestId);
    await eventually(async () => (await site.told(reservationIds[0]!)).includes('postreserve'));
    const isMute = () =>
      site.log.lines.some(({ message }) => message.includes('does not say whether its user is there'));
    site.guests.behave('vm1', { reaches: 'banner' });
    await site.guests.forget('192.168.121.10');
    await eventually(isMute, 20);
    await site.waitFor(requestId, 'pending/reserved');
    await site.host.run(['virsh', '-q', 'destroy', site.domainOf('vm1')!.name]);
    await site.waitFor(requestId, 'failed/reserved');
  });

  it('one who did not connect in time loses the reservation', async () => {
    await set('initialconnecttimeout', 1);
    await site.startNode();
    const { requestId } = await site.request();
    await site.waitFor(requestId, 'pending/reserved');
    await site.acknowledge(requestId);
    await eventually(async () => (await ending()) === 'nologin');
  });

  it('one who did not connect keeps it when the check was switched off meanwhile (nousercheck)', async () => {
    await set('initialconnecttimeout', 2);
    await site.startNode();
    const { requestId } = await site.request();
    await site.waitFor(requestId, 'pending/reserved');
    await site.acknowledge(requestId);
    await site.database('request').where({ id: requestId }).update({ checkuser: 0 });
    await site.waitFor(requestId, 'inuse/reserved');
  });

  it('a reservation of a day or more is in use without any connection', async () => {
    await site.startNode();
    const { requestId } = await site.request({ minutes: 1440 });
    await site.waitFor(requestId, 'pending/reserved');
    await site.acknowledge(requestId);
    await site.waitFor(requestId, 'inuse/reserved');
  });
});
