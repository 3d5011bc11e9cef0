import { describe, expect, it } from '@jest/globals';
import type { RequestRow } from '../../../lib/model/reservation';
import { Interrupted, Overtaken, RequestWatch } from '../../../lib/work/request-watch';

const pending: RequestRow = {
  requestId: 1,
  state: 'pending',
  lastState: 'reserved',
  secondsToEnd: 60,
  remoteIp: null,
  checkUser: true,
};
const watching = () => new RequestWatch(pending, 'reserved', new AbortController());
const acknowledged = (row: RequestRow) => row.remoteIp ?? undefined;

describe('waiting for a row to change', () => {
  it('ends with the answer as soon as the poller brings it', async () => {
    const watch = watching();
    const waiting = watch.until(acknowledged, 5000);
    watch.update({ ...pending, secondsToEnd: 50 });
    watch.update({ ...pending, remoteIp: '10.0.0.9' });
    expect(await waiting).toBe('10.0.0.9');
  });

  it('answers at once what is known already', async () => {
    const watch = watching();
    watch.update({ ...pending, remoteIp: '10.0.0.9' });
    expect(await watch.until(acknowledged, 5000)).toBe('10.0.0.9');
  });

  it('ends without an answer when the time is over', async () => {
    expect(await watching().until(acknowledged, 20)).toBeNull();
  });

  it.each([
    ['deletes the row', null],
    ['ends the reservation', { ...pending, state: 'deleted' as const }],
    ['asks for another state while it is pending', { ...pending, lastState: 'inuse' as const }],
  ])('is broken off when the front end %s', async (_what, row) => {
    const watch = watching();
    const waiting = watch.until(acknowledged, 5000);
    watch.update(row);
    await expect(waiting).rejects.toBeInstanceOf(Overtaken);
    expect(watch.signal.aborted).toBe(true);
  });

  it('is broken off when the daemon stops', async () => {
    const watch = watching();
    const waiting = watch.pause(5000);
    watch.interrupt('SIGTERM');
    await expect(waiting).rejects.toEqual(new Interrupted('SIGTERM'));
  });
});
