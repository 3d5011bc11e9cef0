/** A fake site whose daemon is a process that can be killed, and whose end is audited with none of provisiond's code. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { audit, type AuditOptions } from './auditor';
import type { FakeDaemonSettings } from './fake-daemon-process';
import { FakeSite, USER_ADDRESS, type FakeSiteOptions } from './fake-site';
import { eventually, untilRequest } from './eventually';

const PROGRAM = path.join(__dirname, 'fake-daemon-process.ts');
const REGISTER = path.join(__dirname, '../lab/register-swc.js');

export class FaultSite {
  daemon: ChildProcess | null = null;

  private constructor(readonly site: FakeSite) {}

  static async open(options: FakeSiteOptions = {}): Promise<FaultSite> {
    return FaultSite.of(await FakeSite.open(options));
  }

  /** Takes a site over: its lease is given to the daemons to come. */
  static async of(site: FakeSite): Promise<FaultSite> {
    await site.store.releaseLease(site.lease);
    return new FaultSite(site);
  }

  get logFile(): string {
    return path.join(this.site.folder, 'daemon.log');
  }

  /** @param crashAt see lib/steps/crash-point.ts @param more other settings, for a daemon beside another @param env such as a clock that is wrong */
  startDaemon(
    crashAt = '',
    more: Partial<FakeDaemonSettings['config']> = {},
    env: NodeJS.ProcessEnv = {},
  ): ChildProcess {
    const { config, host, managementNodeId, folder } = this.site;
    const log = { level: 'debug', format: 'human', file: null } as const;
    const world = { name: host.name, folder: host.folder };
    const settings: FakeDaemonSettings = {
      config: { ...config, log, ...more },
      managementNodeId,
      world,
      userAddress: USER_ADDRESS,
    };
    const file = path.join(folder, 'daemon.json');
    writeFileSync(file, JSON.stringify(settings));
    const out = openSync(this.logFile, 'a');
    this.daemon = spawn(process.execPath, ['--expose-gc', '-r', REGISTER, PROGRAM, file], {
      stdio: ['ignore', out, out],
      env: { ...process.env, PROVISIOND_CRASH_AT: crashAt, ...env },
    });
    closeSync(out);
    return this.daemon;
  }

  async killDaemon(): Promise<void> {
    const { daemon } = this;
    this.daemon = null;
    if (!daemon || daemon.exitCode !== null || daemon.signalCode !== null) return;
    daemon.kill('SIGKILL');
    await once(daemon, 'exit');
  }

  /** Waits until it killed itself, or for what is to happen when its crash point does not come up. @returns whether it did */
  async crashed(orUntil: () => Promise<boolean>, seconds = 40): Promise<boolean> {
    const daemon = this.daemon!;
    const hasDied = () => daemon.signalCode === 'SIGKILL';
    await eventually(async () => {
      if (daemon.exitCode !== null) throw new Error(`the daemon ended with ${daemon.exitCode}: ${this.lastWords()}`);
      return hasDied() || (await orUntil());
    }, seconds);
    return hasDied();
  }

  async waitForRequest(requestId: number, wanted: readonly (string | null)[], seconds = 30): Promise<string | null> {
    return untilRequest(this.site, requestId, wanted, seconds).catch(async (error: Error) => {
      const failure = await this.site.failure(requestId).catch(() => '');
      const words = [error.message, failure, ...this.wordsOf(requestId), this.lastWords()];
      throw new Error(words.join('\n'), { cause: error });
    });
  }

  /** The host and the rows, by the independent auditor. */
  async audit(options?: AuditOptions): Promise<string[]> {
    const { url, host, config } = this.site;
    const env = { ...process.env, ...host.env };
    const places = { vms: host.path('vms'), datastore: host.path('datastore'), xmlDirectory: config.xmlDirectory };
    return audit({ database: url, ...places, env }, options);
  }

  /** What the daemons said of a request. */
  private wordsOf(requestId: number): string[] {
    return readFileSync(this.logFile, 'utf8')
      .split('\n')
      .filter((line) => line.includes(`[request ${requestId}]`))
      .slice(-40);
  }

  lastWords(lines = 12): string {
    return readFileSync(this.logFile, 'utf8').trim().split('\n').slice(-lines).join('\n');
  }

  async close(): Promise<void> {
    await this.killDaemon();
    await this.site.close();
  }
}
