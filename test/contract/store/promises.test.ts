/** Promises to the front end that hang on single rows (contract 1.1, 2.5, 2.6, 2.8). */
import { expect, it } from '@jest/globals';
import { describeOnBoth, type TestStore } from '../../support/store';

async function another(t: TestStore, production: 0 | 1): Promise<number> {
  if (production === 1)
    await t.db.change('update imagerevision set production = 0 where imageid = ?', [t.image.imageId]);
  const row = { imageid: t.image.imageId, revision: 1, userid: 1, deleted: 0, production, comments: '' };
  return t.db.insert('imagerevision', { ...row, datecreated: '2026-01-01 00:00:00', imagename: 'next-v1' });
}

/** A reload that a block allocation ordered, or an admin. */
async function putReload(t: TestStore, of: 'a block' | 'an admin'): Promise<number> {
  const times = { start: '2026-01-01 00:00:00', end: '2038-01-01 00:00:00', daterequested: '2026-01-01 00:00:00' };
  const requestid = await t.db.insert('request', { stateid: 19, laststateid: 19, userid: 2, ...times });
  const what = { computerid: 2, imageid: t.image.imageId, imagerevisionid: t.image.revisionId };
  await t.db.insert('reservation', { requestid, ...what, managementnodeid: t.managementNodeId });
  const block = { name: 'class', imageid: t.image.imageId, numMachines: 1, ownerid: 1, processing: 0 };
  const blockRequestid = await t.db.insert('blockRequest', { ...block, expireTime: times.end });
  const blockTimeId = await t.db.insert('blockTimes', { blockRequestid, start: times.start, end: times.end });
  await t.db.change(
    'insert into blockComputers (blockTimeid, computerid, imageid, reloadrequestid) values (?, 2, ?, ?)',
    [...[blockTimeId, t.image.imageId, of === 'a block' ? requestid : 0]],
  );
  return requestid;
}

describeOnBoth('a management node', (current) => {
  it('checks in, so that the front end gives it reservations', async () => {
    const t = current();
    await t.db.change("update managementnode set lastcheckin = '2001-01-01 00:00:00'");
    await t.store.checkIn(t.lease);
    const [row] = await t.db.rows<{ lastcheckin: string }>('select lastcheckin from managementnode');
    expect(Date.parse(await t.store.now()) - Date.parse(row!.lastcheckin)).toBeLessThan(60_000);
  });
});

describeOnBoth('a reload', (current) => {
  const revisionOf = async (t: TestStore, requestId: number) => {
    const [reservation] = await t.store.readReservations(await t.take(requestId));
    return reservation!.image.revisionId;
  };

  it('that a block allocation ordered brings the revision that is production by then, not that of its order', async () => {
    const t = current();
    const requestId = await putReload(t, 'a block');
    const newer = await another(t, 1);
    expect(await revisionOf(t, requestId)).toBe(newer);
    const [row] = await t.db.rows<{ imagerevisionid: number }>('select imagerevisionid from reservation');
    expect(row).toEqual({ imagerevisionid: t.image.revisionId });
  });

  it('that an admin ordered brings what he ordered', async () => {
    const t = current();
    const requestId = await putReload(t, 'an admin');
    await another(t, 1);
    expect(await revisionOf(t, requestId)).toBe(t.image.revisionId);
  });

  it('that failed takes its computer out of block allocations, and only that', async () => {
    const t = current();
    const requestId = await putReload(t, 'a block');
    await t.db.change(
      'insert into blockComputers (blockTimeid, computerid, imageid) select blockTimeid, 3, imageid from blockComputers',
    );
    const claim = await t.take(requestId);
    await t.store.finish(claim, await t.store.readReservations(claim), { request: 'failed', computer: 'failed' });
    expect(await t.db.rows('select computerid from blockComputers')).toEqual([{ computerid: 3 }]);
  });
});

describeOnBoth('the progress of a load', (current) => {
  it('is shown as it was said, quotes and all, without backslashes of ours [bug of vcld]', async () => {
    const t = current();
    const { requestId, reservationId } = await t.newReservation();
    const text = `it's "50 %" of C:\\x (a_b): done.`;
    const computerId = 2;
    await t.store.tell([{ reservationId, computerId, loadState: 'failed', text }]);
    const [row] = await t.db.rows<{ additionalinfo: string }>(
      `select additionalinfo from computerloadlog where reservationid = ? and additionalinfo like 'it%'`,
      [reservationId],
    );
    expect(row).toEqual({ additionalinfo: text });
    expect(requestId).toBeGreaterThan(0);
  });
});
