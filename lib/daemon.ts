/**
 * The composition root: builds the adapters, gives them to what needs them, starts and stops it all.
 * Nothing else in the program makes a store, a host, a connector or a registry for the daemon.
 */
import { privateKeyFiles } from './config/credentials';
import { LiveConfig, PLUGIN_KEYS, changedKeys, isForNextStart } from './config/live';
import type { Config } from './config/config';
import { ProvisiondError } from './errors';
import { FrontEndClient } from './front-end-rpc/front-end-client';
import { keepHeapSmall } from './heap';
import { SshGuestConnector } from './host/guest-connector';
import { HostPool, type HostPoolOptions } from './host/host-pool';
import { LocalHost } from './host/local-host';
import { Slots } from './host/slots';
import type { RootLog } from './log';
import { Mailer } from './messages/mailer';
import { startObservers } from './observers';
import { PluginRegistry } from './plugins/registry';
import { jobMaker, type JobMakerParts } from './states/job-maker';
import type { ManagementNodeFacts } from './model/reservation';
import { type OpenStore, openStore } from './store/open-store';
import type { Lease, Store } from './store/store';
import { BlockAllocations } from './work/block-allocations';
import { VmRecords } from './operations/vm-records';
import { LeaseKeeper } from './work/lease-keeper';
import { OperationInbox } from './work/operation-inbox';
import { Poller } from './work/poller';
import { Queues } from './work/queues';
import { schedule } from './work/schedule';
import { emptyTrash } from './work/trash-keeper';
import { VmWatcher } from './work/vm-watcher';
import { Worker } from './work/worker';

export interface RunningDaemon {
  /** Takes over another configuration: for what is begun from now on; some keys only at the next start. */
  reload(config: Config): void;
  /** Takes nothing more up, lets each job come to its next step border, leaves VMs alone, closes everything. */
  stop(reason: string): Promise<void>;
  /** Settles when the daemon has stopped; rejects when it cannot go on. */
  readonly done: Promise<void>;
}

/**
 * Starts the daemon; returns once it is on its way. It becomes active when it holds the lease of its node.
 * @throws SCHEMA_MISSING, SCHEMA_NEWER, NOT_FOUND (no row for the management node), DATABASE_UNAVAILABLE
 */
export async function startDaemon(config: Config, log: RootLog, version = 'unknown'): Promise<RunningDaemon> {
  keepHeapSmall();
  const opened = openStore({ database: config.database });
  const { store } = opened;
  try {
    await requireSchema(store);
    const node = await store.managementNode(config.managementNode);
    log.info('provisiond starts', { database: store.label, managementNode: node.hostname, pid: process.pid });
    return await serve(config, log, opened, node, version);
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function requireSchema(store: Store): Promise<void> {
  const state = await store.schemaState();
  if (state === 'missing' || state === 'older') {
    throw new ProvisiondError('SCHEMA_MISSING', `the database ${store.label} has no tables of this version`);
  }
  if (state === 'newer')
    throw new ProvisiondError('SCHEMA_NEWER', `the database ${store.label} is newer than this program`);
}

async function serve(
  config: Config,
  log: RootLog,
  { store, frontEnd }: OpenStore,
  node: ManagementNodeFacts,
  version: string,
): Promise<RunningDaemon> {
  const stopping = new AbortController();
  const live = new LiveConfig(config);
  const hosts = new HostPool(hostSettings(config, node));
  const connector = new SshGuestConnector({ commandTimeoutMs: config.guestCommandTimeoutMs });
  let registry = new PluginRegistry(config, log);
  const slots = new Slots(config.maxLoads);
  const parts: Parts = {
    // A job keeps the configuration and the plugins that it was made with.
    get config() {
      return live.current;
    },
    get registry() {
      return registry;
    },
    store,
    hosts,
    connector,
    addSecret: (value: string) => log.addSecret(value),
    slots,
    frontEnd: new FrontEndClient(config.xmlrpc),
    mailer: new Mailer(config.mail, config.managementNode),
    node: new LocalHost({ name: config.managementNode }),
  };
  const keeper = new LeaseKeeper(store, config.leaseSeconds, log);
  const observers = await startObservers({
    ...{ config, log, version, store, frontEnd, hosts, keeper, node },
    registry: () => registry,
  });

  const done = (async () => {
    while (!stopping.signal.aborted) {
      const lease = await keeper.acquire(node.id, stopping.signal);
      await beActive(lease, keeper, parts, live, log, stopping.signal);
    }
  })()
    .catch((error: unknown) => {
      if (!stopping.signal.aborted) throw error;
    })
    .finally(async () => {
      await observers.close();
      parts.mailer.close();
      await parts.node.close();
      await connector.close();
      await hosts.close();
      await store.close();
      log.info('provisiond has stopped');
    });

  return {
    done,
    reload: (next) => {
      const changed = live.replace(next);
      log.configure(next.log);
      slots.setLimit(next.maxLoads);
      hosts.configure(hostSettings(next, node));
      if (changed.some((key) => PLUGIN_KEYS.includes(key))) registry = new PluginRegistry(next, log);
      const waiting = changedKeys(config, next).filter(isForNextStart);
      log.info('the configuration was read again', { changed: changed.join(' ') || 'nothing' });
      if (waiting.length > 0) log.warn('takes effect at the next start', { keys: waiting.join(' ') });
    },
    stop: async (reason) => {
      log.info(`stopping: ${reason}`);
      observers.stopping();
      stopping.abort(new Error(reason));
      await done.catch(() => {});
    },
  };
}

type Parts = Omit<JobMakerParts, 'queues'> & {
  readonly frontEnd: FrontEndClient;
  readonly mailer: Mailer;
  readonly node: LocalHost;
};
function hostSettings(config: Config, { keyFiles }: ManagementNodeFacts): HostPoolOptions {
  return {
    keyFiles: privateKeyFiles(keyFiles, config.sshKeyFiles),
    maxLoadsPerHost: config.maxLoadsPerHost,
    connectTimeoutMs: config.sshConnectTimeoutMs,
    commandTimeoutMs: config.commandTimeoutMs,
    maxChannels: config.sshMaxChannels,
  };
}

/** Works the inbox for as long as the lease is ours and nobody stops us. */
async function beActive(
  lease: Lease,
  keeper: LeaseKeeper,
  parts: Parts,
  live: LiveConfig,
  log: RootLog,
  stopping: AbortSignal,
): Promise<void> {
  const { store } = parts;
  const lost = new AbortController();
  const queues = new Queues(parts, lease, log);
  const makeJob = jobMaker(withMore(parts, { queues }));
  const worker: Worker = new Worker(store, live.view, makeJob, log, () => poller.pollNow());
  const poller: Poller = new Poller(store, worker, lease, parts.config.pollIntervalMs, log);
  const endListening = live.listen(({ pollIntervalMs }) => poller.setInterval(pollIntervalMs));
  const records = new VmRecords(store, log);
  const operations = new OperationInbox(parts, records, lease, log);
  const watcher = new VmWatcher(withMore(parts, { records, operations }), lease, log);
  const heartbeat = schedule('heartbeat', '*/5 * * * * *', log, async () => {
    if (!(await keeper.beat(lease))) lost.abort(new Error('the lease was lost'));
  });
  const refresh = schedule('refresh', '*/30 * * * * *', log, () => poller.refresh());
  const deliveries = schedule('deliveries', '*/5 * * * * *', log, queues.look);
  const blocks = new BlockAllocations({
    ...{ store, frontEnd: parts.frontEnd, lease, log },
    onQueued: parts.mailer.isOn ? () => void queues.lookAtMessages() : null,
  });
  const allocations = schedule('block allocations', '*/30 * * * * *', log, blocks.look);
  const prune = schedule('prune', '7 17 * * * *', log, async () => {
    await queues.prune();
    const pruned = await store.pruneOperations(lease, live.current.operationRetentionDays);
    if (pruned > 0) log.info(`removed ${pruned} operations that are long over`);
  });
  const trash = schedule('trash', '41 */10 * * * *', log, async () => void (await emptyTrash(parts, lease, log)));
  try {
    await keeper.beat(lease);
    poller.start();
    operations.start();
    watcher.start();
    await aborted(AbortSignal.any([lost.signal, stopping]));
  } finally {
    endListening();
    const busy = [watcher, blocks, heartbeat, refresh, deliveries, allocations, prune, trash, poller];
    await Promise.all(busy.map((each) => each.stop()));
    const operationsStop = operations.stop(stopping.aborted ? 'the daemon stops' : 'the lease was lost');
    if (stopping.aborted) await worker.stopForGood('the daemon stops');
    else await worker.stop('the lease was lost');
    await operationsStop;
    await queues.stop();
    if (!lost.signal.aborted)
      await store.releaseLease(lease).catch((error: unknown) => log.warn('lease not released', { error }));
  }
}

/** Not a copy of the parts: their configuration and plugins may be replaced while we work. */
function withMore<M extends object>(parts: Parts, more: M): Parts & M {
  return Object.assign(Object.create(parts) as Parts, more);
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
