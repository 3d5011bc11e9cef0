import { expect, it } from '@jest/globals';
import { makePassword } from '../../../lib/model/password';

it('a password has the length asked for, and nothing that looks like something else', () => {
  for (let length = 4; length <= 40; length++)
    expect(makePassword(length)).toMatch(new RegExp(`^[A-HJ-NP-Za-km-z2-9]{${length}}$`));
});

it('a password with special characters has one, not at its ends', () => {
  for (let tries = 0; tries < 50; tries++) {
    expect(makePassword(8, true)).toMatch(/^[A-Za-z0-9]+[-_+=.,@%!?*][A-Za-z0-9]+$/);
    expect(makePassword(8, true)).toHaveLength(8);
  }
});
