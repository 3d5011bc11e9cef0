import { randomInt } from 'node:crypto';

/** Without characters that look alike in many fonts (VCL's `getpw`). */
const ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789';

/** Found on every keyboard, and nothing to a shell that quotes or to `chpasswd`. */
const SPECIALS = '-_+=.,@%!?*';

/**
 * A one-time password that a person can read off a web page.
 * @param specials with at least one character that is no letter and no digit (VCL's `user_password_spchar`)
 */
export function makePassword(length: number, specials = false): string {
  const pick = (characters: string) => characters[randomInt(characters.length)]!;
  const password = Array.from({ length }, () => pick(ALPHABET));
  // Not at the ends, where a person copying it would lose it.
  if (specials && length > 2) password[1 + randomInt(length - 2)] = pick(SPECIALS);
  return password.join('');
}
