import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { CATALOGUE, describeError, findError, ProvisiondError, type ErrorCode } from '../../lib/errors';

const document = readFileSync(path.join(__dirname, '../../lib/README.md'), 'utf8').replace(/ +/g, ' ');

/** The row of the table in lib/README.md for a code. */
function row(code: ErrorCode): string {
  const { blame, retryable, hint } = CATALOGUE[code];
  return `| \`${code}\` | ${blame} | ${retryable ? 'yes' : 'no'} | ${hint} |`;
}

describe('the catalogue of errors', () => {
  it('is documented, code by code', () => {
    const missing = (Object.keys(CATALOGUE) as ErrorCode[]).map(row).filter((line) => !document.includes(line));
    expect(missing.join('\n')).toBe('');
  });

  it('documents no code that does not exist', () => {
    const documented = [...document.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code!);
    expect(documented.filter((code) => !Object.hasOwn(CATALOGUE, code))).toEqual([]);
  });
});

describe('an error', () => {
  it('is told as a chain, each message once', () => {
    const cause = new Error('connect ECONNREFUSED', { cause: 'port 22' });
    const error = new ProvisiondError('HOST_UNREACHABLE', 'looking at host kvm1', { cause });
    expect(describeError(error)).toBe('looking at host kvm1: connect ECONNREFUSED: port 22');
  });

  it('is found anywhere in the chain', () => {
    const inner = new ProvisiondError('LEASE_LOST', 'writing');
    expect(findError(new Error('step', { cause: inner }), 'LEASE_LOST')).toBe(inner);
    expect(findError(new Error('step', { cause: inner }), 'CLAIM_LOST')).toBeUndefined();
  });

  it('has blame, hint and whether to try again from the catalogue, unless who throws it knows better', () => {
    expect(new ProvisiondError('HOST_UNREACHABLE', 'x')).toMatchObject({ blame: 'host', retryable: true });
    expect(new ProvisiondError('HOST_UNREACHABLE', 'x', { blame: 'config', hint: 'h' })).toMatchObject({
      blame: 'config',
      hint: 'h',
    });
  });
});
