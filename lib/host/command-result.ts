/** What both adapters make of the end of a command, so that they answer with the same words. */
import { constants } from 'node:os';
import { StringDecoder } from 'node:string_decoder';
import { ProvisiondError } from '../errors';
import type { RunOptions, RunResult } from './host';

/** VM hosts answer in milliseconds; what takes longer (copies of images) brings its own limit. */
export const DEFAULT_TIMEOUT_MS = 60_000;

/** Collects the output of a command as it comes. */
export class Output {
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];
  readonly #decoder = new StringDecoder('utf8');
  readonly #onStdout: ((chunk: string) => void) | undefined;

  constructor(options: RunOptions) {
    this.#onStdout = options.onStdout;
  }

  readonly addStdout = (chunk: Buffer): void => {
    this.#stdout.push(chunk);
    if (this.#onStdout) this.#onStdout(this.#decoder.write(chunk));
  };

  readonly addStderr = (chunk: Buffer): void => {
    this.#stderr.push(chunk);
  };

  result(exitCode: number): RunResult {
    return {
      exitCode,
      stdout: Buffer.concat(this.#stdout).toString('utf8'),
      stderr: Buffer.concat(this.#stderr).toString('utf8'),
    };
  }
}

/** The exit code that a shell shows for a program that a signal ended. */
export function exitCodeOfSignal(signal: string): number {
  const name = signal.startsWith('SIG') ? signal : `SIG${signal}`;
  return 128 + ((constants.signals as Record<string, number | undefined>)[name] ?? 0);
}

/**
 * The result, if its exit code is an answer.
 * @throws COMMAND_FAILED
 */
export function checkResult(
  host: string,
  argv: readonly string[],
  result: RunResult,
  expect: RunOptions['expect'] = [0],
): RunResult {
  if (expect === 'any' || expect.includes(result.exitCode)) return result;
  const said = lastLine(result.stderr) || lastLine(result.stdout) || 'it said nothing';
  throw new ProvisiondError(
    'COMMAND_FAILED',
    `'${describeCommand(argv)}' on ${host} ended with exit code ${result.exitCode}: ${said}`,
    { details: { host, argv, exitCode: result.exitCode, stderr: result.stderr } },
  );
}

export function commandTimedOut(host: string, argv: readonly string[], timeoutMs: number, stage: string) {
  return new ProvisiondError(
    'COMMAND_TIMEOUT',
    `'${describeCommand(argv)}' on ${host} did not end within ${timeoutMs} ms (${stage})`,
    { details: { host, argv, timeoutMs, stage } },
  );
}

/** The command as people would know it again; of a script its first line. */
export function describeCommand(argv: readonly string[]): string {
  const isScript = argv[0] === 'sh' && argv[1] === '-c';
  const words = isScript ? ['sh', '-c', firstLine(argv[2] ?? ''), ...argv.slice(4)] : argv;
  const line = words.join(' ').replace(/\s+/g, ' ');
  return line.length > 160 ? `${line.slice(0, 159)}…` : line;
}

function firstLine(text: string): string {
  const lines = text.trim().split('\n');
  return lines.length > 1 ? `${lines[0]} …` : (lines[0] ?? '');
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.trim() ?? '';
}
