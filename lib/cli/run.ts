/** `provisiond run`: the daemon in the foreground. */
import type { Command } from 'commander';
import type { Config } from '../config/config';
import { secretsOf } from '../config/load';
import type * as Daemons from '../daemon';
import { asProvisiondError } from '../errors';
import { type RootLog, createLogger } from '../log';
import { Systemd } from '../systemd';
import type { App } from './app';
import { EXIT, type ExitCode, exitCodeOf } from './exit-codes';
import { type Execute, addVerb, listenAddress } from './verb';

export function addRunVerb(program: Command, execute: Execute): void {
  addVerb(program, 'run', {
    about: 'run the daemon in the foreground until SIGTERM or SIGINT; a second signal ends it at once',
    examples: ['run', 'run --config /etc/provisiond/provisiond.yaml', 'run --http 127.0.0.1:8477'],
  })
    .option('--http <address>', 'show what happens on a page at 127.0.0.1:PORT or a socket', listenAddress)
    .option('--metrics <address>', 'tell Prometheus at 127.0.0.1:PORT or a socket', listenAddress)
    .action((options: ListenOptions, command: Command) => execute(command, (app) => runDaemon(app, options)));
}

interface ListenOptions {
  readonly http?: string;
  readonly metrics?: string;
}

async function runDaemon(app: App, options: ListenOptions): Promise<ExitCode> {
  const withOptions = (config: Config): Config => Object.freeze({ ...config, ...options });
  const config = withOptions(app.config);
  const log = createLogger(config.log);
  for (const secret of secretsOf(config)) log.addSecret(secret);
  const stopSignal = app.stopSignal;
  const stopWatching = endOnDefects(log);
  let running: Daemons.RunningDaemon | undefined;
  const stopReloading = reloadOnHangup(log, () => running?.reload(withOptions(app.readConfigAgain())));
  try {
    // Behind it stands nearly everything, which the help of this verb has no need of.
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const { startDaemon } = require('../daemon') as typeof Daemons;
    const daemon = await startDaemon(config, log, app.version);
    running = daemon;
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
    stopReloading();
    await log.close();
  }
}

/**
 * SIGHUP: the configuration is read again and the log file opened anew; one that has a problem changes nothing.
 * It is listened to from before the start on, for systemd may send it at any time.
 */
function reloadOnHangup(log: RootLog, reload: () => void): () => void {
  const systemd = new Systemd(log);
  const onHangup = () => {
    const microseconds = Math.round(Number(process.hrtime.bigint() / 1000n));
    void systemd.notify('RELOADING=1', `MONOTONIC_USEC=${microseconds}`);
    try {
      reload();
    } catch (error) {
      log.error('the configuration was not taken over; what was in force stays', { error });
    }
    void systemd.notify('READY=1');
  };
  process.on('SIGHUP', onHangup);
  return () => void process.off('SIGHUP', onHangup);
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
