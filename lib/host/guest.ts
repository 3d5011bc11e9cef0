/** A guest as OS modules see it: constant scripts in, `@@name value` lines out. */
import { ProvisiondError } from '../errors';
import type { Guest, OsModule, PluginLogger, StageResults } from '../plugins/api';
import { asGuestError } from './guest-errors';
import type { GuestSession } from './guest-session';
import { type RunResult, script } from './host';
import { powershell } from './powershell';
import { quoteCommand } from './shell-quote';

const END_OF_PROGRAM = '@@input';

/** What small ssh servers take as one command: dropbear 9000 bytes, of which the session needs some for itself. */
const LONGEST_COMMAND_BYTES = 8600;

/**
 * For programs that are too long for a command: they come by standard input, before their own input. The shell's `read`
 * takes byte by byte, so that what follows is left for the program; that costs an emulated guest some 10 ms a kilobyte.
 */
const READ_AND_RUN = `program=
while IFS= read -r line; do
  [ "$line" != "${END_OF_PROGRAM}" ] || break
  program="$program$line
"
done
eval "$program"`;

function commandFor(text: string, args: readonly (string | number)[], input: string) {
  const argv = script(text, ...args);
  if (Buffer.byteLength(quoteCommand(argv)) <= LONGEST_COMMAND_BYTES) return { argv, stdin: input };
  return { argv: script(READ_AND_RUN, ...args), stdin: `${text}\n${END_OF_PROGRAM}\n${input}` };
}

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
      const { argv, stdin } = shell === 'powershell' ? powershell(text, args, input) : commandFor(text, args, input);
      const result = await session.run(argv, { ...options, stdin, expect: 'any' }).catch((error: unknown) => {
        throw asGuestError(error);
      });
      return readResults(session, name, result, log);
    },
  };
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
