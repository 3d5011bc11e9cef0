import { describe, expect, it } from '@jest/globals';
import { Deadline, pause } from '../../../lib/host/deadline';

const never = new Promise<never>(() => {});

describe('a deadline', () => {
  it('ends a wait with the error asked for at that moment', async () => {
    let stage = 'first';
    const deadline = new Deadline(30, () => new Error(`over in the ${stage} stage`));
    stage = 'second';
    await expect(deadline.race(never)).rejects.toThrow('over in the second stage');
    await expect(deadline.race(never)).rejects.toThrow('over in the second stage');
  });

  it('ends a wait with the reason of its caller', async () => {
    const abort = new AbortController();
    const deadline = new Deadline(10_000, () => new Error('over'), abort.signal);
    const reason = new Error('stopped');
    abort.abort(reason);
    await expect(deadline.race(never)).rejects.toBe(reason);
    deadline.end();
    expect(() => new Deadline(1, () => new Error('over'), abort.signal)).toThrow(reason);
  });

  it('leaves no timer behind when it has ended', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const deadline = new Deadline(60_000, () => new Error('over'));
    expect(await deadline.race(Promise.resolve(7))).toBe(7);
    deadline.end();
    expect(timers()).toBe(before);
  });

  it('is a pause that a signal can end', async () => {
    const reason = new Error('stopped');
    await expect(pause(10_000, AbortSignal.abort(reason))).rejects.toBe(reason);
    await pause(1);
  });
});
