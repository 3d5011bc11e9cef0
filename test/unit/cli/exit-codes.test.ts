import { describe, expect, it } from '@jest/globals';
import { CATALOGUE, type ErrorCode, ProvisiondError } from '../../../lib/errors';
import { EXIT, exitCodeOf } from '../../../lib/cli/exit-codes';

const exitOf = (code: ErrorCode) => exitCodeOf(new ProvisiondError(code, 'doing something'));

describe('the exit code', () => {
  it.each([
    ['REQUEST_NOT_FOUND', 3],
    ['NOT_FOUND', 3],
    ['CONFLICT', 4],
    ['COMPUTER_NOT_AVAILABLE', 4],
    ['DATABASE_UNAVAILABLE', 75],
    ['HOST_UNREACHABLE', 75],
    ['CLAIM_LOST', 75],
    ['CONFIG_INVALID', 78],
    ['SCHEMA_MISSING', 78],
    ['HOST_KEY_UNKNOWN', 78],
    ['REQUEST_INVALID', 2],
    ['INTERNAL', 1],
    ['GUEST_NO_ANSWER', 1],
  ] as const)('of %s is %d', (code, exitCode) => {
    expect(exitOf(code)).toBe(exitCode);
  });

  it('is one of the documented ones for every error there is, and never success', () => {
    const failures: number[] = Object.values(EXIT).filter((exitCode) => exitCode !== EXIT.ok);
    for (const code of Object.keys(CATALOGUE) as ErrorCode[]) expect(failures).toContain(exitOf(code));
  });
});
