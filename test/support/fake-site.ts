/**
 * A whole site without a lab: a real SQLite database, the real core, KVM driver and Linux OS module, on hosts and guests
 * of a fake world. What a daemon is made of can be built on it as often as a test lets it die.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Config } from '../../lib/config/config';
import { loadConfig } from '../../lib/config/load';
import type { GuestConnector, GuestSession, GuestTarget } from '../../lib/host/guest-session';
import { LocalHost } from '../../lib/host/local-host';
import { Slots } from '../../lib/host/slots';
import type { HostFacts } from '../../lib/model/reservation';
import { DEFAULT_TIMINGS, type Timings } from '../../lib/model/timings';
import { PluginRegistry } from '../../lib/plugins/registry';
import type { JobMakerParts } from '../../lib/states/job-maker';
import type { NewComputer, NewHost } from '../../lib/store/front-end';
import { openStore } from '../../lib/store/open-store';
import { MemoryLog } from '../fixtures/memory-log';
import { NO_DELIVERIES } from './deliveries';
import { FakeGuests } from './fake-guest';
import { FakeHost } from './fake-host';
import { FakeSiteRows } from './fake-site-rows';
import { tracesInRows, tracesOn } from './fake-traces';

export const USER_ADDRESS = '10.20.30.40';

export interface FakeSiteOptions {
  readonly hosts?: readonly string[];
  /** By default two, on the first host. */
  readonly computers?: readonly Partial<NewComputer>[];
  readonly settings?: Partial<Config>;
  readonly timings?: Partial<Timings>;
  /** Default: SQLite in a file of the site. */
  readonly database?: string;
}

export class FakeSite extends FakeSiteRows {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'provisiond-site-'));
  readonly url: string;
  readonly log = new MemoryLog();
  readonly hosts = new Map<string, FakeHost>();
  readonly guests = new Map<string, FakeGuests>();
  readonly timings: Timings;
  readonly config: Config;
  private readonly places = new Map<string, Slots>();

  private constructor(private readonly options: FakeSiteOptions) {
    super();
    this.url = options.database ?? `sqlite:${path.join(this.folder, 'db')}`;
    this.openStore();
    for (const name of options.hosts ?? ['host1']) {
      const host = new FakeHost({ name });
      this.hosts.set(name, host);
      this.guests.set(name, new FakeGuests(host));
    }
    const { config } = loadConfig({ env: { PROVISIOND_STATE_DIR: this.folder, PROVISIOND_MANAGEMENT_NODE: 'node' } });
    this.config = {
      ...config,
      database: this.url,
      xmlDirectory: this.host.path('xml'),
      guestBootTimeoutMs: 3000,
      retryDelayMs: 20,
      pollIntervalMs: 20,
      ...options.settings,
    };
    this.registry = new PluginRegistry(this.config, this.log);
    this.timings = { ...DEFAULT_TIMINGS, ...options.timings };
  }

  static async open(options: FakeSiteOptions = {}): Promise<FakeSite> {
    const site = new FakeSite(options);
    await site.furnish();
    return site;
  }

  /** Keeps rows, hosts and guests as they are now, for {@link restore}. */
  async remember(): Promise<void> {
    await this.store.close();
    rmSync(this.keptFolder, { recursive: true, force: true });
    cpSync(this.folder, this.keptFolder, { recursive: true });
    for (const host of this.hosts.values()) host.remember();
    this.openStore();
  }

  /** Puts rows, hosts and guests back as they were remembered. */
  async restore(): Promise<void> {
    await Promise.all([this.store.close(), this.connector.close()]);
    rmSync(this.folder, { recursive: true, force: true });
    cpSync(this.keptFolder, this.folder, { recursive: true });
    for (const host of this.hosts.values()) host.restore();
    this.openStore();
  }

  /** The first host. */
  get host(): FakeHost {
    return [...this.hosts.values()][0]!;
  }

  async close(): Promise<void> {
    await this.store.close();
    await Promise.all([...this.hosts.values()].map((host) => host.close()));
    rmSync(this.folder, { recursive: true, force: true });
    rmSync(this.keptFolder, { recursive: true, force: true });
  }

  /** What a daemon makes its jobs from. @param more for a daemon whose store or connector has faults of its own */
  adapters(more: Partial<JobMakerParts> = {}): JobMakerParts {
    return {
      config: this.config,
      store: this.store,
      hosts: { get: (facts) => this.hostOf(facts), loadSlots: (facts) => this.placesOf(facts) },
      connector: this.connector,
      registry: this.registry,
      addSecret: () => {},
      slots: new Slots(this.config.maxLoads),
      node: new LocalHost({ name: 'node' }),
      queues: NO_DELIVERIES,
      ...more,
    };
  }

  readonly connector: GuestConnector = {
    waitFor: (target, options) => this.waitFor(target, options),
    forget: async (address) => void (await Promise.all([...this.guests.values()].map((all) => all.forget(address)))),
    close: async () => void (await Promise.all([...this.guests.values()].map((all) => all.close()))),
  };

  /** The guest shows a connection of the user from now on; or none any more. */
  userIsThere(computer = 'vm1', there = true): void {
    const script = /announced=\$3/; // of the OS module's look at connections
    for (const guests of this.guests.values()) {
      const stdout = there ? `@@remote_address ${USER_ADDRESS}\n` : '';
      guests.behave(computer, { failing: { match: script, exitCode: 0, stdout } });
    }
  }

  /** Everything that reservations make: on the hosts, in the guests, and in the computers' rows; a line each. */
  async traces(): Promise<string[]> {
    const onHosts = [...this.hosts].flatMap(([name, host]) => tracesOn(name, host, this.guests.get(name)!));
    return [...onHosts, ...(await tracesInRows(this.database))];
  }

  private readonly registry: PluginRegistry;

  private get keptFolder(): string {
    return `${this.folder}.kept`;
  }

  private openStore(): void {
    const { store, frontEnd, db } = openStore({ database: this.url });
    [this.store, this.frontEnd, this.database] = [store, frontEnd, db];
  }

  private hostOf(facts: Pick<HostFacts, 'shortName'>): FakeHost {
    return this.hosts.get(facts.shortName)!;
  }

  private placesOf(facts: HostFacts): Slots {
    const limit = facts.connection.maxLoads ?? this.config.maxLoadsPerHost;
    const places = this.places.get(facts.shortName) ?? new Slots(limit);
    this.places.set(facts.shortName, places);
    return places;
  }

  /** Of the host whose domain has the address. */
  private async waitFor(
    target: GuestTarget,
    options: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<GuestSession> {
    const has = (host: FakeHost) => host.domains().some(({ name }) => name.startsWith(`${target.name}_`));
    const name = [...this.hosts].find(([, host]) => has(host))?.[0] ?? this.host.name;
    return this.guests.get(name)!.waitFor(target, options);
  }

  private async furnish(): Promise<void> {
    const { store, frontEnd } = this;
    await store.migrate();
    this.managementNodeId = await frontEnd.ensureManagementNode('node.test', '127.0.0.1', []);
    await frontEnd.ensureUser('student');
    for (const [name, host] of this.hosts) await frontEnd.putHost(this.hostRow(name, host), this.managementNodeId);
    const computers = this.options.computers ?? [{}, {}];
    for (const [index, more] of computers.entries()) {
      await frontEnd.putComputer(this.computerRow(index, more), this.managementNodeId);
    }
    this.image = await frontEnd.addImage({
      prettyName: 'Tiny Linux',
      os: 'vmwarelinux',
      ramMiB: 256,
      cpus: 1,
      sizeMiB: 1,
      owner: 'admin',
    });
    for (const host of this.hosts.values()) {
      const file = host.path('datastore', `${this.image.fileName}.qcow2`);
      execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file, '1M']);
    }
    // No services run in fake guests.
    await this.database.change('delete from connectmethodmap');
    this.lease = (await store.acquireLease(this.managementNodeId, 'test', 3600))!;
  }

  async addComputer(more: Partial<NewComputer>): Promise<void> {
    await this.frontEnd.putComputer(this.computerRow(0, more), this.managementNodeId);
  }

  private hostRow(name: string, host: FakeHost): NewHost {
    return {
      name,
      address: '127.0.0.1',
      transport: 'local',
      port: 22,
      user: 'root',
      hostKey: null,
      driver: null,
      maxLoads: null,
      datastorePath: host.path('datastore'),
      vmPath: host.path('vms'),
      repositoryPath: null,
      privateNetwork: 'private',
      publicNetwork: 'public',
      ramMiB: 65536,
      cpus: 64,
    };
  }

  private computerRow(index: number, more: Partial<NewComputer>): NewComputer {
    return {
      name: `vm${index + 1}`,
      host: this.host.name,
      privateIp: `192.168.121.${11 + index}`,
      publicIp: null,
      privateMac: null,
      publicMac: null,
      ramMiB: 1024,
      cpus: 1,
      afterwards: 'unload',
      ...more,
    };
  }
}
