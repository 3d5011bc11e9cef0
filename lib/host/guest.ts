/** A guest as OS modules see it: constant scripts in, `@@name value` lines out. */
import { ProvisiondError } from '../errors';
import type { Guest, OsModule, PluginLogger, StageResults } from '../plugins/api';
import { asGuestError } from './guest-errors';
import type { GuestSession } from './guest-session';
import { type RunResult, script } from './host';
import { powershell } from './powershell';

const END_OF_PROGRAM = '@@input';

/**
 * The program comes by standard input, before its own input: small ssh servers refuse long commands (dropbear: 9000
 * bytes). The shell's `read` takes byte by byte, so that what follows is left for the program.
 */
const READ_AND_RUN = `program=
while IFS= read -r line; do
  [ "$line" != "${END_OF_PROGRAM}" ] || break
  program="$program$line
"
done
eval "$program"`;

export interface GuestOptions {
  /** Deadline of one script; left out: the session's own. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** What its stage scripts are written in. Default: POSIX sh. */
  readonly shell?: OsModule['shell'];
}

/**
 * @param log gets what scripts print beside their results, line by line at debug
 */
export function asGuest(
  session: GuestSession,
  log: Pick<PluginLogger, 'debug'>,
  { shell = 'sh', ...options }: GuestOptions = {},
): Guest {
  return {
    address: session.address,
    async script(name, text, args = [], input = '') {
      const { argv, stdin } = shell === 'powershell' ? powershell(text, args, input) : posix(text, args, input);
      const result = await session.run(argv, { ...options, stdin, expect: 'any' }).catch((error: unknown) => {
        throw asGuestError(error);
      });
      return readResults(session, name, result, log);
    },
  };
}

function posix(text: string, args: readonly (string | number)[], input: string) {
  return { argv: script(READ_AND_RUN, ...args), stdin: `${text}\n${END_OF_PROGRAM}\n${input}` };
}

/** `@@name value`: a result; `@@error message`: why the script failed, in words for people. */
const RESULT = /^@@([A-Za-z][\w.-]*)(?:[ \t](.*))?$/;

function readResults(
  session: GuestSession,
  stage: string,
  { stdout, stderr, exitCode }: RunResult,
  log: Pick<PluginLogger, 'debug'>,
): StageResults {
  const results: Record<string, string> = {};
  for (const line of lines(stdout)) {
    const match = RESULT.exec(line);
    if (match) results[match[1]!] = match[2] ?? '';
    else log.debug(`${session.name}: ${stage}: ${line}`);
  }
  for (const line of lines(stderr)) log.debug(`${session.name}: ${stage}: ${line}`);

  const { error, ...others } = results;
  if (exitCode === 0 && error === undefined) return others;
  const why = error ?? lines(stderr).at(-1) ?? 'it said nothing';
  throw new ProvisiondError(
    'GUEST_COMMAND_FAILED',
    `stage '${stage}' in ${session.name} (${session.address}) ended with exit code ${exitCode}: ${why}`,
    { details: { computer: session.name, address: session.address, stage, exitCode, stderr } },
  );
}

function lines(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line.trim() !== '');
}
