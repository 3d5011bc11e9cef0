/** `provisiond run`: the daemon in the foreground. */
import type { Command } from 'commander';
import { secretsOf } from '../config/load';
import { startDaemon } from '../daemon';
import { asProvisiondError } from '../errors';
import { type RootLog, createLogger } from '../log';
import type { App } from './app';
import { EXIT, type ExitCode, exitCodeOf } from './exit-codes';
import { type Execute, addVerb } from './verb';

export function addRunVerb(program: Command, execute: Execute): void {
  addVerb(program, 'run', {
    about: 'run the daemon in the foreground until SIGTERM or SIGINT; a second signal ends it at once',
    examples: ['run', 'run --config /etc/provisiond/provisiond.yaml'],
  }).action((_options, command: Command) => execute(command, runDaemon));
}

async function runDaemon(app: App): Promise<ExitCode> {
  const { config } = app;
  const log = createLogger(config.log);
  for (const secret of secretsOf(config)) log.addSecret(secret);
  const stopSignal = app.stopSignal;
  const stopWatching = endOnDefects(log);
  try {
    const daemon = await startDaemon(config, log);
    const stop = () => {
      daemon.stop(String(stopSignal.reason)).catch((error: unknown) => log.error('stopping failed', { error }));
    };
    if (stopSignal.aborted) stop();
    else stopSignal.addEventListener('abort', stop, { once: true });
    await daemon.done;
    return EXIT.ok;
  } catch (error) {
    log.error('provisiond cannot go on', { error });
    // On the standard error output it has been told now.
    if (config.log.file === null) return exitCodeOf(asProvisiondError(error, 'provisiond run'));
    throw error;
  } finally {
    stopWatching();
    await log.close();
  }
}

/** What nobody caught leaves us in an unknown state: log it and end; the next start resumes the work. */
function endOnDefects(log: RootLog): () => void {
  const end = (error: unknown) => {
    log.error('provisiond ends at once because of a defect', { error });
    void log.close().finally(() => process.exit(EXIT.failed));
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
  return () => {
    process.off('uncaughtException', end);
    process.off('unhandledRejection', end);
  };
}
