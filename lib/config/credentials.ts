/** What systemd hands over (`LoadCredential`): files that only this service may read. Empty ones are not there. */
import fs from 'node:fs';
import path from 'node:path';

/** @returns the path of a credential that holds something; null when there is none */
export function credentialFile(
  name: 'ssh-key' | 'database-password',
  env: NodeJS.ProcessEnv = process.env,
): string | null {
  const folder = env['CREDENTIALS_DIRECTORY'];
  if (!folder) return null;
  const file = path.join(folder, name);
  return (fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0 ? file : null;
}

/**
 * The private keys for hosts and guests: the credential, then those of the management node's row; the configured ones
 * when it names none.
 */
export function privateKeyFiles(ofNode: readonly string[], configured: readonly string[]): readonly string[] {
  const credential = credentialFile('ssh-key');
  const files = ofNode.length > 0 ? ofNode : configured;
  return credential === null ? files : [credential, ...files];
}
