/** The rows of VCL's web front end, statement by statement, with real guests; the matrix is in test/contract/front-end. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';
import { USER } from '../support/site-rows';
import { WebClient } from '../support/web-client';
import { struct, WebFrontEnd } from '../support/web-front-end';

const GUEST = '192.168.121.11';
const FROM = '192.168.122.1';

describe('with the rows of the web front end and real guests', () => {
  let site: Site;
  let web: WebClient;
  let server: WebFrontEnd;
  beforeEach(async () => {
    server = await WebFrontEnd.start('https');
    site = await Site.open({
      dialect: 'mysql',
      settings: { xmlrpc: server.settings(), guestShutdownTimeoutMs: 60_000 },
    });
    const time = async (minutes: number) => {
      const now = Date.parse(`${(await site.store.now()).replace(' ', 'T')}Z`);
      return new Date(now + minutes * 60_000).toISOString().slice(0, 19).replace('T', ' ');
    };
    web = new WebClient(site.database, site.managementNodeId, time);
    // So slow that the daemon looks in between.
    web.between = () => new Promise((resolve) => setTimeout(resolve, 30));
  });
  afterEach(async () => {
    await site?.close();
    await server?.stop();
  });

  const reserve = async (more: { forImaging?: boolean; minutes?: number; user?: string } = {}) => {
    const { imageId, revisionId } = site.image;
    const userId = await site.frontEnd.ensureUser(more.user ?? USER);
    const requestId = await web.newReservation({ computers: ['vm1'], userId, imageId, revisionId, ...more });
    await eventually(async () => (await web.status(requestId)) === 'ready', 120);
    return requestId;
  };
  const inUse = (requestId: number) =>
    eventually(async () => /^(inuse\/|pending\/inuse)/.test((await site.requestState(requestId)) ?? ''), 60);

  it('a user reserves, connects with what the page tells him, reinstalls, connects again, and ends', async () => {
    const requestId = await reserve();
    const asUser = async (command: string) => site.asUser(await web.connectData(requestId), command);
    await web.connect(requestId, FROM);
    await eventually(async () => (await asUser('echo mine > note; id -un').catch(() => '')) === `${USER}\n`, 30);
    const visit = await site.logIn(await web.connectData(requestId));
    await inUse(requestId);
    await visit.leave();
    await web.setEnd(requestId, 90);
    expect(await web.status(requestId)).toBe('ready');

    await web.reinstall(requestId);
    await site.waitForRequest(requestId, 'pending/reserved', 120);
    await eventually(async () => (await web.status(requestId)) === 'ready', 10);
    await eventually(async () => (await asUser('ls').catch(() => 'not in')) === '', 30); // a fresh machine
    await web.end(requestId);
    await site.waitForRequest(requestId, null, 60);
    expect(await site.leftovers()).toEqual([]);
  }, 400_000);

  it('a reservation for imaging is captured at its end, because the front end says so when it is asked', async () => {
    server.answer = ({ body, headers }, response) =>
      void (async () => {
        expect(headers['x-apiversion']).toBe('2');
        response.end(struct(await web.autoCapture(Number(/<string>(\d+)<\/string>/.exec(body)![1]))));
      })();
    const requestId = await reserve({ forImaging: true, minutes: 1500, user: 'admin' });
    await web.connect(requestId, FROM);
    await inUse(requestId);
    await site.inGuest(GUEST, 'echo "worked on" > /root/work; sync');
    await web.setEnd(requestId, 0);
    await site.waitForRequest(requestId, null, 240);
    expect(server.calls).toHaveLength(1);
    const revision = await site
      .database('imagerevision')
      .orderBy('id', 'desc')
      .first<{ id: number; imageid: number; deleted: number; autocaptured: number }>();
    expect(revision).toMatchObject({ imageid: site.image.imageId, deleted: 0, autocaptured: 1 });
    const log = await site.database('log').where({ requestid: requestId }).first<{ ending: string }>();
    expect(log.ending).toBe('EOR');
    await eventually(async () => (await site.computerState('vm1')) === 'available', 120);
    expect(await site.inGuest(GUEST, 'cat /root/work; grep ^imagerevision_id /root/currentimage.txt')).toBe(
      `worked on\nimagerevision_id=${revision.id}\n`,
    );
  }, 500_000);
});
