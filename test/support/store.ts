/** A migrated database with one management node, one VM host, two computers and one image, on either dialect. */
import { afterAll, afterEach, beforeEach, describe } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { FrontEnd, NewComputer, NewHost } from '../../lib/store/front-end';
import { openStore, type OpenStore } from '../../lib/store/open-store';
import type { Claim, Lease, Store } from '../../lib/store/store';

export type StoreDialect = 'sqlite' | 'mysql';

const MARIADB = path.join(__dirname, '../lab/mariadb');

export const NODE_NAME = 'node.test';

export const HOST: NewHost = {
  name: 'host1.test',
  address: '127.0.0.1',
  transport: 'ssh',
  port: 22,
  user: 'root',
  hostKey: null,
  driver: null,
  maxLoads: null,
  datastorePath: '/var/lib/libvirt/images',
  vmPath: '/var/lib/libvirt/vms',
  repositoryPath: null,
  privateNetwork: 'default',
  publicNetwork: 'default',
  ramMiB: 65536,
  cpus: 16,
};

export function computer(index: number): NewComputer {
  return {
    name: `vm${index}.test`,
    host: HOST.name,
    privateIp: `192.168.122.${100 + index}`,
    publicIp: null,
    privateMac: null,
    publicMac: null,
    ramMiB: 2048,
    cpus: 2,
    afterwards: 'unload',
  };
}

/** A private MariaDB server of a test file. */
export class MariadbServer {
  private constructor(
    readonly folder: string,
    readonly url: string,
  ) {}

  static start(folder = mkdtempSync(path.join(tmpdir(), 'mariadb-'))): MariadbServer {
    const url = execFileSync(MARIADB, ['start', folder], { encoding: 'utf8' }).trim();
    return new MariadbServer(folder, url);
  }

  /** Without a farewell, as when the machine fails. */
  kill(): void {
    execFileSync(MARIADB, ['kill', this.folder]);
  }

  /** On the same port, with the same data. */
  restart(): void {
    execFileSync(MARIADB, ['start', this.folder]);
  }

  stop(): void {
    execFileSync(MARIADB, ['stop', this.folder]);
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The URL of a new, empty database. */
  async createDatabase(): Promise<string> {
    const name = `store_${randomUUID().replaceAll('-', '')}`;
    const { db } = openStore({ database: this.url });
    await db.change(`create database ${name} character set utf8mb4`);
    await db.close();
    return this.url.replace(/[^/]*$/, name);
  }
}

export interface TestStore extends OpenStore {
  readonly url: string;
  readonly store: Store;
  readonly frontEnd: FrontEnd;
  readonly managementNodeId: number;
  readonly image: { imageId: number; revisionId: number; fileName: string };
  readonly lease: Lease;
  /** As a user gets it in the front end; the first free computer. */
  newReservation(minutes?: number): Promise<{ requestId: number; reservationId: number }>;
  /** Takes up a request in the state it is in. */
  take(requestId: number): Promise<Claim>;
  /** Another connection to the same database, as another process has. Closed with this one. */
  again(): OpenStore;
  close(): Promise<void>;
}

/** @param server needed for `mysql`, see {@link MariadbServer}; left out: one is started and ended with the store */
export async function openTestStore(dialect: StoreDialect, server?: MariadbServer): Promise<TestStore> {
  const folder = mkdtempSync(path.join(tmpdir(), 'store-'));
  const own = dialect === 'mysql' && !server ? MariadbServer.start() : undefined;
  const url = dialect === 'sqlite' ? `sqlite:${path.join(folder, 'db')}` : await (server ?? own)!.createDatabase();
  const open = openStore({ database: url });
  const others: OpenStore[] = [];
  await open.store.migrate();
  const site = await furnish(open);
  const lease = (await open.store.acquireLease(site.managementNodeId, 'test', 600))!;
  return {
    ...open,
    ...site,
    url,
    lease,
    newReservation: (minutes = 60) =>
      open.frontEnd.addReservation({ image: 'Tiny Linux', user: 'admin', start: null, minutes }),
    take: async (requestId) => {
      const { due } = await open.store.poll(site.managementNodeId, []);
      const found = due.find((request) => request.requestId === requestId);
      const claim = found && (await open.store.claim(lease, found));
      if (!claim) throw new Error(`request ${requestId} is not to be taken up`);
      return claim;
    },
    again: () => {
      const other = openStore({ database: url });
      others.push(other);
      return other;
    },
    close: async () => {
      await Promise.all([open, ...others].map(({ store }) => store.close()));
      own?.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function furnish({ frontEnd }: OpenStore) {
  const managementNodeId = await frontEnd.ensureManagementNode(NODE_NAME, '127.0.0.1', ['/etc/provisiond/key']);
  await frontEnd.putHost(HOST, managementNodeId);
  for (const index of [1, 2]) await frontEnd.putComputer(computer(index), managementNodeId);
  const image = await frontEnd.addImage({
    prettyName: 'Tiny Linux',
    os: 'vmwarelinux',
    ramMiB: 256,
    cpus: 1,
    sizeMiB: 64,
    owner: 'admin',
  });
  return { managementNodeId, image };
}

let sharedServer: MariadbServer | undefined;

/**
 * The same tests on SQLite and on a private MariaDB (one server a test file), each with a new store.
 * @param suite gets a function that answers with the store of the running test
 */
export function describeOnBoth(title: string, suite: (current: () => TestStore, dialect: StoreDialect) => void): void {
  describe.each(['sqlite', 'mysql'] as const)(`${title} on %s`, (dialect) => {
    let store: TestStore | undefined;
    beforeEach(async () => {
      if (dialect === 'mysql') sharedServer ??= MariadbServer.start();
      store = await openTestStore(dialect, sharedServer);
    });
    afterEach(async () => {
      await store?.close();
      store = undefined;
    });
    suite(() => store!, dialect);
  });
  afterAll(() => {
    sharedServer?.stop();
    sharedServer = undefined;
  });
}
