/** What a captured image leaves in the rows. */
import { expect, it } from '@jest/globals';
import { STATE_IDS } from '../../../lib/model/states';
import type { CapturedImage } from '../../../lib/store/store';
import { type CaptureOrder, orderCapture } from '../../support/capture-order';
import { describeOnBoth, type TestStore } from '../../support/store';

const captured = (more: Partial<CapturedImage> = {}): CapturedImage => ({
  ...{ name: 'linux-MyImage-2-v0', sizeMiB: 123, format: 'qcow2', then: 'reload' },
  ...more,
});

async function ordered(t: TestStore, order?: CaptureOrder) {
  const { requestId } = await t.newReservation();
  const target = await orderCapture(t.db, requestId, 'image', order);
  const claim = await t.take(requestId);
  const [reservation] = await t.store.readReservations(claim);
  return { requestId, target, claim, reservation: reservation! };
}

const row = (t: TestStore, table: string, id: number) =>
  t.db.one<Record<string, unknown>>(`select * from ${table} where id = ?`, [id]);
const reloads = (t: TestStore) =>
  t.db.rows<Record<string, number>>(
    `select r.imageid, r.imagerevisionid, q.laststateid from request q join reservation r on r.requestid = q.id
     where q.stateid = ${STATE_IDS.reload}`,
  );

describeOnBoth('recording a captured image', (current) => {
  it('makes image and revision live under the new name, and orders the reload; twice is once', async () => {
    const t = current();
    const { target, claim, reservation } = await ordered(t);
    expect(reservation.image.deleted).toBe(true);
    expect(await t.store.isImageLive(reservation)).toBe(false);
    for (let times = 0; times < 2; times++) await t.store.recordCapture(claim, reservation, captured());
    expect(await t.store.isImageLive(reservation)).toBe(true);
    const image = { name: 'linux-MyImage-2-v0', deleted: 0, size: 123, imagetypeid: 7 };
    expect(await row(t, 'image', target.imageId)).toMatchObject({ ...image, lastupdate: expect.anything() });
    expect(await row(t, 'imagerevision', target.revisionId)).toMatchObject({ imagename: image.name, deleted: 0 });
    const expected = { imageid: target.imageId, imagerevisionid: target.revisionId };
    expect(await reloads(t)).toEqual([expect.objectContaining(expected)]);
  });

  it('of a revision that is not production leaves the image its name, and a size that does not fit is cut', async () => {
    const t = current();
    const { target, claim, reservation } = await ordered(t, { what: 'new revision' });
    const before = await row(t, 'image', target.imageId);
    await t.store.recordCapture(claim, reservation, captured({ name: 'linux-TinyLinux-1-v1', sizeMiB: 90_000 }));
    expect(await row(t, 'image', target.imageId)).toMatchObject({ name: before!['name'], size: 65_535, test: 1 });
    const revision = { imagename: 'linux-TinyLinux-1-v1', deleted: 0, production: 0 };
    expect(await row(t, 'imagerevision', target.revisionId)).toMatchObject(revision);
  });

  it('whose machine stays its user’s orders no reload, and the user may be away', async () => {
    const t = current();
    const { requestId, claim, reservation } = await ordered(t);
    await t.store.recordCapture(claim, reservation, captured({ then: 'keep' }));
    expect(await reloads(t)).toEqual([]);
    expect(await row(t, 'request', requestId)).toMatchObject({ checkuser: 0 });
  });

  it('under a name that another image has changes nothing', async () => {
    const t = current();
    const { target, claim, reservation } = await ordered(t);
    const { fileName } = t.image;
    expect(await t.store.imageNamed(fileName, reservation)).toBe('Tiny Linux');
    const wanted = t.store.recordCapture(claim, reservation, captured({ name: fileName }));
    await expect(wanted).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await row(t, 'image', target.imageId)).toMatchObject({ deleted: 1, size: 0 });
    expect(await reloads(t)).toEqual([]);
  });

  it('is refused to who lost the request', async () => {
    const t = current();
    const { requestId, claim, reservation } = await ordered(t);
    await t.db.change(`update request set stateid = ${STATE_IDS.deleted} where id = ?`, [requestId]);
    await expect(t.store.recordCapture(claim, reservation, captured())).rejects.toMatchObject({ code: 'CLAIM_LOST' });
    expect(await t.store.isImageLive(reservation)).toBe(false);
  });
});
