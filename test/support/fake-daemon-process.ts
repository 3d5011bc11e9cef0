/**
 * The daemon on a fake site as a process of its own, to be killed: lease, poller, worker and inbox as lib/daemon.ts puts them
 * together, on the hosts and guests of the world that fault-site.ts made. Its one argument is a JSON file.
 */
import { readFileSync } from 'node:fs';
import type { Config } from '../../lib/config/config';
import { keepHeapSmall } from '../../lib/heap';
import { LocalHost } from '../../lib/host/local-host';
import { Slots } from '../../lib/host/slots';
import { createLogger } from '../../lib/log';
import { PluginRegistry } from '../../lib/plugins/registry';
import { jobMaker } from '../../lib/states/job-maker';
import { openStore } from '../../lib/store/open-store';
import { VmRecords } from '../../lib/operations/vm-records';
import { LeaseKeeper } from '../../lib/work/lease-keeper';
import { OperationInbox } from '../../lib/work/operation-inbox';
import { Poller } from '../../lib/work/poller';
import { Worker } from '../../lib/work/worker';
import { NO_DELIVERIES } from './deliveries';
import { COLLECT_GARBAGE } from './fake-daemon-signals';
import { FakeGuests } from './fake-guest';
import { FakeHost } from './fake-host';

export interface FakeDaemonSettings {
  readonly config: Config;
  readonly managementNodeId: number;
  /** Name of the host and folder of its world. */
  readonly world: { readonly name: string; readonly folder: string };
  /** From where a user is connected to every guest. */
  readonly userAddress: string;
}

async function main(file: string): Promise<void> {
  keepHeapSmall();
  process.on(COLLECT_GARBAGE, () => globalThis.gc?.());
  const settings = JSON.parse(readFileSync(file, 'utf8')) as FakeDaemonSettings;
  const { config, managementNodeId, world } = settings;
  const log = createLogger(config.log);
  const { store } = openStore({ database: config.database });
  const keeper = new LeaseKeeper(store, config.leaseSeconds, log);
  const host = new FakeHost({ name: world.name, at: world.folder });
  const guests = new FakeGuests(host);
  const stdout = `@@remote_address ${settings.userAddress}\n`;
  for (const computer of ['vm1', 'vm2']) {
    guests.behave(computer, { failing: { match: /announced=\$3/, exitCode: 0, stdout } });
  }
  const hosts = { get: () => host, loadSlots: () => new Slots(2) };
  const makeJob = jobMaker({
    config,
    store,
    hosts,
    connector: guests,
    registry: new PluginRegistry(config, log),
    addSecret: (value) => log.addSecret(value),
    slots: new Slots(config.maxLoads),
    node: new LocalHost({ name: 'node' }),
    queues: NO_DELIVERIES,
  });
  for (;;) {
    const lease = await keeper.acquire(managementNodeId, new AbortController().signal);
    const worker: Worker = new Worker(store, config, makeJob, log, () => poller.pollNow());
    const poller: Poller = new Poller(store, worker, lease, config.pollIntervalMs, log);
    const operations = new OperationInbox({ config, store, hosts }, new VmRecords(store, log), lease, log);
    poller.start();
    operations.start();
    while (await keeper.beat(lease)) await new Promise((resolve) => setTimeout(resolve, 1000));
    log.warn('the lease was lost');
    await operations.stop('the lease was lost');
    await poller.stop();
    await worker.stop('the lease was lost');
  }
}

void main(process.argv[2]!);
