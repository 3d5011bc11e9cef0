/** Users on their machines: by ssh, with a password, and without knowing the machine. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface UserAtMachine {
  readonly login: string;
  readonly address: string | null;
  readonly password: string | null;
}

const OPTIONS = [
  ...['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR'],
  ...['ConnectTimeout=10', 'PubkeyAuthentication=no', 'NumberOfPasswordPrompts=1'],
].flatMap((option) => ['-o', option]);

function sshpass({ login, address, password }: UserAtMachine, command: string) {
  return {
    argv: ['-e', 'ssh', ...OPTIONS, `${login}@${address}`, command],
    env: { ...process.env, SSHPASS: password ?? '' },
  };
}

/** @returns what the command printed. @throws when ssh or the command fails */
export async function asUser(user: UserAtMachine, command: string): Promise<string> {
  const { argv, env } = sshpass(user, command);
  return (await run('sshpass', argv, { env })).stdout;
}

/** @returns once the user is in; he stays until he leaves */
export async function logIn(user: UserAtMachine): Promise<{ leave(): Promise<void> }> {
  const { argv, env } = sshpass(user, 'echo here; exec cat'); // cat ends with the connection
  const visit = spawn('sshpass', argv, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const left = once(visit, 'exit');
  const isIn = await Promise.race([once(visit.stdout, 'data').then(() => true), left.then(() => false)]);
  if (!isIn) throw new Error(`${user.login} is not let in at ${user.address}`);
  return {
    async leave() {
      visit.stdin.end();
      visit.kill();
      await left;
    },
  };
}
