/**
 * A process of its own for `scale.ts`: the whole daemon, as `provisiond run` starts it, but that hosts and guests are
 * simulated. It tells its parent what became of each request, and what it cost, when it is asked.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { loadConfig } from '../../lib/config/load';
import { startDaemon } from '../../lib/daemon';
import { SshGuestConnector } from '../../lib/host/guest-connector';
import { HostPool } from '../../lib/host/host-pool';
import { createLogger } from '../../lib/log';
import type { WayToHost } from '../../lib/model/reservation';
import { SIGNALS } from '../../lib/signals';
import { SimulatedGuests, SimulatedHost } from './simulated-hosts';

export interface Costs {
  /** Since the last time it was asked. */
  readonly cpuMs: number;
  readonly statements: number;
  readonly longestPollGapMs: number;
  readonly pollMs: readonly number[];
  /** How late the event loop was at worst. */
  readonly latestMs: number;
  /** Request → when its first step began, when it was reserved; milliseconds since 1970. */
  readonly begun: Readonly<Record<number, number>>;
  readonly reserved: Readonly<Record<number, number>>;
}

const [, , configFile, imageHeader, hangingHost] = process.argv;

/** ssh is the only thing that is not the daemon's own here. */
function simulateHosts(): void {
  const hosts = new Map<string, SimulatedHost>();
  const guests = new SimulatedGuests();
  const get = ({ shortName }: WayToHost): SimulatedHost => {
    const host = hosts.get(shortName) ?? new SimulatedHost(shortName, imageHeader!, shortName === hangingHost);
    hosts.set(shortName, host);
    return host;
  };
  Object.assign(HostPool.prototype, { get });
  Object.assign(SshGuestConnector.prototype, {
    waitFor: guests.waitFor.bind(guests),
    forget: guests.forget.bind(guests),
  });
}

class Meter {
  private readonly delay = monitorEventLoopDelay({ resolution: 10 });
  private readonly begun: Record<number, number> = {};
  private readonly reserved: Record<number, number> = {};
  private cpu = process.cpuUsage();
  private statements = 0;
  private lastPollAt = performance.now();
  private longestPollGapMs = 0;
  private pollMs: number[] = [];

  constructor() {
    this.delay.enable();
    SIGNALS.statement.listen(() => (this.statements += 1));
    SIGNALS.step.listen(({ requestId, milliseconds }) => (this.begun[requestId] ??= Date.now() - milliseconds));
    SIGNALS.outcome.listen(({ requestId, state, next }) => {
      if (state === 'new' && next === 'reserved') this.reserved[requestId] = Date.now();
    });
    SIGNALS.loop.listen(({ milliseconds }) => {
      const now = performance.now();
      this.pollMs.push(milliseconds);
      this.longestPollGapMs = Math.max(this.longestPollGapMs, now - this.lastPollAt);
      this.lastPollAt = now;
    });
  }

  take(): Costs {
    const { user, system } = process.cpuUsage(this.cpu);
    const costs: Costs = {
      cpuMs: (user + system) / 1000,
      statements: this.statements,
      longestPollGapMs: this.longestPollGapMs,
      pollMs: this.pollMs,
      latestMs: this.delay.max / 1e6,
      begun: this.begun,
      reserved: this.reserved,
    };
    this.cpu = process.cpuUsage();
    this.delay.reset();
    [this.statements, this.longestPollGapMs, this.pollMs] = [0, 0, []];
    return costs;
  }
}

async function main(): Promise<void> {
  simulateHosts();
  const { config } = loadConfig({ file: configFile, env: {} });
  const meter = new Meter();
  const daemon = await startDaemon(config, createLogger(config.log));
  process.on('message', () => {
    process.send!(meter.take());
  });
  process.once('disconnect', () => void daemon.stop('the bench is over').then(() => process.exit()));
}

void main();
