import { randomInt } from 'node:crypto';

/** Without characters that look alike in many fonts (VCL's `getpw`). */
const ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789';

/** A one-time password that a person can read off a web page. */
export function makePassword(length: number): string {
  return Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
}
