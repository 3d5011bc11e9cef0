/** Creates and upgrades tables: VCL's part only where there is none, ours always. */
import { ProvisiondError } from '../errors';
import type { Database, Queryable } from './database';
import { APPLIANCE_TABLES } from './schema/appliance-tables';
import { BASE_TABLES } from './schema/base-tables';
import { CLONE_TABLES } from './schema/clone-tables';
import { COMPUTERS_TABLES } from './schema/computers';
import { CONNECTIONS_TABLES } from './schema/connections';
import { IMAGES_TABLES } from './schema/images';
import { OPERATION_TABLES } from './schema/operation-tables';
import { BOOT_TABLES, OWN_TABLES, QUEUE_TABLES, SCHEMA_VERSION_TABLE } from './schema/own-tables';
import { renderSeed, renderTable } from './schema/render';
import { REQUESTS_TABLES } from './schema/requests';
import { RESOURCES_TABLES } from './schema/resources';
import { CATALOGUE_SEEDS } from './schema/seed-catalogue';
import { SITE_SEEDS } from './schema/seed-site';
import type { Seed, Table } from './schema/table';
import { USERS_TABLES } from './schema/users';
import { VOLUME_TABLES } from './schema/volume-tables';
import type { SchemaState, Store } from './store';

/** The part of VCL's schema that a daemon without VCL's web front end needs. */
export const VCL_TABLES: readonly Table[] = [
  ...USERS_TABLES,
  ...COMPUTERS_TABLES,
  ...IMAGES_TABLES,
  ...RESOURCES_TABLES,
  ...CONNECTIONS_TABLES,
  ...REQUESTS_TABLES,
];

export const VCL_SEEDS: readonly Seed[] = [...CATALOGUE_SEEDS, ...SITE_SEEDS];

interface Migration {
  readonly sentence: string;
  run(tx: Queryable): Promise<void>;
}

/** Of our own tables, in order: the first makes version 1, and so on. Each may be repeated after a crash in it. */
const MIGRATIONS: readonly Migration[] = [
  { sentence: 'created the tables of provisiond', run: (tx) => createTables(tx, OWN_TABLES) },
  {
    sentence: 'created the queues of messages and of calls to the front end',
    run: (tx) => createTables(tx, QUEUE_TABLES),
  },
  { sentence: 'created the table of boot parameters', run: (tx) => createTables(tx, BOOT_TABLES) },
  { sentence: 'created the tables of operations and VMs', run: (tx) => createTables(tx, OPERATION_TABLES) },
  { sentence: 'created the tables of image files', run: (tx) => createTables(tx, BASE_TABLES) },
  { sentence: 'created the tables of volumes', run: (tx) => createTables(tx, VOLUME_TABLES) },
  { sentence: 'created the tables of bases and clones', run: (tx) => createTables(tx, CLONE_TABLES) },
  { sentence: 'created the tables of appliances and instances', run: (tx) => createTables(tx, APPLIANCE_TABLES) },
];

const NEWEST = MIGRATIONS.length;

interface Version {
  version: number;
  /** `theirs`: VCL's tables were there; `begun`, `ours`: we make or made them. */
  vcl: 'theirs' | 'begun' | 'ours';
}

export function migrationVerbs(db: Database): Pick<Store, 'schemaState' | 'migrate'> {
  return { schemaState: () => schemaState(db), migrate: () => migrate(db) };
}

async function schemaState(db: Database): Promise<SchemaState> {
  const known = await readVersion(db);
  if (!known || known.vcl === 'begun' || known.version === 0) return 'missing';
  if (known.version > NEWEST) return 'newer';
  return known.version < NEWEST ? 'older' : 'current';
}

async function migrate(db: Database): Promise<string[]> {
  return alone(db, () =>
    db.transaction(async (tx) => {
      const found = await readVersion(tx);
      if (found && found.version > NEWEST) {
        const message = `the tables in ${db.label} have version ${found.version}, this provisiond knows ${NEWEST}`;
        throw new ProvisiondError('SCHEMA_NEWER', message);
      }
      await suspendForeignKeys(tx, true);
      try {
        return await upgrade(tx, found);
      } finally {
        await suspendForeignKeys(tx, false);
      }
    }),
  );
}

/**
 * Keeps two from migrating at once. On MySQL every CREATE commits, so the lock (row 0) is held by a connection beside
 * the one that works; on SQLite the transaction itself is the lock.
 */
async function alone<T>(db: Database, work: () => Promise<T>): Promise<T> {
  if (db.dialect.name === 'sqlite') return work();
  await createTables(db, [SCHEMA_VERSION_TABLE]);
  await db.change("insert ignore into provisiond_schema (id, version, vcl) values (0, 0, 'lock')");
  return db.transaction(async (lock) => {
    await lock.one('select id from provisiond_schema where id = 0 for update');
    return work();
  });
}

async function upgrade(tx: Queryable, found: Version | undefined): Promise<string[]> {
  const done: string[] = [];
  const present = found ?? { version: 0, vcl: (await hasTable(tx, 'request')) ? 'theirs' : 'begun' };
  await createTables(tx, [SCHEMA_VERSION_TABLE]);
  await writeVersion(tx, present);
  if (present.vcl === 'begun') {
    await createTables(tx, VCL_TABLES);
    for (const seed of VCL_SEEDS) await plantSeed(tx, seed);
    await writeVersion(tx, { ...present, vcl: 'ours' });
    done.push(`created ${VCL_TABLES.length} tables of VCL with their first rows`);
  }
  for (const [index, migration] of MIGRATIONS.entries()) {
    if (index < present.version) continue;
    await migration.run(tx);
    await writeVersion(tx, { version: index + 1, vcl: present.vcl === 'theirs' ? 'theirs' : 'ours' });
    done.push(migration.sentence);
  }
  return done;
}

async function readVersion(db: Queryable): Promise<Version | undefined> {
  if (!(await hasTable(db, SCHEMA_VERSION_TABLE.name))) return undefined;
  return db.one<Version>('select version, vcl from provisiond_schema where id = 1');
}

async function writeVersion(tx: Queryable, { version, vcl }: Version): Promise<void> {
  const overwrite = tx.dialect.overwrite(['id'], ['version', 'vcl']);
  await tx.change(`insert into provisiond_schema (id, version, vcl) values (1, ?, ?) ${overwrite}`, [version, vcl]);
}

async function hasTable(db: Queryable, name: string): Promise<boolean> {
  const catalogue =
    db.dialect.name === 'mysql'
      ? 'select 1 as found from information_schema.tables where table_schema = database() and table_name = ?'
      : "select 1 as found from sqlite_master where type = 'table' and name = ?";
  return (await db.one(catalogue, [name])) !== undefined;
}

async function createTables(tx: Queryable, tables: readonly Table[]): Promise<void> {
  for (const table of tables) {
    for (const statement of renderTable(table, tx.dialect.name)) await tx.change(statement.sql);
  }
}

/** Rows without a key of their own would be doubled when a creation that was cut off is repeated. */
async function plantSeed(tx: Queryable, seed: Seed): Promise<void> {
  const keyless =
    seed.columns[0] !== 'id' && VCL_TABLES.find(({ name }) => name === seed.table)!.primaryKey.length === 0;
  if (keyless) {
    const [first] = seed.rows;
    const match = seed.columns.map((column) => `\`${column}\` ${tx.dialect.name === 'mysql' ? '<=>' : 'is'} ?`);
    if (await tx.one(`select 1 from \`${seed.table}\` where ${match.join(' and ')}`, first)) return;
  }
  const { sql, bindings } = renderSeed(seed, tx.dialect.name);
  await tx.change(sql, bindings);
}

/** Tables and first rows refer to each other in circles. */
async function suspendForeignKeys(tx: Queryable, suspended: boolean): Promise<void> {
  if (tx.dialect.name === 'mysql') await tx.change(`set session foreign_key_checks = ${suspended ? 0 : 1}`);
  else await tx.change(`pragma defer_foreign_keys = ${suspended ? 'on' : 'off'}`);
}
