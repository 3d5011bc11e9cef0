/** From a database URL to knex's settings. */
import fs from 'node:fs';
import path from 'node:path';
import type { Knex } from 'knex';
import { ProvisiondError } from '../errors';
import { MYSQL, SQLITE, type Dialect } from './dialect';

export interface ConnectionSettings {
  readonly settings: Knex.Config;
  readonly dialect: Dialect;
  readonly label: string;
}

const CONNECT_TIMEOUT_MS = 10_000;
const ACQUIRE_TIMEOUT_MS = 20_000;
const LOCK_WAIT_SECONDS = 10;
/**
 * better-sqlite3 waits with the whole process asleep: a lock held by this very process would never be given back.
 * So it hardly waits, and the store tries again with pauses.
 */
const SQLITE_BUSY_TIMEOUT_MS = 20;

const silence = () => {};
const SILENT = { warn: silence, error: silence, deprecate: silence, debug: silence };

/** @throws CONFIG_INVALID */
export function connectionSettings(url: string): ConnectionSettings {
  if (url.startsWith('sqlite:')) return sqliteSettings(url.slice('sqlite:'.length));
  if (url.startsWith('mysql:')) return mysqlSettings(url);
  throw new ProvisiondError(
    'CONFIG_INVALID',
    'the database is neither sqlite:PATH nor mysql://user:password@host/name',
  );
}

function sqliteSettings(filename: string): ConnectionSettings {
  if (filename === '') throw new ProvisiondError('CONFIG_INVALID', 'the database sqlite: has no path');
  if (filename !== ':memory:') makeFolder(path.dirname(path.resolve(filename)));
  return {
    dialect: SQLITE,
    label: `sqlite:${filename}`,
    settings: {
      client: 'better-sqlite3',
      connection: { filename },
      useNullAsDefault: true,
      compileSqlOnError: false,
      acquireConnectionTimeout: ACQUIRE_TIMEOUT_MS,
      log: SILENT,
      // One connection: the driver is synchronous, and the memory of `:memory:` ends with it.
      pool: { min: 1, max: 1, afterCreate: prepareSqlite },
    },
  };
}

function makeFolder(folder: string): void {
  try {
    fs.mkdirSync(folder, { recursive: true });
  } catch (cause) {
    throw new ProvisiondError('DATABASE_UNAVAILABLE', `the folder ${folder} of the database cannot be made`, { cause });
  }
}

interface SqliteConnection {
  pragma(text: string): unknown;
  prepare(sql: string): unknown;
}

const MOST_KEPT_STATEMENTS = 200;

/** knex prepares each statement anew, which costs more than a poll itself: here a text is prepared once. */
function keepStatements(connection: SqliteConnection): void {
  const prepare = connection.prepare.bind(connection);
  const kept = new Map<string, unknown>();
  connection.prepare = (sql) => {
    const statement = kept.get(sql) ?? prepare(sql);
    kept.delete(sql); // the one used last is the last to go
    if (/^\s*(select|insert|update|delete)\b/i.test(sql)) kept.set(sql, statement);
    if (kept.size > MOST_KEPT_STATEMENTS) kept.delete(kept.keys().next().value!);
    return statement;
  };
}

function prepareSqlite(connection: SqliteConnection, done: (error: unknown, c: unknown) => void) {
  keepStatements(connection);
  try {
    connection.pragma(`busy_timeout = ${SQLITE_BUSY_TIMEOUT_MS}`);
    connection.pragma('journal_mode = WAL');
    connection.pragma('synchronous = NORMAL');
    connection.pragma('foreign_keys = ON');
    done(null, connection);
  } catch (error) {
    done(error, connection);
  }
}

function mysqlSettings(url: string): ConnectionSettings {
  const target = parseUrl(url);
  const database = decodeURIComponent(target.pathname.slice(1));
  const user = decodeURIComponent(target.username);
  if (database === '' || user === '') {
    throw new ProvisiondError('CONFIG_INVALID', `the database mysql://${target.host} lacks a user or a name`);
  }
  const socketPath = target.searchParams.get('socketPath') ?? undefined;
  return {
    dialect: MYSQL,
    label: `mysql://${user}@${target.host}/${database}`,
    settings: {
      client: 'mysql2',
      compileSqlOnError: false,
      acquireConnectionTimeout: ACQUIRE_TIMEOUT_MS,
      log: SILENT,
      connection: {
        ...(socketPath ? { socketPath } : { host: target.hostname, port: Number(target.port || 3306) }),
        user,
        password: decodeURIComponent(target.password),
        database,
        charset: 'utf8mb4',
        // Zero dates and zone-less times are no Date.
        dateStrings: true,
        supportBigNumbers: true,
        // Sums and mixed integers are DECIMAL to MySQL.
        decimalNumbers: true,
        connectTimeout: CONNECT_TIMEOUT_MS,
        enableKeepAlive: true,
      },
      pool: { min: 0, max: 8, afterCreate: prepareMysql },
    },
  };
}

/**
 * VCL's own clients run without strict mode and depend on it (zero dates, columns left out of inserts); a row with id 0
 * must not become a new number, and a difference may be negative. Claims need no gap locks: READ COMMITTED.
 */
function prepareMysql(
  connection: { query(sql: string, done: (error: unknown) => void): void },
  done: (error: unknown, c: unknown) => void,
) {
  const modes = 'NO_AUTO_VALUE_ON_ZERO,NO_UNSIGNED_SUBTRACTION';
  const mode = `set session sql_mode = '${modes}', innodb_lock_wait_timeout = ${LOCK_WAIT_SECONDS}`;
  connection.query(mode, (error) => {
    if (error) done(error, connection);
    else {
      connection.query('set session transaction isolation level read committed', (second) => done(second, connection));
    }
  });
}

function parseUrl(url: string): URL {
  try {
    return new URL(url);
  } catch {
    throw new ProvisiondError('CONFIG_INVALID', 'the database is not of the form mysql://user:password@host:port/name');
  }
}
