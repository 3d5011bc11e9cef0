/** A user is at work and the end comes near: contract 2.6, the state inuse. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { eventually } from '../../support/eventually';
import { FakeClusterSite } from '../../support/fake-cluster-site';
import { fault, struct, WebFrontEnd } from '../../support/web-front-end';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

wherever('a reservation in use', () => {
  let site: FakeClusterSite;
  let web: WebFrontEnd;
  beforeEach(async () => {
    web = await WebFrontEnd.start('http');
    site = await FakeClusterSite.open({ settings: { xmlrpc: web.settings() } });
    await site.database('computer').where({ hostname: 'vm1.test' }).update({ stateid: 8 });
  });
  afterEach(async () => {
    await site.close();
    await web.stop();
  });

  const set = async (name: string, value: number) => {
    await site.database('variable').where({ name }).delete();
    await site.insert('variable', { name, serialization: 'none', value, timestamp: '2026-01-01 00:00:00' });
  };
  const ending = async () => (await site.database('log').orderBy('id', 'desc').first<{ ending: string }>()).ending;
  const inUse = (minutesLeft: number) =>
    site.request({ state: 'inuse', lastState: 'reserved', minutes: 5 + minutesLeft, remoteIp: '192.0.2.7' });
  const ofImaging = async (minutesLeft: number) => {
    const { requestId } = await inUse(minutesLeft);
    await site.database('request').where({ id: requestId }).update({ forimaging: 1 });
    return requestId;
  };

  it('times out at its end with the log EOR, and its computer is freed', async () => {
    const { requestId } = await inUse(0);
    await site.startNode();
    await site.waitFor(requestId, null);
    expect([await ending(), await site.computerState('vm1')]).toEqual(['EOR', 'available']);
  });

  it('goes on when it is extended in its last minutes, at once', async () => {
    const { requestId } = await inUse(3);
    await site.startNode();
    await site.waitFor(requestId, 'pending/inuse');
    await site.t.frontEnd.extend(requestId, 60);
    await site.waitFor(requestId, 'inuse/inuse');
    expect([await ending(), await site.computerState('vm1')]).toEqual(['none', 'inuse']);
  });

  it('that was shortened to a moment ago ends at once', async () => {
    const { requestId } = await inUse(4);
    await site.startNode();
    await site.waitFor(requestId, 'pending/inuse');
    await site
      .database('request')
      .where({ id: requestId })
      .update({ end: await site.time(-1) });
    await site.waitFor(requestId, null);
    expect(await ending()).toBe('EOR');
  });

  it('is not lost because its guest does not answer', async () => {
    const { requestId } = await inUse(55);
    await site.startNode();
    await site.waitFor(requestId, 'inuse/inuse');
    expect(await site.computerState('vm1')).toBe('inuse');
  });

  it('whose user left and did not come back in time is lost, with the log timeout', async () => {
    await set('reconnecttimeout', 1);
    await site.startNode();
    const { requestId, reservationIds } = await site.inuse({ computers: ['vm2'] });
    site.guests.behave('vm2', {});
    await site.database('reservation').where({ id: reservationIds[0] }).update({ lastcheck: '2001-01-01 00:00:00' });
    await eventually(async () => (await ending()) === 'timeout');
    await site.waitFor(requestId, 'complete/timeout');
  });

  it('that makes an image is handed to the front end for its capture, instead of timing out', async () => {
    const requestId = await ofImaging(0);
    const seen: (string | null)[] = [];
    web.answer = (_call, response) =>
      void (async () => {
        seen.push(await site.state(requestId));
        await site.write(requestId, 'image');
        response.end(struct({ status: 'success' }));
      })();
    await site.startNode();
    await eventually(async () => (await site.state(requestId)) !== 'pending/inuse' && seen.length > 0);
    expect(seen).toEqual(['pending/inuse']);
    expect(web.calls[0]!.body).toContain('XMLRPCautoCapture');
    expect(web.calls[0]!.body).toContain(`<string>${requestId}</string>`);
    expect(await ending()).toBe('none');
  });

  it('that makes an image waits for a front end that is down, and nothing is lost meanwhile', async () => {
    const requestId = await ofImaging(0);
    web.answer = (_call, response) => void response.writeHead(503).end();
    await site.startNode();
    await eventually(() => web.calls.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect([await site.state(requestId), await site.computerState('vm1')]).toEqual(['pending/inuse', 'inuse']);
  });

  it('that makes an image is put aside for an admin when the front end refuses to capture it', async () => {
    const requestId = await ofImaging(0);
    web.answer = (_call, response) => response.end(fault(1, 'not allowed'));
    await site.startNode();
    await site.waitFor(requestId, 'maintenance/inuse');
    expect([await site.computerState('vm1'), await ending()]).toEqual(['maintenance', 'none']);
  });
});
