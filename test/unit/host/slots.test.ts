import { describe, expect, it } from '@jest/globals';
import { Slots } from '../../../lib/host/slots';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('slots', () => {
  it('lets in as many as the limit says, and the others in their order', async () => {
    const slots = new Slots(2);
    const entered: number[] = [];
    const releases: (() => void)[] = [];
    for (const n of [1, 2, 3, 4]) void slots.acquire().then((release) => (entered.push(n), releases.push(release)));
    await turn();
    expect(entered).toEqual([1, 2]);
    releases[1]!();
    await turn();
    expect(entered).toEqual([1, 2, 3]);
    releases[0]!();
    await turn();
    expect(entered).toEqual([1, 2, 3, 4]);
  });

  it('takes a slot back only once', async () => {
    const slots = new Slots(1);
    const release = await slots.acquire();
    release();
    release();
    await slots.acquire();
    expect(slots.taken).toBe(1);
  });

  it('forgets who stopped waiting', async () => {
    const slots = new Slots(1);
    const release = await slots.acquire();
    const abort = new AbortController();
    const waiting = slots.acquire(abort.signal);
    abort.abort(new Error('stopped'));
    await expect(waiting).rejects.toThrow('stopped');
    expect(slots.waiting).toBe(0);
    release();
    expect(slots.taken).toBe(0);
  });

  it('gives the slot back when the work fails', async () => {
    const slots = new Slots(1);
    await expect(slots.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await slots.run(() => Promise.resolve('yes'))).toBe('yes');
  });

  it('lets more in when the limit grows, and throws nobody out when it shrinks', async () => {
    const slots = new Slots(1);
    await slots.acquire();
    const second = slots.acquire();
    slots.setLimit(2);
    const release = await second;
    slots.setLimit(1);
    expect(slots.taken).toBe(2);
    void slots.acquire();
    release();
    expect([slots.taken, slots.waiting]).toEqual([1, 1]);
  });
});
