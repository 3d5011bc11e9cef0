import { describe, expect, it } from '@jest/globals';
import { DEFAULT_TIMINGS, timingsFrom, whenDue, type Due, type RequestClock } from '../../../lib/model/timings';

const HOUR = 3600;

function due(clock: Partial<RequestClock>): Due {
  const later: RequestClock = {
    state: 'new',
    lastState: 'new',
    preload: false,
    secondsToStart: -60,
    secondsToEnd: HOUR,
    secondsSinceCheck: 0,
    touchedSinceCheck: false,
    isServer: false,
    reservationCount: 1,
  };
  return whenDue({ ...later, ...clock }, DEFAULT_TIMINGS);
}

describe('a new request', () => {
  it.each([
    [36 * 60, 'not yet'],
    [35 * 60, 'preload'],
    [25 * 60, 'preload'],
    [24 * 60, 'not yet'],
    [1, 'not yet'],
    [0, 'work'],
    [-20 * 60, 'work'],
  ])('whose start is %d seconds away: %s', (secondsToStart, expected) => {
    expect(due({ secondsToStart })).toBe(expected);
  });

  it('is preloaded once only', () => {
    expect(due({ secondsToStart: 30 * 60, preload: true })).toBe('not yet');
  });
});

describe('a reservation in use', () => {
  const inuse = { state: 'inuse', lastState: 'reserved' } as const;

  it('is looked at when its end is ten minutes away', () => {
    expect(due({ ...inuse, secondsToEnd: 601 })).toBe('not yet');
    expect(due({ ...inuse, secondsToEnd: 600 })).toBe('work');
  });

  it.each([
    ['five minutes', {}, 300],
    ['fifteen minutes for a server', { isServer: true }, 900],
    ['fifteen minutes for a cluster', { reservationCount: 2 }, 900],
  ])('is looked at every %s', (_text, more, interval) => {
    expect(due({ ...inuse, ...more, secondsSinceCheck: interval - 1 })).toBe('not yet');
    expect(due({ ...inuse, ...more, secondsSinceCheck: interval })).toBe('work');
  });

  it('is looked at once the user clicked Connect again', () => {
    expect(due({ ...inuse, touchedSinceCheck: true })).toBe('work');
  });
});

describe('a request at rest', () => {
  it.each(['deleted', 'reload', 'image', 'makeproduction', 'tomaintenance', 'tovmhostinuse', 'imageprep'] as const)(
    'that came out of %s is removed at once',
    (lastState) => {
      expect(due({ state: 'complete', lastState })).toBe('remove');
    },
  );

  it.each(['timeout', 'inuse', 'new', 'checkpoint', 'reserved'] as const)(
    'that came out of %s stays for the front end to show until its end',
    (lastState) => {
      expect(due({ state: 'failed', lastState })).toBe('not yet');
      expect(due({ state: 'failed', lastState, secondsToEnd: -1 })).toBe('remove');
    },
  );
});

it.each(['pending', 'maintenance'] as const)('a %s request is nobody else’s business', (state) => {
  expect(due({ state })).toBe('not yet');
});

it.each(['deleted', 'timeout', 'reserved', 'reinstall', 'rebootsoft', 'image'] as const)(
  'a request in state %s is worked at once',
  (state) => {
    expect(due({ state, secondsToStart: HOUR })).toBe('work');
  },
);

describe('timings', () => {
  it('come from the variable table, with VCL’s defaults where a row is missing or makes no sense', () => {
    const timings = timingsFrom(
      new Map([
        ['acknowledgetimeout', '120'],
        ['reconnecttimeout', 'soon'],
        ['x', '1'],
      ]),
    );
    expect(timings).toEqual({ ...DEFAULT_TIMINGS, acknowledgetimeout: 120 });
  });
});
