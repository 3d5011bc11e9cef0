import { describe, expect, it } from '@jest/globals';
import { futureNotice } from '../../../lib/states/end-notices';

const HOUR = 3600;
const DAY = 24 * HOUR;
const LONG = 60 * 24 * 60;

describe('the notice of an end to come', () => {
  it.each([
    ['2 weeks', 14 * DAY],
    ['1 week', 7 * DAY],
    ['2 days', 2 * DAY],
    ['24 hours', DAY],
  ])('is given %s before it', (interval, seconds) => {
    expect(futureNotice(seconds + 1, LONG)).not.toBe(interval);
    expect(futureNotice(seconds, LONG)).toBe(interval);
  });

  it('is given also when it is looked every 15 minutes only, as for server requests', () => {
    expect(futureNotice(7 * DAY - 15 * 60, LONG)).toBe('1 week');
    expect(futureNotice(7 * DAY - 2 * HOUR, LONG)).toBeNull();
  });

  it('is not given for reservations of less than a day', () => {
    expect(futureNotice(DAY - 60, 23 * 60)).toBeNull();
  });
});
