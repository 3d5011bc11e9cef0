/**
 * A reservation for imaging comes to its end: the daemon asks the front end to capture it (`XMLRPCautoCapture`), the front
 * end writes its rows while it is asked, and the capture follows; all in one go.
 */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { eventually } from '../../support/eventually';
import { FakeClusterSite } from '../../support/fake-cluster-site';
import { WebClient } from '../../support/web-client';
import { struct, WebFrontEnd } from '../../support/web-front-end';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const USER = '192.0.2.7';

wherever('the end of a reservation for imaging', () => {
  let site: FakeClusterSite;
  let web: WebClient;
  let server: WebFrontEnd;
  beforeEach(async () => {
    server = await WebFrontEnd.start('http');
    site = await FakeClusterSite.open({ settings: { xmlrpc: server.settings() } });
    web = new WebClient(site.database, site.t.managementNodeId, (minutes) => site.time(minutes));
    server.answer = ({ body }, response) =>
      void (async () => {
        expect(body).toContain('XMLRPCautoCapture');
        response.end(struct(await web.autoCapture(Number(/<string>(\d+)<\/string>/.exec(body)![1]))));
      })();
    await site.startNode();
  });
  afterEach(async () => {
    await site.close();
    await server.stop();
  });

  const imaging = async (user: string) => {
    const { imageId, revisionId } = site.t.image;
    const wanted = { computers: ['vm1'], userId: await site.userId(user), imageId, revisionId, forImaging: true };
    const requestId = await web.newReservation(wanted);
    site.letUserConnect('vm1');
    await eventually(async () => (await web.status(requestId)) === 'ready', 20);
    await web.connect(requestId, USER);
    await eventually(async () => (await site.computerState('vm1')) === 'inuse', 10);
    return requestId;
  };
  const newest = () =>
    site
      .database('imagerevision as v')
      .join('image as i', 'i.id', 'v.imageid')
      .orderBy('v.id', 'desc')
      .first<Record<'revision' | 'autocaptured' | 'deleted' | 'imageDeleted' | 'imageid', number>>(
        ...['v.revision', 'v.autocaptured', 'v.deleted', 'v.imageid', 'i.deleted as imageDeleted'],
      );

  it('makes a revision of the image for its owner, whose computer is loaded with it', async () => {
    const requestId = await imaging('admin');
    await web.setEnd(requestId, 0);
    await site.waitFor(requestId, null, 60);
    const made = await newest();
    expect(made).toMatchObject({ revision: 1, autocaptured: 1, deleted: 0, imageDeleted: 0 });
    expect(made.imageid).toBe(site.t.image.imageId);
    expect(await site.database('log').first()).toMatchObject({ ending: 'EOR' });
    await eventually(async () => (await site.computerState('vm1')) === 'available', 20);
    expect(server.calls).toHaveLength(1);
  });

  it('makes a new image for anybody else', async () => {
    const requestId = await imaging('student');
    await web.setEnd(requestId, 0);
    await site.waitFor(requestId, null, 60);
    const made = await newest();
    expect(made).toMatchObject({ revision: 0, autocaptured: 1, deleted: 0, imageDeleted: 0 });
    expect(made.imageid).not.toBe(site.t.image.imageId);
  });

  it('that is moved away before the front end was asked captures nothing', async () => {
    const requestId = await imaging('admin');
    await web.setEnd(requestId, 4);
    await site.waitFor(requestId, 'pending/inuse');
    await web.setEnd(requestId, 90);
    await site.waitFor(requestId, 'inuse/inuse');
    expect(server.calls).toEqual([]);
    expect((await newest()).revision).toBe(0);
  });
});
