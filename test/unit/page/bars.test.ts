/** Where each step stands on the time line of a reservation. */
import { describe, expect, it } from '@jest/globals';
import { type Bar, placeBars } from '../../../lib/page/bars';

const bar = (state: string, step: string, startMs: number, lengthMs: number): Bar => ({
  ...{ state, step, startMs, lengthMs },
  ...{ result: 'done', time: '12:00:00', reason: null, hint: null },
});

describe('the time line', () => {
  it('leaves out the waits for people, and moves what came after them to where the wait began', () => {
    const { places, wholeMs } = placeBars([
      bar('new', 'power on the domain', 0, 2000),
      bar('reserved', 'wait for the user to acknowledge', 2000, 600_000),
      bar('reserved', 'grant access', 602_000, 500),
    ]);
    expect(places).toEqual([
      { atMs: 0, lengthMs: 2000 },
      { atMs: 2000, lengthMs: 0 },
      { atMs: 2000, lengthMs: 500 },
    ]);
    expect(wholeMs).toBe(2500);
  });

  it('keeps the waits for machines: the guest that boots is what a load is made of', () => {
    const { wholeMs } = placeBars([bar('new', 'wait for the guest', 0, 4000)]);
    expect(wholeMs).toBe(4000);
  });
});
