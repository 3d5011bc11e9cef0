/**
 * The port to a machine on which we run commands: a VM host, this machine, or a guest.
 */

export interface RunOptions {
  /** Fed to the command's standard input, then closed. Secrets go here, never into argv. */
  readonly stdin?: string | Buffer;
  /** Deadline of this call. Default: the configured command time limit. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Exit codes that are an answer rather than a failure. Default: only 0. `any`: judge it yourself. */
  readonly expect?: readonly number[] | 'any';
  /** Called with each piece of standard output as it comes (progress); it is collected all the same. */
  readonly onStdout?: (chunk: string) => void;
}

export interface RunResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Host {
  /** Short name, for messages. */
  readonly name: string;

  /**
   * Runs one command with `LC_ALL=C`.
   * @param argv program and arguments; quoted for the remote shell by the adapter, so any character is safe
   * @throws COMMAND_FAILED for an exit code that is not expected (details: argv, exitCode, stderr),
   *   COMMAND_TIMEOUT, HOST_UNREACHABLE when nothing was run, OUTCOME_UNKNOWN when the connection broke before
   *   an exit code came, HOST_KEY_MISMATCH, HOST_LOGIN_REFUSED; the signal's reason when aborted
   */
  run(argv: readonly string[], options?: RunOptions): Promise<RunResult>;
}

export interface ClosableHost extends Host {
  close(): Promise<void>;
}

/**
 * Argv of a constant script with positional parameters: data never enters program text.
 * @param script POSIX shell; `$1` and so on are `args`
 */
export function script(script: string, ...args: readonly (string | number)[]): string[] {
  return ['sh', '-c', script, 'sh', ...args.map(String)];
}
