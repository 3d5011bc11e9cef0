import { describe, expect, it } from '@jest/globals';
import { CATALOGUE, ProvisiondError, type ErrorCode } from '../../../lib/errors';
import { failureTransition } from '../../../lib/states/outcome';
import type { WorkableState } from '../../../lib/model/states';

function after(state: WorkableState, code: ErrorCode, more: { leftovers?: string[]; secondsToEnd?: number } = {}) {
  const error = new ProvisiondError(code, 'it did not work');
  return failureTransition({ state, error, leftovers: [], secondsToEnd: 3600, ...more });
}

describe('a failed load', () => {
  it('takes the computer out of service only when the computer is to blame', () => {
    const codes = (Object.keys(CATALOGUE) as ErrorCode[]).filter((code) => code !== 'COMPUTER_NOT_AVAILABLE');
    for (const code of codes) {
      const expected = CATALOGUE[code].blame === 'computer' ? 'failed' : 'available';
      expect([code, after('new', code)]).toEqual([code, { request: 'failed', computer: expected, ending: 'failed' }]);
    }
  });

  it('leaves a computer alone that somebody else has', () => {
    expect(after('new', 'COMPUTER_NOT_AVAILABLE')).toEqual({
      request: 'failed',
      computer: undefined,
      ending: 'failed',
    });
    for (const state of ['reload', 'imageprep', 'tovmhostinuse'] as const) {
      expect(after(state, 'COMPUTER_NOT_AVAILABLE')).toEqual({ request: 'complete' });
    }
  });

  it('takes the computer out of service when something was left behind on it', () => {
    expect(after('new', 'IMAGE_NOT_FOUND', { leftovers: ['a domain'] })).toMatchObject({ computer: 'failed' });
  });

  it('closes the log of a user’s reservation, while a reload has none', () => {
    expect(after('reinstall', 'IMAGE_NOT_FOUND')).toMatchObject({ request: 'failed', ending: 'failed' });
    expect(after('reload', 'IMAGE_NOT_FOUND')).toEqual({ request: 'failed', computer: 'available' });
  });
});

describe('a failure while the user works', () => {
  it.each(['inuse', 'rebootsoft', 'reboothard', 'servermodified'] as const)('in %s leaves him his machine', (state) => {
    expect(after(state, 'COMMAND_FAILED')).toEqual({ request: 'inuse', computer: 'inuse' });
  });

  it('after the end of the reservation ends it, instead of looping as vcld does', () => {
    expect(after('inuse', 'COMMAND_FAILED', { secondsToEnd: -1 })).toEqual({
      request: 'timeout',
      computer: 'timeout',
      ending: 'EOR',
    });
  });
});

it('a capture that fails puts request and computer aside for an admin, nothing is lost', () => {
  expect(after('image', 'COMMAND_FAILED')).toEqual({ request: 'maintenance', computer: 'maintenance' });
});

it('a computer that could not be cleaned is handed to nobody', () => {
  expect(after('deleted', 'HOST_UNREACHABLE')).toEqual({ request: 'complete', computer: 'failed' });
});
