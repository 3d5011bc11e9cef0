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
import { STATE_IDS, stateName, type StateName } from '../../lib/model/states';
import { DEFAULT_TIMINGS, type Timings } from '../../lib/model/timings';
import { PluginRegistry } from '../../lib/plugins/registry';
import type { JobMakerParts } from '../../lib/states/job-maker';
import type { Database } from '../../lib/store/database';
import type { FrontEnd, NewComputer, NewHost } from '../../lib/store/front-end';
import { openStore } from '../../lib/store/open-store';
import type { Lease, Store } from '../../lib/store/store';
import { MemoryLog } from '../fixtures/memory-log';
import { NO_DELIVERIES } from './deliveries';
import { FakeGuests } from './fake-guest';
import { FakeHost } from './fake-host';

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

export class FakeSite {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'provisiond-site-'));
  readonly url: string;
  readonly log = new MemoryLog();
  readonly hosts = new Map<string, FakeHost>();
  readonly guests = new Map<string, FakeGuests>();
  readonly timings: Timings;
  readonly config: Config;
  store!: Store;
  frontEnd!: FrontEnd;
  database!: Database;
  managementNodeId = 0;
  image!: { imageId: number; revisionId: number; fileName: string };
  lease!: Lease;
  private readonly places = new Map<string, Slots>();

  private constructor(private readonly options: FakeSiteOptions) {
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

  // ------------------------------------------------------------------------------------------- what the front end does

  async reserve(more: { minutes?: number; computer?: string } = {}): Promise<number> {
    const wanted = { image: 'Tiny Linux', user: 'student', start: null, minutes: 60, ...more };
    return (await this.frontEnd.addReservation(wanted)).requestId;
  }

  /** A reload or other request without a user (`simpleAddRequest`): state and last state the same, no log. */
  async requestFor(computer: string, state: StateName): Promise<number> {
    const { now, addSeconds } = this.database.dialect;
    const times = await this.database.one<{ start: string; end: string }>(
      `select ${now} as start, ${addSeconds(now, '1800')} as \`end\``,
    );
    const { id: computerid } = await this.computer(computer);
    return this.database.transaction(async (tx) => {
      const id = STATE_IDS[state];
      const user = { userid: 2, daterequested: times!.start, ...times! };
      const requestid = await tx.insert('request', { stateid: id, laststateid: id, ...user });
      await tx.insert('reservation', {
        requestid,
        computerid,
        imageid: this.image.imageId,
        imagerevisionid: this.image.revisionId,
        managementnodeid: this.managementNodeId,
      });
      return requestid;
    });
  }

  /** Writes another state over a request, as the front end does: the last state stays what it is. */
  async overwrite(requestId: number, state: StateName): Promise<void> {
    await this.database.change('update request set stateid = ? where id = ?', [STATE_IDS[state], requestId]);
  }

  /** Moves the end of a reservation to so many seconds from now. */
  async endIn(requestId: number, seconds: number): Promise<void> {
    const { now, addSeconds } = this.database.dialect;
    await this.database.change(`update request set \`end\` = ${addSeconds(now, '?')} where id = ?`, [
      seconds,
      requestId,
    ]);
  }

  // ------------------------------------------------------------------------------------------- what the user does

  /** The guest shows a connection of the user from now on; or none any more. */
  userIsThere(computer = 'vm1', there = true): void {
    const script = /announced=\$3/; // of the OS module's look at connections
    for (const guests of this.guests.values()) {
      const stdout = there ? `@@remote_address ${USER_ADDRESS}\n` : '';
      guests.behave(computer, { failing: { match: script, exitCode: 0, stdout } });
    }
  }

  // ------------------------------------------------------------------------------------------- what there is

  /** `state/laststate`; null when the row is gone. */
  async requestState(requestId: number): Promise<string | null> {
    const row = await this.database.one<{ stateid: number; laststateid: number }>(
      'select stateid, laststateid from request where id = ?',
      [requestId],
    );
    return row ? `${stateName(row.stateid)}/${stateName(row.laststateid)}` : null;
  }

  async computer(name: string) {
    const row = await this.database.one<{ id: number; stateid: number; currentimageid: number; guestKey: string }>(
      `select c.id, c.stateid, c.currentimageid, g.hostkey as guestKey from computer c
       left join provisiond_guest g on g.computerid = c.id where c.hostname = ?`,
      [name],
    );
    return row!;
  }

  async computerState(name: string): Promise<StateName> {
    return stateName((await this.computer(name)).stateid)!;
  }

  async logEnding(requestId: number): Promise<string | undefined> {
    const sql = 'select ending from log where requestid = ?';
    return (await this.database.one<{ ending: string }>(sql, [requestId]))?.ending;
  }

  /** The text of the loadlog row `failed`. */
  async failure(requestId: number): Promise<string> {
    const { timeline } = await this.frontEnd.show(requestId);
    return timeline.filter(({ loadState }) => loadState === 'failed').at(-1)?.text ?? '';
  }

  /** Everything that reservations make: on the hosts, in the guests, and in the computers' rows; a line each. */
  async traces(): Promise<string[]> {
    const lines: string[] = [];
    for (const [name, host] of this.hosts) lines.push(...this.onHost(name, host));
    const rows = await this.database.rows<{ hostname: string; currentimageid: number; known: number }>(
      `select c.hostname, c.currentimageid, g.computerid is not null as known from computer c
       left join provisiond_guest g on g.computerid = c.id order by c.id`,
    );
    for (const { hostname, currentimageid, known } of rows) {
      if (currentimageid !== 1) lines.push(`computer ${hostname} is said to hold image ${currentimageid}`);
      if (known) lines.push(`the key of guest ${hostname} is known`);
    }
    const reloads = await this.database.rows('select id from request where stateid = ?', [STATE_IDS.reload]);
    return [...lines, ...reloads.map(() => 'a reload is ordered')];
  }

  private onHost(name: string, host: FakeHost): string[] {
    const domains = host
      .domains()
      .flatMap((domain) => [
        `domain ${domain.name} on ${name}: ${domain.state}, started ${domain.boots} times`,
        ...this.inGuest(name, domain.name).map((line) => `guest ${domain.name}: ${line}`),
      ]);
    const files = ['vms', 'xml'].flatMap((folder) =>
      host
        .files(folder)
        .filter((file) => !file.endsWith('.load')) // the note of the fence stays
        .map((file) => `file ${name}/${folder}/${file}`),
    );
    const entries = host.dhcpHosts('private', 'config').map(({ mac, ip }) => `address ${mac} ${ip} on ${name}`);
    return [...domains, ...files, ...entries];
  }

  /** Marks of the image without their times, and the accounts. */
  private inGuest(host: string, domain: string): string[] {
    const guests = this.guests.get(host)!;
    const marks = (guests.read(domain, '/root/currentimage.txt') ?? '').split('\n').filter(Boolean);
    const accounts = (guests.read(domain, '/etc/passwd') ?? '').split('\n').filter((line) => /^student:/.test(line));
    return [
      ...marks
        .filter((mark) => !mark.startsWith('imagerevision_datecreated='))
        .map((mark) => mark.replace(/ ?\(.*\)$/, '')),
      ...accounts.map((line) => `account ${line.split(':')[0]}`),
    ];
  }

  // -------------------------------------------------------------------------------------------

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
