/** The border to knex: connections, statements, transactions, and what is done again when it failed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Knex, knex } from 'knex';
import { SIGNALS, timed } from '../signals';
import { asDatabaseError, isConnectionLost, isTransient } from './database-errors';
import { connectionSettings } from './connection-settings';
import type { Dialect } from './dialect';

export type Value = string | number | null;
export type Bindings = readonly Value[];

/** Statements on one connection: of the pool, or of a transaction. */
export interface Queryable {
  readonly dialect: Dialect;
  rows<Row>(sql: string, bindings?: Bindings): Promise<Row[]>;
  one<Row>(sql: string, bindings?: Bindings): Promise<Row | undefined>;
  /**
   * An update or a delete. @returns the number of rows that the WHERE found, changed or not: on MySQL too, since mysql2
   * asks for it (FOUND_ROWS). So a WHERE must name the old value wherever winning matters.
   */
  change(sql: string, bindings?: Bindings): Promise<number>;
  /** @returns the id that the database gave the row */
  insert(table: string, row: Readonly<Record<string, Value>>): Promise<number>;
}

export interface Database extends Queryable {
  /** `sqlite:/path` or `mysql://user@host/name`, without any password. */
  readonly label: string;
  /** Statements sent since the start, `begin` and `commit` included. */
  readonly statementCount: number;
  /** All or nothing. The body is run again when the database asks for it, so it must not change anything else. */
  transaction<T>(body: (tx: Queryable) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** How long a lock of somebody else is waited for. */
const PATIENCE_MS = 15_000;
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 200;

/** Runs work until it did not fail for a reason that passes: deadlocks, busy files, connections that died while idle. */
async function persist<T>(label: string, repeatLost: boolean, work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  let lostBefore = !repeatLost;
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const lost = isConnectionLost(error) && !lostBefore;
      lostBefore ||= lost;
      const again = lost || (isTransient(error) && performance.now() < deadline);
      if (!again) throw asDatabaseError(error, label);
      await sleep(Math.random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt));
    }
  }
}

type Answer = unknown[] & { changes?: number; lastInsertRowid?: number };
type Header = { affectedRows: number; insertId: number };

/** The two drivers answer a raw statement in different shapes. */
const readAnswer = {
  mysql: {
    rows: (answer: Answer) => answer[0] as unknown[],
    count: (answer: Answer) => (answer[0] as Header).affectedRows,
    id: (answer: Answer) => (answer[0] as Header).insertId,
  },
  sqlite: {
    rows: (answer: Answer) => answer as unknown[],
    count: (answer: Answer) => answer.changes ?? 0,
    id: (answer: Answer) => answer.lastInsertRowid ?? 0,
  },
};

function queryable(connection: Knex, dialect: Dialect, run: <T>(work: () => Promise<T>) => Promise<T>): Queryable {
  const read = readAnswer[dialect.name];
  const send = (sql: string, bindings: Bindings) =>
    timed(
      () => run(async () => (await connection.raw(sql, bindings as Knex.RawBinding[])) as Answer),
      SIGNALS.statement.tell,
    );
  const rows = async <Row>(sql: string, bindings: Bindings = []) => read.rows(await send(sql, bindings)) as Row[];
  return {
    dialect,
    rows,
    one: async <Row>(sql: string, bindings: Bindings = []) => (await rows<Row>(sql, bindings))[0],
    change: async (sql, bindings = []) => read.count(await send(sql, bindings)),
    insert: async (table, row) => {
      const columns = Object.keys(row).map((column) => `\`${column}\``);
      const places = columns.map(() => '?');
      const sql = `insert into \`${table}\` (${columns.join(', ')}) values (${places.join(', ')})`;
      return read.id(await send(sql, Object.values(row)));
    },
  };
}

/** @param url `sqlite:PATH`, `sqlite::memory:` or `mysql://user:password@host:port/name` @throws CONFIG_INVALID */
export function openDatabase(url: string): Database {
  const { settings, dialect, label } = connectionSettings(url);
  const pool = knex(settings);
  let statements = 0;
  pool.on('query', () => void statements++);
  return {
    ...queryable(pool, dialect, (work) => persist(label, true, work)),
    label,
    get statementCount() {
      return statements;
    },
    transaction: (body) => transact(pool, dialect, label, body),
    close: () => pool.destroy(),
  };
}

function transact<T>(pool: Knex, dialect: Dialect, label: string, body: (tx: Queryable) => Promise<T>): Promise<T> {
  let begun = false;
  return persist(label, true, async () => {
    begun = false;
    try {
      return await pool.transaction((connection) => {
        begun = true;
        return body(queryable(connection, dialect, (work) => work()));
      });
    } catch (error) {
      // Only a connection that was dead before the transaction began proves that nothing was done.
      throw begun && isConnectionLost(error) ? asDatabaseError(error, label) : error;
    }
  });
}
