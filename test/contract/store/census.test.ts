/** The counts that metrics tell. */
import { expect, it } from '@jest/globals';
import { STATE_IDS } from '../../../lib/model/states';
import { describeOnBoth } from '../../support/store';

describeOnBoth('the census of a management node', (current) => {
  it('counts its requests by state and age, and nobody else’s', async () => {
    const t = current();
    const { now, addSeconds } = t.db.dialect;
    const put = async (state: keyof typeof STATE_IDS, secondsAgo: number, node = 1) => {
      const time = await t.db.one<{ start: string }>(`select ${addSeconds(now, '?')} as start`, [-secondsAgo]);
      const stateid = STATE_IDS[state];
      const times = { start: time!.start, end: '2038-01-01 00:00:00', daterequested: '2001-01-01 00:00:00' };
      const requestid = await t.db.insert('request', { stateid, laststateid: stateid, userid: 1, ...times });
      const { imageId: imageid, revisionId: imagerevisionid } = t.image;
      const ids = { requestid, computerid: 2, imageid, imagerevisionid };
      await t.db.insert('reservation', { ...ids, managementnodeid: node });
    };
    await put('inuse', 30);
    await put('inuse', 40);
    await put('inuse', 4000);
    await put('inuse', 900_000);
    await put('new', -5000);
    await put('new', 700, await t.frontEnd.ensureManagementNode('other.test', '127.0.0.1', []));

    const counted = await t.store.census(1);
    const inUse = counted.filter(({ state }) => state === 'inuse');
    expect(inUse.map(({ youngerThanSeconds, requests }) => [youngerThanSeconds, requests]).sort()).toEqual(
      [
        [60, 2],
        [86_400, 1],
        [Infinity, 1],
      ].sort(),
    );
    expect(Math.max(...inUse.map(({ oldestSeconds }) => oldestSeconds))).toBeGreaterThanOrEqual(900_000);
    expect(counted.filter(({ state }) => state === 'new')).toMatchObject([{ youngerThanSeconds: 0, requests: 1 }]);
  });
});
