/** The operator's way out: what `provisiond recover` does to the rows, in every state that a request can be in. */
import { expect, it } from '@jest/globals';
import { STATE_IDS, stateName, type StateName } from '../../../lib/model/states';
import { describeOnBoth, type TestStore } from '../../support/store';

async function requestIn(t: TestStore, state: StateName, lastState: StateName): Promise<number> {
  const { requestId } = await t.newReservation();
  const values = [STATE_IDS[state], STATE_IDS[lastState], requestId];
  await t.db.change('update request set stateid = ?, laststateid = ? where id = ?', values);
  return requestId;
}

async function stateOf(t: TestStore, requestId: number): Promise<string> {
  const row = await t.db.one<{ stateid: number; laststateid: number }>('select * from request where id = ?', [
    requestId,
  ]);
  return `${stateName(row!.stateid)}/${stateName(row!.laststateid)}`;
}

async function computerOf(t: TestStore, requestId: number): Promise<string> {
  const row = await t.db.one<{ stateid: number }>(
    'select c.stateid from computer c join reservation r on r.computerid = c.id where r.requestid = ?',
    [requestId],
  );
  return stateName(row!.stateid)!;
}

describeOnBoth('recover', (current) => {
  it.each([
    ['new', 'new', 'deleted/new'],
    ['pending', 'new', 'deleted/new'],
    ['pending', 'inuse', 'deleted/inuse'],
    ['pending', 'deleted', 'deleted/inuse'],
    ['reserved', 'new', 'deleted/reserved'],
    ['failed', 'new', 'deleted/new'],
    ['failed', 'deleted', 'deleted/inuse'],
    ['complete', 'timeout', 'deleted/timeout'],
    ['maintenance', 'inuse', 'deleted/inuse'],
  ] as const)('--release hands a request that is %s/%s to the daemon for clearing', async (state, lastState, after) => {
    const t = current();
    const requestId = await requestIn(t, state, lastState);
    await t.frontEnd.recover(requestId, 'release', { dryRun: false });
    expect(await stateOf(t, requestId)).toBe(after);
    expect((await t.store.poll(t.managementNodeId, [])).due.map((due) => due.requestId)).toContain(requestId);
  });

  it('--retry puts a failed request back to where it failed, and its computer into service', async () => {
    const t = current();
    const requestId = await requestIn(t, 'failed', 'new');
    await t.db.change(`update computer set stateid = ${STATE_IDS.failed}`);
    const recovery = await t.frontEnd.recover(requestId, 'retry', { dryRun: false });
    expect(recovery).toMatchObject({ from: { state: 'failed' }, to: { state: 'new' }, computer: 'available' });
    expect([await stateOf(t, requestId), await computerOf(t, requestId)]).toEqual(['new/new', 'available']);
    expect(await t.take(requestId)).toMatchObject({ state: 'new' });
  });

  it.each([
    ['retry', 'image', 'image/inuse'],
    ['retry', 'checkpoint', 'checkpoint/inuse'],
    ['release', 'image', 'deleted/image'],
  ] as const)('--%s gives the machine of a failed %s back to its user first', async (kind, state, after) => {
    const t = current();
    const requestId = await requestIn(t, 'maintenance', state);
    await t.db.change(`update computer set stateid = ${STATE_IDS.maintenance}`);
    await t.frontEnd.recover(requestId, kind, { dryRun: false });
    expect([await stateOf(t, requestId), await computerOf(t, requestId)]).toEqual([after, 'inuse']);
  });

  it('--retry has nothing to do for what the daemon will take up anyway, and refuses what is over', async () => {
    const t = current();
    for (const state of ['new', 'pending'] as const) {
      const requestId = await requestIn(t, state, 'new');
      expect(await t.frontEnd.recover(requestId, 'retry', { dryRun: false })).toMatchObject({ to: null });
    }
    await t.db.change(`update request set stateid = ${STATE_IDS.complete}`);
    const [row] = await t.db.rows<{ id: number }>('select id from request');
    await expect(t.frontEnd.recover(row!.id, 'retry', { dryRun: false })).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  it('--fail ends a request and keeps its computer from everybody', async () => {
    const t = current();
    const requestId = await requestIn(t, 'pending', 'reserved');
    await t.frontEnd.recover(requestId, 'fail', { dryRun: false });
    expect([await stateOf(t, requestId), await computerOf(t, requestId)]).toEqual(['failed/reserved', 'failed']);
  });

  it('leaves what a living daemon works alone, except that it can be released', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    const claim = await t.take(requestId);
    for (const kind of ['retry', 'fail'] as const) {
      await expect(t.frontEnd.recover(requestId, kind, { dryRun: false })).rejects.toMatchObject({ code: 'CONFLICT' });
    }
    await t.store.releaseLease(t.lease);
    expect(await t.frontEnd.recover(requestId, 'fail', { dryRun: true })).toMatchObject({ computer: 'failed' });
    expect(await stateOf(t, requestId)).toBe('pending/new'); // only said
    await t.frontEnd.recover(requestId, 'release', { dryRun: false });
    expect(await stateOf(t, requestId)).toBe('deleted/new');
    expect(claim.state).toBe('new');
  });

  it('says of a request that is not there that it is not', async () => {
    const wanted = current().frontEnd.recover(4711, 'release', { dryRun: false });
    await expect(wanted).rejects.toMatchObject({ code: 'REQUEST_NOT_FOUND' });
  });
});
