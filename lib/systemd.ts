/**
 * What systemd is told: that we are ready, read the configuration again, stop, and still get on (watchdog).
 *
 * Node has no datagram sockets of the file system, so systemd's own `systemd-notify` sends the message; it waits until
 * systemd has read it, so that it is still known whose child it was (the unit says NotifyAccess=all).
 */
import { execFile } from 'node:child_process';
import type { Log } from './log';

export class Systemd {
  private queue: Promise<void> = Promise.resolve();
  private complained = false;

  /** @param env whose NOTIFY_SOCKET says where systemd listens; without it every call does nothing */
  constructor(
    private readonly log: Log,
    private readonly env: NodeJS.ProcessEnv = process.env,
  ) {}

  get isThere(): boolean {
    return Boolean(this.env['NOTIFY_SOCKET']);
  }

  /** How often systemd wants a sign of life, in ms; null: it does not. */
  get watchdogMs(): number | null {
    const { WATCHDOG_USEC: microseconds, WATCHDOG_PID: pid } = this.env;
    if (!this.isThere || microseconds === undefined) return null;
    if (pid !== undefined && Number(pid) !== process.pid) return null;
    return Number(microseconds) / 1000 || null;
  }

  /** One message after the other. @param variables as of sd_notify(3): READY=1, STATUS=… */
  notify(...variables: string[]): Promise<void> {
    if (!this.isThere) return Promise.resolve();
    this.queue = this.queue.then(() => this.send(variables.map((text) => text.replace(/\n/g, ' '))));
    return this.queue;
  }

  private send(variables: string[]): Promise<void> {
    return new Promise((resolve) => {
      execFile('systemd-notify', variables, { env: this.env, timeout: 10_000 }, (error) => {
        if (error && !this.complained) this.log.warn('systemd could not be told', { error });
        this.complained = error !== null;
        resolve();
      });
    });
  }
}
