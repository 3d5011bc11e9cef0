/**
 * A site without a lab: a database, a fake VM host with fake guests, and the daemon's own poller, worker and states on
 * them, in this process. Tests write rows as the front end does, and look at rows, domains and guests. A second
 * management node is a second poller and worker with a lease of its own on the same database.
 */
import { execFileSync } from 'node:child_process';
import type { Config } from '../../lib/config/config';
import { loadConfig } from '../../lib/config/load';
import { FrontEndClient } from '../../lib/front-end-rpc/front-end-client';
import { Mailer } from '../../lib/messages/mailer';
import { jobMaker } from '../../lib/states/job-maker';
import { describeError } from '../../lib/errors';
import type { Host } from '../../lib/host/host';
import { LocalHost } from '../../lib/host/local-host';
import { Slots } from '../../lib/host/slots';
import { PluginRegistry } from '../../lib/plugins/registry';
import type { Lease } from '../../lib/store/store';
import { Poller } from '../../lib/work/poller';
import { Queues } from '../../lib/work/queues';
import { Worker } from '../../lib/work/worker';
import { MemoryLog } from '../fixtures/memory-log';
import { eventually } from './eventually';
import { FakeClusterRows, type NewRequest } from './fake-cluster-rows';
import { FakeGuests } from './fake-guest';
import { FakeHost } from './fake-host';
import { computer, HOST, type MariadbServer, openTestStore, type StoreDialect, type TestStore } from './store';

export interface FakeClusterSiteOptions {
  readonly dialect?: StoreDialect;
  readonly server?: MariadbServer;
  readonly settings?: Partial<Config>;
  /** What the management node's own commands are run on. */
  readonly node?: Host;
  /** How many computers the host has: `vm1.test`, `vm2.test` … */
  readonly computers?: number;
}

/** Matches the script that asks a guest for its user. */
const ASKS_FOR_USER = /announced=/;

export class FakeClusterSite extends FakeClusterRows {
  readonly log = new MemoryLog();
  private readonly nodes: { poller: Poller; worker: Worker; queues: Queues; lease: Lease }[] = [];

  private constructor(
    t: TestStore,
    readonly host: FakeHost,
    readonly guests: FakeGuests,
    readonly config: Config,
    private readonly node: Host,
  ) {
    super(t);
  }

  /** @param options without a daemon until {@link startNode} */
  static async open(options: FakeClusterSiteOptions = {}): Promise<FakeClusterSite> {
    const host = new FakeHost();
    const t = await openTestStore(options.dialect ?? 'sqlite', options.server);
    const facts = host.facts().profile;
    const places = {
      datastorePath: facts.datastorePath,
      vmPath: facts.vmPath,
      privateNetwork: 'private',
      publicNetwork: 'public',
    };
    await t.frontEnd.putHost({ ...HOST, ...places }, t.managementNodeId);
    for (let index = 1; index <= (options.computers ?? 2); index++) {
      await t.frontEnd.putComputer({ ...computer(index), privateIp: `192.168.121.${10 + index}` }, t.managementNodeId);
    }
    const { config } = loadConfig({
      env: { PROVISIOND_STATE_DIR: host.folder, PROVISIOND_MANAGEMENT_NODE: 'node.test' },
    });
    const quick = { pollIntervalMs: 20, retryDelayMs: 20, guestBootTimeoutMs: 10_000, xmlDirectory: host.path('xml') };
    const settings = { ...config, ...quick, ...options.settings };
    const node = options.node ?? new LocalHost({ name: 'node' });
    const site = new FakeClusterSite(t, host, new FakeGuests(host), settings, node);
    site.putImage(t.image.fileName);
    await site.database('connectmethodmap').delete(); // no services run in fake guests
    return site;
  }

  putImage(fileName: string): void {
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', this.host.path('datastore', `${fileName}.qcow2`), '1M']);
  }

  /** Begins to work for a management node; default: the site's only one. */
  async startNode(lease: Lease = this.t.lease): Promise<void> {
    const { config, host, guests, log } = this;
    const { store } = this.t;
    const frontEnd = new FrontEndClient(config.xmlrpc);
    const mailer = new Mailer(config.mail, 'node.test');
    const queues = new Queues({ store, config, frontEnd, mailer }, lease, log);
    const ports = {
      config,
      store,
      hosts: { get: () => host, loadSlots: () => new Slots(10) },
      connector: guests,
      registry: new PluginRegistry(config, log),
      addSecret: () => {},
      slots: new Slots(10),
      node: this.node,
      queues,
    };
    const worker: Worker = new Worker(store, config, jobMaker(ports), log, () => poller.pollNow());
    const poller: Poller = new Poller(store, worker, lease, config.pollIntervalMs, log);
    this.nodes.push({ poller, worker, queues, lease });
    poller.start();
  }

  /** Of the nodes that work. */
  get leases(): Lease[] {
    return this.nodes.map(({ lease }) => lease);
  }

  /** As SIGTERM does. */
  async stopNodes(): Promise<void> {
    for (const { poller, worker, queues } of this.nodes.splice(0)) {
      await poller.stop();
      await worker.stop('the test stops it');
      await queues.stop();
    }
  }

  async close(): Promise<void> {
    await this.stopNodes();
    await this.closeRows();
    await this.guests.close();
    await this.host.close();
  }

  /** A reservation that its user is on. */
  async inuse(wanted: NewRequest = {}): Promise<{ requestId: number; reservationIds: number[] }> {
    const made = await this.request(wanted);
    for (const name of wanted.computers ?? ['vm1']) this.letUserConnect(name);
    await this.waitFor(made.requestId, 'pending/reserved');
    await this.acknowledge(made.requestId);
    await this.waitFor(made.requestId, 'inuse/reserved');
    return made;
  }

  /** From now on the guest says that its user is connected. */
  letUserConnect(name: string, from = '192.0.2.7'): void {
    this.guests.behave(name, { failing: { match: ASKS_FOR_USER, exitCode: 0, stdout: `@@remote_address ${from}\n` } });
  }

  async waitFor(requestId: number, wanted: string | null, seconds = 20): Promise<void> {
    let state: string | null = '';
    const complaint = () => `request ${requestId} is ${state}, not ${wanted}:\n${this.story()}`;
    const isThere = async () => {
      state = await this.state(requestId);
      // A machine in use may have been looked at already.
      if (state === wanted || (wanted === 'inuse/reserved' && state === 'inuse/inuse')) return true;
      if (state?.startsWith('failed/') && !wanted?.startsWith('failed')) throw new Error(complaint());
      return false;
    };
    await eventually(isThere, seconds, complaint);
  }

  /** The domain of a computer, if it has one. */
  domainOf(name: string) {
    return this.host.domains().find((domain) => domain.name.startsWith(`${name}_`));
  }

  story(): string {
    return this.log.lines.map(({ level, message, details }) => `${level} ${message} ${describe(details)}`).join('\n');
  }
}

function describe(details: object | undefined): string {
  const error = (details as { error?: Error } | undefined)?.error;
  return error ? describeError(error) : '';
}
