import { expect, it } from '@jest/globals';
import { STATE_IDS, type StateName } from '../../../lib/model/states';
import { describeOnBoth, type TestStore } from '../../support/store';

interface Given {
  state: StateName;
  last?: StateName;
  /** Seconds from now. */
  start?: number;
  end?: number;
  checked?: number | null;
}

async function putRequest(t: TestStore, { state, last = state, start = -60, end = 3600, checked = null }: Given) {
  const { now, addSeconds } = t.db.dialect;
  const times = (await t.db.one<{ start: string; end: string; checked: string }>(
    `select ${addSeconds(now, '?')} as start, ${addSeconds(now, '?')} as \`end\`, ${addSeconds(now, '?')} as checked`,
    [start, end, checked ?? 0],
  ))!;
  const requestid = await t.db.insert('request', {
    stateid: STATE_IDS[state],
    laststateid: STATE_IDS[last],
    userid: 1,
    start: times.start,
    end: times.end,
  });
  const { imageId: imageid, revisionId: imagerevisionid } = t.image;
  const lastcheck = checked === null ? '0000-00-00 00:00:00' : times.checked;
  await t.db.insert('reservation', {
    requestid,
    computerid: 2,
    imageid,
    imagerevisionid,
    managementnodeid: 1,
    lastcheck,
  });
  return requestid;
}

const dueIds = async (t: TestStore) => (await t.store.poll(1, [])).due.map(({ requestId }) => requestId);

describeOnBoth('the poll', (current) => {
  it.each<[string, boolean, Given]>([
    ['a new request whose start has come', true, { state: 'new' }],
    ['a new request that may be preloaded', true, { state: 'new', start: 1800 }],
    ['a new request of tomorrow', false, { state: 'new', start: 86_400, end: 90_000 }],
    ['a reload', true, { state: 'reload' }],
    ['a reserved request', true, { state: 'reserved', last: 'new' }],
    ['an ended request', true, { state: 'deleted', last: 'inuse' }],
    ['a request that is in hand', false, { state: 'pending', last: 'new' }],
    ['a request in maintenance', false, { state: 'maintenance', last: 'inuse' }],
    ['one in use that was checked a moment ago', false, { state: 'inuse', last: 'reserved', checked: -10 }],
    ['one in use that was not checked for long', true, { state: 'inuse', last: 'reserved', checked: -301 }],
    ['one in use that was never checked', true, { state: 'inuse', last: 'reserved' }],
    ['one in use that ends soon', true, { state: 'inuse', last: 'reserved', checked: -10, end: 600 }],
    ['a failed one that its user may still see', false, { state: 'failed', last: 'new' }],
    ['a failed one whose time is over', true, { state: 'failed', last: 'new', end: -10 }],
    ['a reclaimed one', true, { state: 'complete', last: 'deleted' }],
  ])('with %s answers %s', async (_what, isDue, given) => {
    const t = current();
    const id = await putRequest(t, given);
    expect(await dueIds(t)).toEqual(isDue ? [id] : []);
  });

  it('gives the times by the clock of the database', async () => {
    const t = current();
    await putRequest(t, { state: 'inuse', last: 'reserved', start: -100, end: 500, checked: -400 });
    const [due] = (await t.store.poll(1, [])).due;
    for (const [value, about] of [
      [due!.secondsToStart, -100],
      [due!.secondsToEnd, 500],
      [due!.secondsSinceCheck!, 400],
    ] as const) {
      expect(Math.abs(value - about)).toBeLessThanOrEqual(3);
    }
    expect(due).toMatchObject({ state: 'inuse', lastState: 'reserved', isServer: false, reservationCount: 1 });
  });

  it('notices the user who connects while the request is in use', async () => {
    const t = current();
    const id = await putRequest(t, { state: 'inuse', last: 'reserved', checked: -10 });
    const logid = await t.db.insert('log', { userid: 1, imageid: t.image.imageId, requestid: id });
    await t.db.change('update request set logid = ? where id = ?', [logid, id]);
    expect(await dueIds(t)).toEqual([]);
    const { now } = (await t.db.one<{ now: string }>(`select ${t.db.dialect.now} as now`))!;
    await t.db.insert('changelog', { logid, remoteIP: '10.0.0.1', timestamp: now });
    expect((await t.store.poll(1, [])).due).toMatchObject([{ requestId: id, touchedSinceCheck: true }]);
  });

  it('does not see a request before its reservations, nor one of another management node', async () => {
    const t = current();
    const id = await putRequest(t, { state: 'new' });
    await t.db.change('delete from reservation');
    expect(await dueIds(t)).toEqual([]);
    const other = await t.frontEnd.ensureManagementNode('other.test', '127.0.0.1', []);
    const { imageId: imageid, revisionId: imagerevisionid } = t.image;
    const place = { requestid: id, computerid: 2, imageid, imagerevisionid };
    await t.db.insert('reservation', { ...place, managementnodeid: other });
    await t.db.insert('reservation', { ...place, managementnodeid: 1 });
    expect(await dueIds(t)).toEqual([]);
    expect((await t.store.poll(other, [])).due).toMatchObject([{ requestId: id, reservationCount: 2 }]);
  });

  it('lives with zero dates', async () => {
    const t = current();
    const id = await putRequest(t, { state: 'new' });
    await t.db.change("update request set start = '0000-00-00 00:00:00', `end` = '0000-00-00 00:00:00'");
    expect((await t.store.poll(1, [id])).due).toMatchObject([
      { requestId: id, secondsToStart: 0, secondsToEnd: 0, secondsSinceCheck: null },
    ]);
  });

  it('costs one statement when there is nothing, two otherwise', async () => {
    const t = current();
    const count = async () => {
      const before = t.statementCount();
      await t.store.poll(1, []);
      return t.statementCount() - before;
    };
    expect(await count()).toBe(1);
    await putRequest(t, { state: 'new' });
    expect(await count()).toBe(2);
  });

  it('stays quick with 10,000 requests of which few are due', async () => {
    const t = current();
    const { name, now, addSeconds } = t.db.dialect;
    if (name === 'mysql') await t.db.change('set session max_recursive_iterations = 20000').catch(() => 0);
    await t.db.change(
      `insert into request (stateid, userid, laststateid, start, \`end\`)
       with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 10000)
       select case when n % 2 = 0 then 12 else 13 end, 1, 13, ${addSeconds(now, '86400')}, ${addSeconds(now, '90000')}
       from numbers`,
    );
    const { imageId, revisionId } = t.image;
    await t.db.change(
      `insert into reservation (requestid, computerid, imageid, imagerevisionid, managementnodeid)
       select id, 2, ${imageId}, ${revisionId}, 1 from request`,
    );
    const id = await putRequest(t, { state: 'reserved', last: 'new' });
    const times: number[] = [];
    for (let round = 0; round < 11; round++) {
      const begun = performance.now();
      expect(await dueIds(t)).toEqual([id]);
      times.push(performance.now() - begun);
    }
    // Without indexes it takes 30 ms and more; the goal of 2 ms is for the bench, on a quiet machine.
    expect(times.sort((a, b) => a - b)[0]).toBeLessThan(20);
  });
});
