/**
 * A site without a lab: a database, a fake VM host with fake guests, and the daemon's own poller, worker and states on
 * them, in this process. Tests write rows as the front end does, and look at rows, domains and guests. A second
 * management node is a second poller and worker with a lease of its own on the same database.
 */
import { execFileSync } from 'node:child_process';
import knex, { type Knex } from 'knex';
import type { Config } from '../../lib/config/config';
import { loadConfig } from '../../lib/config/load';
import { FrontEndClient } from '../../lib/front-end-rpc/front-end-client';
import { Mailer } from '../../lib/messages/mailer';
import { jobMaker } from '../../lib/states/job-maker';
import { describeError } from '../../lib/errors';
import type { Host } from '../../lib/host/host';
import { LocalHost } from '../../lib/host/local-host';
import { Slots } from '../../lib/host/slots';
import { STATE_IDS, stateName, type StateName } from '../../lib/model/states';
import { PluginRegistry } from '../../lib/plugins/registry';
import type { Lease } from '../../lib/store/store';
import { Poller } from '../../lib/work/poller';
import { eventually } from './eventually';
import { Queues } from '../../lib/work/queues';
import { Worker } from '../../lib/work/worker';
import { MemoryLog } from '../fixtures/memory-log';
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

export interface NewRequest {
  readonly state?: StateName;
  readonly lastState?: StateName;
  /** Names, the parent's first; default `vm1`. */
  readonly computers?: readonly string[];
  readonly minutes?: number;
  readonly startsInMinutes?: number;
  readonly user?: string;
  readonly imageId?: number;
  readonly revisionId?: number;
  readonly remoteIp?: string | null;
  readonly withoutLog?: boolean;
}

export interface ComputerRow {
  readonly id: number;
  readonly hostname: string;
  readonly stateid: number;
  readonly currentimageid: number;
  readonly imagerevisionid: number;
  readonly nextimageid: number;
  readonly vmhostid: number | null;
  readonly IPaddress: string;
}

/** Matches the script that asks a guest for its user. */
const ASKS_FOR_USER = /announced=/;

export class FakeClusterSite {
  readonly log = new MemoryLog();
  private readonly nodes: { poller: Poller; worker: Worker; queues: Queues; lease: Lease }[] = [];

  private constructor(
    readonly host: FakeHost,
    readonly guests: FakeGuests,
    readonly t: TestStore,
    readonly database: Knex,
    readonly config: Config,
    private readonly node: Host,
  ) {}

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
    const site = new FakeClusterSite(host, new FakeGuests(host), t, connect(t.url), settings, node);
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
    await this.database.destroy();
    await this.t.close();
    await this.guests.close();
    await this.host.close();
  }

  /** The rows of a request as the front end writes them. @returns their ids */
  async request(wanted: NewRequest = {}): Promise<{ requestId: number; reservationIds: number[] }> {
    const { state = 'new', computers = ['vm1'], minutes = 60, startsInMinutes = -5, user = 'admin' } = wanted;
    const { image, managementNodeId } = this.t;
    const [imageid, imagerevisionid] = [wanted.imageId ?? image.imageId, wanted.revisionId ?? image.revisionId];
    const [start, end] = [await this.time(startsInMinutes), await this.time(startsInMinutes + minutes)];
    const userid = await this.userId(user);
    const logid = wanted.withoutLog
      ? null
      : await this.insert('log', { userid, start, initialend: end, finalend: end, wasavailable: 1, imageid });
    const laststateid = STATE_IDS[wanted.lastState ?? state];
    const requestId = await this.insert('request', {
      stateid: STATE_IDS.pending,
      laststateid,
      userid,
      logid,
      start,
      end,
      daterequested: start,
    });
    const reservationIds = [];
    for (const name of computers) {
      const { id: computerid } = await this.computer(name);
      if (logid !== null) {
        await this.insert('sublog', {
          logid,
          imageid,
          imagerevisionid,
          computerid,
          managementnodeid: managementNodeId,
        });
      }
      const place = { requestid: requestId, computerid, imageid, imagerevisionid, managementnodeid: managementNodeId };
      reservationIds.push(await this.insert('reservation', { ...place, remoteIP: wanted.remoteIp ?? null }));
    }
    await this.database('request').where({ id: requestId }).update({ stateid: STATE_IDS[state] });
    return { requestId, reservationIds };
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

  async acknowledge(requestId: number, from = '192.0.2.7'): Promise<void> {
    await this.database('reservation').where({ requestid: requestId }).update({ remoteIP: from });
  }

  /** As the front end does: the last state is left alone. */
  async write(requestId: number, state: StateName): Promise<void> {
    await this.database('request').where({ id: requestId }).update({ stateid: STATE_IDS[state] });
  }

  /** `state/laststate`; null when the row is gone. */
  async state(requestId: number): Promise<string | null> {
    const row = await this.database('request')
      .where({ id: requestId })
      .first<Record<'stateid' | 'laststateid', number>>();
    return row ? `${stateName(row.stateid)}/${stateName(row.laststateid)}` : null;
  }

  async waitFor(requestId: number, wanted: string | null, seconds = 20): Promise<void> {
    let state: string | null = '';
    // A machine in use may have been looked at already.
    const isThere = () => state === wanted || (wanted === 'inuse/reserved' && state === 'inuse/inuse');
    const isOver = async () => {
      state = await this.state(requestId);
      return isThere() || (state?.startsWith('failed/') ?? false);
    };
    await eventually(isOver, seconds).catch(() => {}); // told below
    if (!isThere()) throw new Error(`request ${requestId} is ${state}, not ${wanted}:\n${this.story()}`);
  }

  async computer(name: string): Promise<ComputerRow> {
    return (await this.database<ComputerRow>('computer')
      .where({ hostname: `${name}.test` })
      .first())!;
  }

  async computerState(name: string): Promise<StateName> {
    return stateName((await this.computer(name)).stateid)!;
  }

  /** The names that a reservation told, in their order. */
  async told(reservationId: number): Promise<string[]> {
    const rows = await this.database('computerloadlog as l')
      .join('computerloadstate as s', 's.id', 'l.loadstateid')
      .where({ reservationid: reservationId })
      .orderBy('l.id')
      .select<{ name: string }[]>('s.loadstatename as name');
    return rows.map(({ name }) => name);
  }

  /** The domain of a computer, if it has one. */
  domainOf(name: string) {
    return this.host.domains().find((domain) => domain.name.startsWith(`${name}_`));
  }

  insert(table: string, row: object): Promise<number> {
    return this.database(table)
      .insert(row)
      .then(([id]) => id!);
  }

  async userId(login: string): Promise<number> {
    return this.t.frontEnd.ensureUser(login);
  }

  /** A group of users. @returns its id */
  async group(name: string, ...logins: string[]): Promise<number> {
    const known = await this.database('usergroup').where({ name }).first<{ id: number }>();
    const id = known?.id ?? (await this.insert('usergroup', { name, affiliationid: 1, ownerid: 1, custom: 1 }));
    for (const login of logins)
      await this.insert('usergroupmembers', { userid: await this.userId(login), usergroupid: id });
    return id;
  }

  /** The database's clock, so many minutes from now. */
  async time(minutes: number): Promise<string> {
    const now = Date.parse(`${(await this.t.store.now()).replace(' ', 'T')}Z`);
    return new Date(now + minutes * 60_000).toISOString().slice(0, 19).replace('T', ' ');
  }

  story(): string {
    return this.log.lines.map(({ level, message, details }) => `${level} ${message} ${describe(details)}`).join('\n');
  }
}

function describe(details: object | undefined): string {
  const error = (details as { error?: Error } | undefined)?.error;
  return error ? describeError(error) : '';
}

function connect(url: string): Knex {
  if (!url.startsWith('sqlite:'))
    return knex({ client: 'mysql2', connection: { uri: url, dateStrings: true } as object });
  return knex({
    client: 'better-sqlite3',
    connection: { filename: url.slice('sqlite:'.length) },
    useNullAsDefault: true,
  });
}
