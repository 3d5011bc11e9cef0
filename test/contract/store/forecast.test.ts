import { expect, it } from '@jest/globals';
import { STATE_IDS, type StateName } from '../../../lib/model/states';
import { describeOnBoth, type TestStore } from '../../support/store';

/** What predictive modules may ask, of the computer of a reservation just taken up; and a second image. */
async function ask(t: TestStore) {
  const { requestId } = await t.newReservation();
  const claim = await t.take(requestId);
  const [reservation] = await t.store.readReservations(claim);
  const other = await t.frontEnd.addImage({
    ...{ prettyName: 'Other Linux', os: 'vmwarelinux', ramMiB: 256, cpus: 1, sizeMiB: 64, owner: 'admin' },
  });
  const { computer } = reservation!;
  return { claim, computer, forecast: t.store.forecast(reservation!), other: chosen(other), ours: chosen(t.image) };
}

const chosen = ({ imageId, revisionId }: { imageId: number; revisionId: number }) => ({ id: imageId, revisionId });

async function at(t: TestStore, seconds: number): Promise<string> {
  const { now, addSeconds } = t.db.dialect;
  return (await t.db.one<{ time: string }>(`select ${addSeconds(now, '?')} as time`, [seconds]))!.time;
}

async function putBlock(t: TestStore, computerid: number, imageid: number, startSeconds: number, skip = 0) {
  const start = await at(t, startSeconds);
  const end = await at(t, startSeconds + 3600);
  const block = { name: 'class', imageid, numMachines: 1, ownerid: 1, managementnodeid: t.managementNodeId };
  const id = await t.db.insert('blockRequest', { ...block, expireTime: end, processing: 0 });
  const blockTimeid = await t.db.insert('blockTimes', { blockRequestid: id, start, end, processed: 1, skip });
  await t.db.change('insert into blockComputers (blockTimeid, computerid, imageid) values (?, ?, ?)', [
    blockTimeid,
    computerid,
    imageid,
  ]);
}

async function putRequest(
  t: TestStore,
  state: StateName,
  startSeconds: number,
  image: { id: number; revisionId: number },
  computerid: number,
) {
  const times = { start: await at(t, startSeconds), end: await at(t, startSeconds + 3600) };
  const requestid = await t.db.insert('request', {
    stateid: STATE_IDS[state],
    laststateid: STATE_IDS[state],
    userid: 1,
    ...times,
  });
  const reservation = {
    requestid,
    computerid,
    imageid: image.id,
    imagerevisionid: image.revisionId,
    managementnodeid: 1,
  };
  await t.db.insert('reservation', reservation);
}

async function putLog(t: TestStore, imageid: number, times: number, daysAgo: number) {
  const start = await at(t, -daysAgo * 86_400);
  for (let i = 0; i < times; i++) {
    await t.db.insert('log', { userid: 1, start, initialend: start, finalend: start, imageid, wasavailable: 1 });
  }
}

describeOnBoth('the forecast for a computer', (current) => {
  it('has nothing on a site where nothing is wished for, and nobody reserved anything', async () => {
    const { forecast } = await ask(current());
    expect(await forecast.blockImage()).toBeNull();
    expect(await forecast.nextImage()).toBeNull();
    expect(await forecast.upcomingImage(50)).toBeNull();
  });

  it('knows the earliest block, and no block that is over, skipped, or of another computer', async () => {
    const t = current();
    const { forecast, computer, ours, other } = await ask(t);
    await putBlock(t, computer.id, ours.id, -7200);
    await putBlock(t, computer.id, ours.id, 600, 1);
    await putBlock(t, computer.id + 1, ours.id, 900);
    expect(await forecast.blockImage()).toBeNull();
    await putBlock(t, computer.id, ours.id, 7200);
    await putBlock(t, computer.id, other.id, 3600);
    expect(await forecast.blockImage()).toEqual(other);
  });

  it('knows the production revision of the next image until that is fulfilled, and by no other image', async () => {
    const t = current();
    const { forecast, claim, computer, ours, other } = await ask(t);
    await t.db.change('update computer set nextimageid = ? where id = ?', [other.id, computer.id]);
    expect(await forecast.nextImage()).toEqual(other);
    await t.store.fulfilNextImage(claim, computer.id, ours.id);
    expect(await forecast.nextImage()).toEqual(other);
    await t.store.fulfilNextImage(claim, computer.id, other.id);
    expect(await forecast.nextImage()).toBeNull();
  });

  it('knows the first request that waits for the computer within the time, also one whose start has passed', async () => {
    const t = current();
    const { forecast, computer, ours, other } = await ask(t);
    await putRequest(t, 'new', 49 * 60, other, computer.id);
    await putRequest(t, 'inuse', -60, ours, computer.id);
    expect(await forecast.upcomingImage(48)).toBeNull();
    expect(await forecast.upcomingImage(50)).toEqual(other);
    await putRequest(t, 'reload', -60, ours, computer.id);
    expect(await forecast.upcomingImage(50)).toEqual(ours);
  });

  it('knows the share of computers of that type that are not free; failed and deleted ones do not count', async () => {
    const t = current();
    const { forecast, computer } = await ask(t);
    expect(await forecast.busyShare()).toBe(0);
    await t.db.change('update computer set stateid = ? where id = ?', [STATE_IDS.inuse, computer.id]);
    expect(await forecast.busyShare()).toBe(0.5);
    await t.db.change('update computer set stateid = ? where id = ?', [STATE_IDS.failed, computer.id]);
    expect(await forecast.busyShare()).toBe(0);
  });

  it('knows the image that was reserved most often in the time, if the computer may have it', async () => {
    const t = current();
    const { forecast, ours, other } = await ask(t);
    await putLog(t, ours.id, 2, 0);
    await putLog(t, other.id, 5, 3);
    expect(await forecast.popularImage(1)).toEqual(ours);
    expect(await forecast.popularImage(30)).toEqual(other);
    await t.db.change(
      `delete from resourcegroupmembers where resourceid = (select id from resource where resourcetypeid = 13 and subid = ?)`,
      [other.id],
    );
    expect(await forecast.popularImage(30)).toEqual(ours);
  });

  it('leaves out a popular image that two free computers hold already', async () => {
    const t = current();
    const { forecast, ours, other } = await ask(t);
    await putLog(t, other.id, 5, 0);
    await t.db.change("update computer set currentimageid = ?, stateid = ? where type = 'virtualmachine'", [
      other.id,
      STATE_IDS.available,
    ]);
    expect(await forecast.popularImage(30)).toEqual(ours);
    await t.db.change('update computer set stateid = ? where id = 3', [STATE_IDS.inuse]);
    expect(await forecast.popularImage(30)).toEqual(other);
  });

  it('does not offer an image that was deleted', async () => {
    const t = current();
    const { forecast, computer, other } = await ask(t);
    await t.db.change('update computer set nextimageid = ? where id = ?', [other.id, computer.id]);
    await t.db.change('update image set deleted = 1 where id = ?', [other.id]);
    expect(await forecast.nextImage()).toBeNull();
  });
});
