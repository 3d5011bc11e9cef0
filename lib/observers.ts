/** What looks on while the daemon works: health, metrics, the page, systemd. The work does not depend on any of it. */
import type { Config } from './config/config';
import type { HostPool } from './host/host-pool';
import type { Listener } from './listener';
import type { RootLog } from './log';
import { LogLevels } from './log-levels';
import { Health } from './metrics/health';
import { Metrics } from './metrics/metrics';
import { startMonitor } from './metrics/monitor';
import type { ManagementNodeFacts } from './model/reservation';
import { startPage } from './page/page';
import type { PluginRegistry } from './plugins/registry';
import { SIGNALS } from './signals';
import type { FrontEnd } from './store/front-end';
import type { Store } from './store/store';
import { Systemd } from './systemd';
import type { LeaseKeeper } from './work/lease-keeper';

export interface Observed {
  readonly config: Config;
  readonly log: RootLog;
  readonly version: string;
  readonly store: Store;
  readonly frontEnd: FrontEnd;
  readonly hosts: HostPool;
  readonly keeper: LeaseKeeper;
  readonly node: ManagementNodeFacts;
  readonly registry: () => PluginRegistry;
}

export interface Observers {
  /** The daemon begins to stop. */
  stopping(): void;
  close(): Promise<void>;
}

/** @throws CONFIG_INVALID when an address of the configuration cannot be listened on */
export async function startObservers(observed: Observed): Promise<Observers> {
  const { config, log } = observed;
  const health = new Health();
  // Nobody counts what nobody asks for.
  const metrics = config.metrics === null ? null : new Metrics(metricSources(observed, health));
  const systemd = new Systemd(log);
  const endWatching = watchOver(systemd);
  const levels = new LogLevels(config.stateDir, log);
  const listeners: Listener[] = [];
  const close = async () => {
    endWatching();
    levels.close();
    await Promise.all(listeners.map((listener) => listener.close()));
    metrics?.close();
    health.close();
  };
  try {
    if (config.metrics !== null && metrics) listeners.push(await startMonitor(config.metrics, metrics, health, log));
    if (config.http !== null) listeners.push(await startPage(config.http, { ...observed, health }));
  } catch (error) {
    await close();
    throw error;
  }
  return { close, stopping: () => void systemd.notify('STOPPING=1', 'STATUS=comes to the next step border') };
}

function metricSources({ version, store, hosts, keeper, node }: Observed, health: Health) {
  return {
    version,
    health: () => health.report(),
    census: () => store.census(node.id),
    hosts: () => hosts.states(),
    lease: () => ({ secondsSinceRenewal: keeper.secondsSinceRenewal, token: keeper.token }),
  };
}

/**
 * Ready with the first poll that succeeded; a standby when another daemon has the lease, for it works nothing until
 * the other is dead. The watchdog is fed by the loop's progress, whether the database answers or not: a restart mends
 * a loop that hangs, and no database.
 */
function watchOver(systemd: Systemd): () => void {
  let told: string | null = null;
  let fedAt = -Infinity;
  const feedEveryMs = (systemd.watchdogMs ?? Infinity) / 3;
  return SIGNALS.loop.listen(({ role, ok }) => {
    if (ok && told !== role) {
      told = role;
      const status = role === 'active' ? 'works the inbox' : 'waits for the lease of the management node';
      void systemd.notify('READY=1', `STATUS=${status}`);
    }
    if (performance.now() - fedAt < feedEveryMs) return;
    fedAt = performance.now();
    void systemd.notify('WATCHDOG=1');
  });
}
