/** The public halves of private keys: what a guest must know to let us in. */
import { existsSync, readFileSync } from 'node:fs';
import { utils } from 'ssh2';

/** @returns lines for `authorized_keys`, of the files that are there and hold a key without a pass phrase */
export function publicKeysOf(files: readonly string[]): string[] {
  return files
    .filter((file) => existsSync(file))
    .flatMap((file) => {
      const key = utils.parseKey(readFileSync(file));
      if (key instanceof Error) return [];
      return [`${key.type} ${key.getPublicSSH().toString('base64')} provisiond`];
    });
}
