/** This machine as a host: the same port as over ssh, by child processes without any shell. */
import { type ChildProcess, spawn } from 'node:child_process';
import { ProvisiondError } from '../errors';
import {
  DEFAULT_TIMEOUT_MS,
  Output,
  checkResult,
  commandTimedOut,
  describeCommand,
  exitCodeOfSignal,
} from './command-result';
import { Deadline } from './deadline';
import { SIGNALS, timed } from '../signals';
import type { ClosableHost, RunOptions, RunResult } from './host';
import { quoteCommand } from './shell-quote';

export interface LocalHostOptions {
  readonly name?: string;
  /** Replaces and adds to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Put before every argv, for example `sudo -n` or the way into a namespace. */
  readonly prefix?: readonly string[];
  /** Default deadline of a command. */
  readonly commandTimeoutMs?: number;
}

/** Between asking a command to end and ending it. */
const KILL_AFTER_MS = 2_000;

export class LocalHost implements ClosableHost {
  readonly name: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #prefix: readonly string[];
  readonly #timeoutMs: number;
  readonly #running = new Set<ChildProcess>();

  constructor(options: LocalHostOptions = {}) {
    this.name = options.name ?? 'localhost';
    this.#env = { ...process.env, ...options.env, LC_ALL: 'C' };
    this.#prefix = options.prefix ?? [];
    this.#timeoutMs = options.commandTimeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  /** There is none that could break. */
  readonly way = 'closed';

  /** Whether a command runs. */
  get busy(): boolean {
    return this.#running.size > 0;
  }

  async run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    // Refuses what could not be run over ssh either.
    quoteCommand(argv);
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    const expired = () => commandTimedOut(this.name, argv, timeoutMs, 'it was told to end');
    const deadline = new Deadline(timeoutMs, expired, options.signal);
    try {
      const result = await timed(
        () => this.#start(argv, options, deadline),
        (took) => SIGNALS.command.tell({ host: this.name, ...took }),
      );
      return checkResult(this.name, argv, result, options.expect);
    } finally {
      deadline.end();
    }
  }

  /** Ends what still runs. */
  close(): Promise<void> {
    for (const child of this.#running) endGroup(child);
    return Promise.resolve();
  }

  async #start(argv: readonly string[], options: RunOptions, deadline: Deadline): Promise<RunResult> {
    const [program, ...args] = [...this.#prefix, ...argv] as [string, ...string[]];
    // A process group of its own, so that a time limit ends its children too.
    const child = spawn(program, args, { env: this.#env, detached: true, stdio: 'pipe' });
    this.#running.add(child);
    const output = new Output(options);
    child.stdout.on('data', output.addStdout);
    child.stderr.on('data', output.addStderr);
    // A command may end without having read its input.
    child.stdin.on('error', () => {});
    child.stdin.end(options.stdin ?? '');
    const ended = new Promise<RunResult>((resolve, reject) => {
      child.once('error', (error) => {
        const result = resultOfSpawnError(error, program);
        if (result) resolve(result);
        else reject(new ProvisiondError('COMMAND_FAILED', this.#starting(argv), { cause: error }));
      });
      child.once('close', (code, signal) => resolve(output.result(code ?? exitCodeOfSignal(signal ?? ''))));
    });
    void ended.catch(() => {}).finally(() => this.#running.delete(child));
    try {
      return await deadline.race(ended);
    } catch (error) {
      endGroup(child);
      throw error;
    }
  }

  #starting(argv: readonly string[]): string {
    return `starting '${describeCommand(argv)}' on ${this.name}`;
  }
}

/** The answer that a shell gives for a program that is not there or not executable. */
function resultOfSpawnError(error: NodeJS.ErrnoException, program: string): RunResult | undefined {
  if (error.code === 'ENOENT') return { exitCode: 127, stdout: '', stderr: `${program}: not found` };
  if (error.code === 'EACCES') return { exitCode: 126, stdout: '', stderr: `${program}: Permission denied` };
  return undefined;
}

function endGroup(child: ChildProcess): void {
  signalGroup(child, 'SIGTERM');
  const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), KILL_AFTER_MS).unref();
  child.once('close', () => clearTimeout(timer));
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  // No pid: it was never started. An exit code: its number may belong to somebody else by now.
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It ended meanwhile.
  }
}
