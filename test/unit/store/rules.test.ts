import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { STATE_IDS, type StateName } from '../../../lib/model/states';
import { asDatabaseError } from '../../../lib/store/database-errors';
import { displayStatus } from '../../../lib/store/display-status';
import { forgottenLastState, type Evidence } from '../../../lib/store/orphans';
import { lastStateOfEnded } from '../../../lib/store/reservation-requests';
import { addMinutes, floorToQuarter, parseTime } from '../../../lib/store/wall-clock';

describe('what the front end shows', () => {
  const show = (state: StateName, lastState: StateName, computer: StateName, future = false) =>
    displayStatus({ state, lastState, computers: [computer], future });

  it.each<[StateName, StateName, StateName, string]>([
    ['new', 'new', 'available', 'loading'],
    ['pending', 'new', 'reloading', 'loading'],
    ['reserved', 'new', 'reserved', 'loading'],
    ['pending', 'reserved', 'reserved', 'ready'],
    ['pending', 'reserved', 'inuse', 'loading'],
    ['inuse', 'reserved', 'inuse', 'inuse'],
    ['inuse', 'reserved', 'reserved', 'loading'],
    ['pending', 'inuse', 'reserved', 'inuse'],
    ['pending', 'inuse', 'inuse', 'inuse'],
    ['servermodified', 'inuse', 'inuse', 'ready'],
    ['failed', 'new', 'failed', 'failed'],
    ['timeout', 'reserved', 'available', 'timedout'],
    ['pending', 'timeout', 'available', 'timedout'],
    ['complete', 'inuse', 'available', 'timedout'],
    ['maintenance', 'inuse', 'maintenance', 'maintenance'],
    ['pending', 'maintenance', 'maintenance', 'loading'],
    ['image', 'inuse', 'inuse', 'image'],
    ['pending', 'checkpoint', 'inuse', 'image'],
    ['rebootsoft', 'inuse', 'inuse', 'loading'],
    ['deleted', 'reserved', 'inuse', 'ending'],
  ])('of %s/%s with a computer that is %s is "%s"', (state, lastState, computer, status) => {
    expect(show(state, lastState, computer)).toBe(status);
  });

  it('is "future" before its start, unless it failed already', () => {
    expect(show('new', 'new', 'available', true)).toBe('future');
    expect(show('failed', 'new', 'failed', true)).toBe('failed');
  });

  it('is ready only when every computer of a cluster is', () => {
    const cluster = { state: 'pending', lastState: 'reserved', future: false } as const;
    expect(displayStatus({ ...cluster, computers: ['reserved', 'reserved'] })).toBe('ready');
    expect(displayStatus({ ...cluster, computers: ['reserved', 'reloading'] })).toBe('loading');
  });
});

describe('the last state of a pending request that nobody wrote down', () => {
  const nothing: Evidence = { loaded: false, ending: null, acknowledged: false };

  it.each<[Parameters<typeof forgottenLastState>[0], Partial<Evidence>, StateName]>([
    ['new', {}, 'new'],
    ['reserved', {}, 'new'],
    ['inuse', {}, 'reserved'],
    ['reload', {}, 'reload'],
    ['reinstall', {}, 'inuse'],
    ['deleted', {}, 'reserved'],
    ['deleted', { loaded: true }, 'reserved'],
    ['deleted', { loaded: true, acknowledged: true }, 'inuse'],
    ['timeout', { ending: 'noack' }, 'reserved'],
    ['timeout', { ending: 'nologin' }, 'reserved'],
    ['timeout', { ending: 'timeout' }, 'inuse'],
    ['timeout', { ending: 'EOR' }, 'inuse'],
  ])('in %s with %j was %s', (state, evidence, last) => {
    expect(forgottenLastState(state, { ...nothing, ...evidence })).toBe(last);
  });
});

describe('the end of a request', () => {
  it('keeps what it was at, and takes all that was on its way to the user for reserved', () => {
    expect(lastStateOfEnded('new', 'new')).toBe('reserved');
    expect(lastStateOfEnded('pending', 'new')).toBe('reserved');
    for (const state of Object.keys(STATE_IDS) as StateName[]) {
      if (state === 'pending' || state === 'new') continue;
      expect(lastStateOfEnded(state, 'inuse')).toBe(state);
      expect(lastStateOfEnded('pending', state)).toBe(state);
    }
  });
});

describe('times without a zone', () => {
  const minute = fc.integer({ min: 0, max: 40_000_000 }).map((minutes) => addMinutes('1990-01-01 00:00:00', minutes));

  it('are floored to the quarter hour and never later', () => {
    expect(floorToQuarter('2026-11-21 11:20:28')).toBe('2026-11-21 11:15:00');
    fc.assert(
      fc.property(minute, (time) => {
        const floored = floorToQuarter(time);
        expect(floored <= time && addMinutes(floored, 15) > time).toBe(true);
        expect(floorToQuarter(floored)).toBe(floored);
      }),
    );
  });

  it('add up over every change of the clocks', () => {
    expect(addMinutes('2026-03-29 01:30:00', 60)).toBe('2026-03-29 02:30:00');
    fc.assert(
      fc.property(minute, fc.integer({ min: -9999, max: 9999 }), (time, minutes) => {
        expect(addMinutes(addMinutes(time, minutes), -minutes)).toBe(time);
        expect(parseTime(time)).toBe(time);
      }),
    );
  });

  it.each([
    '',
    'now',
    '2026-13-01 00:00',
    '2026-02-29 10:00',
    '2026-01-01',
    "2026-01-01 10:00'; --",
    '2026-01-01 24:00',
  ])('refuse %j', (text) => {
    expect(() => parseTime(text)).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }));
  });
});

describe('an error of the database', () => {
  it('is told without the values of the statement', () => {
    const driver = Object.assign(new Error("insert into x values ('canary') - Duplicate entry"), {
      code: 'ER_DUP_ENTRY',
      sql: "insert into x values ('canary')",
    });
    const error = asDatabaseError(driver, 'mysql://x');
    expect(error.code).toBe('DATABASE_FAILED');
    expect(`${error.message} ${(error.cause as Error).message}`).not.toContain('canary');
  });

  it('about characters that the tables of VCL cannot hold is the fault of who sent them', () => {
    const driver = Object.assign(new Error('x'), { code: 'ER_CANT_AGGREGATE_2COLLATIONS' });
    expect(asDatabaseError(driver, 'x').code).toBe('REQUEST_INVALID');
  });

  it.each(['ECONNREFUSED', 'PROTOCOL_CONNECTION_LOST', 'ER_ACCESS_DENIED_ERROR', 'ER_BAD_DB_ERROR', 'SQLITE_BUSY'])(
    '%s means that there is none to talk to',
    (code) => {
      expect(asDatabaseError(Object.assign(new Error('x'), { code }), 'x').code).toBe('DATABASE_UNAVAILABLE');
    },
  );
});
