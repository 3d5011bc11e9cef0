/**
 * The composition root: builds the adapters, gives them to what needs them, starts and stops it all.
 * Nothing else in the program makes a store, a host, a connector or a registry for the daemon.
 */
import type { Config } from './config/config';
import { ProvisiondError } from './errors';
import { SshGuestConnector } from './host/guest-connector';
import { HostPool } from './host/host-pool';
import { Slots } from './host/slots';
import type { RootLog } from './log';
import { PluginRegistry } from './plugins/registry';
import { jobMaker, type JobMakerParts } from './states/job-maker';
import { openStore } from './store/open-store';
import type { Lease, Store } from './store/store';
import { VmRecords } from './operations/vm-records';
import { LeaseKeeper } from './work/lease-keeper';
import { OperationInbox } from './work/operation-inbox';
import { Poller } from './work/poller';
import { schedule } from './work/schedule';
import { VmWatcher } from './work/vm-watcher';
import { Worker } from './work/worker';

export interface RunningDaemon {
  /** Takes nothing more up, lets each job come to its next step border, leaves VMs alone, closes everything. */
  stop(reason: string): Promise<void>;
  /** Settles when the daemon has stopped; rejects when it cannot go on. */
  readonly done: Promise<void>;
}

/**
 * Starts the daemon; returns once it is on its way. It becomes active when it holds the lease of its node.
 * @throws SCHEMA_MISSING, SCHEMA_NEWER, NOT_FOUND (no row for the management node), DATABASE_UNAVAILABLE
 */
export async function startDaemon(config: Config, log: RootLog): Promise<RunningDaemon> {
  const { store } = openStore({ database: config.database });
  try {
    await requireSchema(store);
    const node = await store.managementNode(config.managementNode);
    log.info('provisiond starts', { database: store.label, managementNode: node.hostname, pid: process.pid });
    return serve(config, log, store, node.id, node.keyFiles);
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

function serve(config: Config, log: RootLog, store: Store, nodeId: number, keyFiles: readonly string[]): RunningDaemon {
  const stopping = new AbortController();
  const hosts = new HostPool({
    keyFiles: keyFiles.length > 0 ? keyFiles : config.sshKeyFiles,
    maxLoadsPerHost: config.maxLoadsPerHost,
    connectTimeoutMs: config.sshConnectTimeoutMs,
    commandTimeoutMs: config.commandTimeoutMs,
    maxChannels: config.sshMaxChannels,
  });
  const connector = new SshGuestConnector({ commandTimeoutMs: config.guestCommandTimeoutMs });
  const registry = new PluginRegistry(config, log);
  const parts = {
    config,
    store,
    hosts,
    connector,
    registry,
    addSecret: (value: string) => log.addSecret(value),
    slots: new Slots(config.maxLoads),
  };
  const keeper = new LeaseKeeper(store, config.leaseSeconds, log);

  const done = (async () => {
    while (!stopping.signal.aborted) {
      const lease = await keeper.acquire(nodeId, stopping.signal);
      await beActive(lease, keeper, parts, log, stopping.signal);
    }
  })()
    .catch((error: unknown) => {
      if (!stopping.signal.aborted) throw error;
    })
    .finally(async () => {
      await connector.close();
      await hosts.close();
      await store.close();
      log.info('provisiond has stopped');
    });

  return {
    done,
    stop: async (reason) => {
      log.info(`stopping: ${reason}`);
      stopping.abort(new Error(reason));
      await done.catch(() => {});
    },
  };
}

/** Works the inbox for as long as the lease is ours and nobody stops us. */
async function beActive(
  lease: Lease,
  keeper: LeaseKeeper,
  parts: JobMakerParts,
  log: RootLog,
  stopping: AbortSignal,
): Promise<void> {
  const { store, config } = parts;
  const lost = new AbortController();
  const worker: Worker = new Worker(store, config, jobMaker(parts), log, () => poller.pollNow());
  const poller: Poller = new Poller(store, worker, lease, config.pollIntervalMs, log);
  const records = new VmRecords(store, log);
  const operations = new OperationInbox(parts, records, lease, log);
  const watcher = new VmWatcher({ ...parts, records, operations }, lease, log);
  const prune = schedule('prune operations', '0 17 * * * *', log, async () => {
    const pruned = await store.pruneOperations(lease, config.operationRetentionDays);
    if (pruned > 0) log.info(`removed ${pruned} operations that are long over`);
  });
  const heartbeat = schedule('heartbeat', '*/5 * * * * *', log, async () => {
    if (!(await keeper.beat(lease))) lost.abort(new Error('the lease was lost'));
  });
  const refresh = schedule('refresh', '*/30 * * * * *', log, () => poller.refresh());
  try {
    await keeper.beat(lease);
    poller.start();
    operations.start();
    watcher.start();
    await aborted(AbortSignal.any([lost.signal, stopping]));
  } finally {
    await Promise.all([heartbeat.stop(), refresh.stop(), prune.stop(), poller.stop(), watcher.stop()]);
    const operationsStop = operations.stop(stopping.aborted ? 'the daemon stops' : 'the lease was lost');
    if (stopping.aborted) await worker.stopForGood('the daemon stops');
    else await worker.stop('the lease was lost');
    await operationsStop;
    if (!lost.signal.aborted)
      await store.releaseLease(lease).catch((error: unknown) => log.warn('lease not released', { error }));
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
