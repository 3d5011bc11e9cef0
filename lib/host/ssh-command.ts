/** One command on one channel of a connection. */
import type { Client, ClientChannel } from 'ssh2';
import { ProvisiondError } from '../errors';
import { Output, describeCommand, exitCodeOfSignal } from './command-result';
import type { RunOptions, RunResult } from './host';
import { quoteCommand } from './shell-quote';

/** The other side opened no channel: nothing was run, it may be asked again. */
export class ChannelRefused extends Error {
  override readonly name = 'ChannelRefused';
}

/** The connection was gone before anything was sent. */
export class ConnectionGone extends Error {
  override readonly name = 'ConnectionGone';
}

/** How much longer than we wait the command itself may run before it is told to end over there. */
const GRACE_SECONDS = 1;

/**
 * The command line for the log-in shell of the other side.
 * `LC_ALL` is set in the command, because an sshd takes no variables by default. `timeout` ends a command that
 * overran, also when this daemon is no more: closing a channel alone leaves the command running.
 */
export function remoteCommandLine(argv: readonly string[], timeoutMs: number): string {
  const command = quoteCommand(argv);
  const seconds = Math.ceil(timeoutMs / 1000) + GRACE_SECONDS;
  const limited = `command -v timeout >/dev/null 2>&1 && set -- timeout ${seconds}`;
  return `LC_ALL=C; export LC_ALL; set --; ${limited}; exec "$@" ${command}`;
}

export interface RunningCommand {
  readonly result: Promise<RunResult>;
  /** Settles when the channel is closed on both sides; never rejects. */
  readonly closed: Promise<void>;
  /** Tells the command to end, where sshd passes that on, and closes the channel. */
  stop(): void;
}

/**
 * Starts a command.
 * `result` rejects with ChannelRefused or ConnectionGone (nothing was run), HOST_UNREACHABLE (sshd does not run
 * commands), OUTCOME_UNKNOWN (no exit code came).
 */
export function startCommand(
  client: Client,
  host: string,
  argv: readonly string[],
  options: RunOptions & { timeoutMs: number },
): RunningCommand {
  const line = remoteCommandLine(argv, options.timeoutMs);
  let channel: ClientChannel | undefined;
  let stopped = false;
  let onClosed = () => {};
  const closed = new Promise<void>((resolve) => (onClosed = resolve));
  const stop = () => {
    stopped = true;
    if (channel) endChannel(channel);
  };
  const result = new Promise<RunResult>((resolve, reject) => {
    const fail = (error: Error) => {
      onClosed();
      reject(error);
    };
    const begin = (error: Error | undefined, opened: ClientChannel) => {
      if (error) return fail(explainNoChannel(error, host, argv));
      channel = opened;
      opened.once('close', onClosed);
      converse(opened, options, resolve, () => reject(outcomeUnknown(host, argv)));
      if (stopped) stop();
    };
    try {
      client.exec(line, begin);
    } catch (error) {
      fail(new ConnectionGone('the connection is gone', { cause: error }));
    }
  });
  result.catch(() => {});
  return { result, closed, stop };
}

function converse(
  channel: ClientChannel,
  options: RunOptions,
  onResult: (result: RunResult) => void,
  onNoResult: () => void,
): void {
  const output = new Output(options);
  let exitCode: number | undefined;
  channel.on('exit', (code: number | null, signal?: string) => {
    exitCode = code ?? exitCodeOfSignal(signal ?? '');
  });
  // `close` never comes unless both streams are read to their ends.
  channel.on('data', output.addStdout);
  channel.stderr.on('data', output.addStderr);
  channel.on('error', () => {});
  channel.once('close', () => (exitCode === undefined ? onNoResult() : onResult(output.result(exitCode))));
  channel.end(options.stdin ?? '');
}

function endChannel(channel: ClientChannel): void {
  try {
    channel.signal('TERM');
    channel.close();
  } catch {
    // The connection is gone, and the channel with it.
  }
}

function explainNoChannel(error: Error & { reason?: unknown }, host: string, argv: readonly string[]): Error {
  if (typeof error.reason === 'number') return new ChannelRefused(error.message, { cause: error });
  if (error.message === 'Unable to exec') {
    const message = `running '${describeCommand(argv)}' on ${host}: its sshd runs no commands for this account`;
    return new ProvisiondError('HOST_UNREACHABLE', message, { cause: error, details: { host, argv } });
  }
  return outcomeUnknown(host, argv, error);
}

function outcomeUnknown(host: string, argv: readonly string[], cause?: Error): ProvisiondError {
  const message = `the connection to ${host} broke while '${describeCommand(argv)}' ran; whether it ended is not known`;
  return new ProvisiondError('OUTCOME_UNKNOWN', message, { cause, details: { host, argv } });
}
