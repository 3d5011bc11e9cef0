import { expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { FrontEndClient } from '../../../lib/front-end-rpc/front-end-client';
import { deliverCall, queuedCalls } from '../../../lib/front-end-rpc/queued-calls';
import { Deliveries } from '../../../lib/work/deliveries';
import { MemoryLog } from '../../fixtures/memory-log';
import { describeOnBoth, type TestStore } from '../../support/store';
import { WebFrontEnd, struct } from '../../support/web-front-end';

const MESSAGE = { recipient: 'student@vcl.test', sender: null, copy: null, subject: 'ready', body: 'It is ready.\n' };

async function queueOfOne(t: TestStore) {
  await t.store.queueMessage(t.lease, 'once', MESSAGE);
  return (await t.store.messages.due(t.managementNodeId))[0]!;
}

/** As if the time to the next try had passed. */
const timePasses = (t: TestStore) => t.db.change('update provisiond_call set due = 0');

describeOnBoth('a queue', (current) => {
  it('holds what was put in until it was delivered, once an occasion', async () => {
    const t = current();
    await t.store.queueMessage(t.lease, 'once', MESSAGE);
    await t.store.queueMessage(t.lease, 'once', { ...MESSAGE, subject: 'again' });
    const due = await t.store.messages.due(t.managementNodeId);
    expect(due).toMatchObject([{ ...MESSAGE, attempts: 0 }]);
    await t.store.messages.settle(t.lease, due[0]!.id, { answer: null });
    expect(await t.store.messages.due(t.managementNodeId)).toEqual([]);
  });

  it('keeps what belongs to another management node for that', async () => {
    const t = current();
    await queueOfOne(t);
    expect(await t.store.messages.due(t.managementNodeId + 1)).toEqual([]);
  });

  it('puts off what could not be delivered, and remembers why', async () => {
    const t = current();
    const { id } = await queueOfOne(t);
    await t.store.messages.postpone(t.lease, id, 60, 'no route');
    expect(await t.store.messages.due(t.managementNodeId)).toEqual([]);
    expect(await t.db.rows('select attempts, error from provisiond_message')).toEqual([
      { attempts: 1, error: 'no route' },
    ]);
  });

  it('is not touched any more by a daemon that lost its lease', async () => {
    const t = current();
    const { id } = await queueOfOne(t);
    await t.db.change('update provisiond_lease set token = token + 1');
    await expect(t.store.messages.settle(t.lease, id, { answer: null })).rejects.toMatchObject({ code: 'LEASE_LOST' });
  });

  it('is rid of what was settled long ago, and of nothing that waits', async () => {
    const t = current();
    const { id } = await queueOfOne(t);
    await t.store.queueMessage(t.lease, 'other', MESSAGE);
    await t.store.messages.settle(t.lease, id, { error: 'no such user' });
    await t.db.change("update provisiond_message set created = '2020-01-01 00:00:00'");
    await t.store.messages.prune(t.lease, 30);
    expect(await t.db.rows('select occasion from provisiond_message')).toEqual([{ occasion: 'other' }]);
  });

  it('is emptied by deliveries, and what is refused for good is not tried again', async () => {
    const t = current();
    await t.store.queueMessage(t.lease, 'good', MESSAGE);
    await t.store.queueMessage(t.lease, 'bad', { ...MESSAGE, recipient: 'nobody' });
    const sent: string[] = [];
    const deliveries = new Deliveries({
      ...{ what: 'message', queue: t.store.messages, lease: t.lease, log: new MemoryLog() },
      deliver: async ({ recipient }) => {
        if (!recipient.includes('@')) throw Object.assign(new Error('no address'), { retryable: false });
        sent.push(recipient);
      },
    });
    await deliveries.look();
    await deliveries.stop();
    expect(sent).toEqual([MESSAGE.recipient]);
    const rows = await t.db.rows('select occasion, state from provisiond_message order by id');
    expect(rows).toEqual([
      { occasion: 'good', state: 'done' },
      { occasion: 'bad', state: 'refused' },
    ]);
  });

  it('of calls survives a web that is down, and whoever asked gets the answer when it is up again', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    const claim = await t.take(requestId);
    const web = await WebFrontEnd.start('http');
    web.answer = (_call, response) => response.writeHead(503).end();
    const client = new FrontEndClient(web.settings());
    const open = () =>
      new Deliveries({
        ...{ what: 'call', queue: t.store.calls, lease: t.lease, log: new MemoryLog() },
        deliver: (call, signal) => deliverCall(client, call, signal),
      });
    const first = open();
    const calls = queuedCalls(t.store, claim, () => void first.look());
    const asked = calls.ask('XMLRPCautoCapture', ['11'], () => sleep(20));
    const tried = async () => (await t.db.one('select id from provisiond_call where attempts = 1')) !== undefined;
    while (!(await tried())) await sleep(20);
    await first.stop();
    expect(await t.db.rows('select state, attempts from provisiond_call')).toEqual([{ state: 'waiting', attempts: 1 }]);

    web.answer = (_call, response) => response.end(struct({ status: 'success' }));
    await timePasses(t);
    const second = open();
    await second.look();
    expect(await asked).toEqual({ status: 'success' });
    // The step that asked is run again after a crash: the call is not made twice.
    expect(await calls.ask('XMLRPCautoCapture', ['11'], () => sleep(5))).toEqual({ status: 'success' });
    expect(web.calls).toHaveLength(2);
    await second.stop();
    await web.stop();
  });

  it('of calls tells a refusal to whoever asked', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    const claim = await t.take(requestId);
    const web = await WebFrontEnd.start('http');
    web.answer = (_call, response) => response.end(struct({ status: 'error', errorcode: 48, errormsg: 'no rights' }));
    const deliveries = new Deliveries({
      ...{ what: 'call', queue: t.store.calls, lease: t.lease, log: new MemoryLog() },
      deliver: (call, signal) => deliverCall(new FrontEndClient(web.settings()), call, signal),
    });
    const calls = queuedCalls(t.store, claim, () => void deliveries.look());
    const asked = calls.ask('XMLRPCautoCapture', ['11'], () => sleep(10));
    await expect(asked).rejects.toMatchObject({
      code: 'FRONT_END_REFUSED',
      message: expect.stringContaining('no rights'),
    });
    await deliveries.stop();
    await web.stop();
  });
});
