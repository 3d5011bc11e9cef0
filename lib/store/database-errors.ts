/** What a failed statement means, by the codes of mysql2 and better-sqlite3. */
import { ProvisiondError } from '../errors';

/** The statement was undone as a whole through no fault of its own: do it again. */
const TRANSIENT = new Set([
  'ER_LOCK_DEADLOCK',
  'ER_LOCK_WAIT_TIMEOUT',
  'ER_CHECKREAD',
  'SQLITE_BUSY',
  'SQLITE_BUSY_SNAPSHOT',
  'SQLITE_BUSY_RECOVERY',
  'SQLITE_LOCKED',
]);

/** The connection broke. What was being done may or may not have happened. */
const LOST = new Set([
  'PROTOCOL_CONNECTION_LOST',
  'ECONNRESET',
  'EPIPE',
  'ER_CLIENT_INTERACTION_TIMEOUT',
  'ER_CONNECTION_KILLED',
  // A server of a cluster that loses the others, in the middle of a statement or of a commit.
  'ER_QUERY_INTERRUPTED',
  'ER_ERROR_DURING_COMMIT',
]);

/** There is no database to talk to. */
const UNREACHABLE = new Set([
  ...LOST,
  'ECONNREFUSED',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
  'ER_ACCESS_DENIED_ERROR',
  'ER_DBACCESS_DENIED_ERROR',
  'ER_BAD_DB_ERROR',
  'ER_CON_COUNT_ERROR',
  'ER_SERVER_SHUTDOWN',
  'ER_OPTION_PREVENTS_STATEMENT',
  'ER_UNKNOWN_COM_ERROR',
  'SQLITE_CANTOPEN',
  'SQLITE_BUSY',
]);

interface DriverError {
  readonly code?: unknown;
  readonly name?: string;
  readonly message?: string;
  readonly sqlMessage?: string;
}

/** Told by its shape: errors of native code are not `instanceof Error` in every context. */
const asDriverError = (error: unknown): DriverError => (typeof error === 'object' && error !== null ? error : {});

/** The code of an error of a driver; knex's own time limit has only a name, a connection closed under way only a text. */
function codeOf(thrown: unknown): string {
  const error = asDriverError(thrown);
  if (typeof error.code === 'string') return error.code;
  if (error.name === 'KnexTimeoutError') return 'ETIMEDOUT';
  if (/connection is in closed state|aborted|Unable to acquire a connection/i.test(error.message ?? '')) {
    return 'PROTOCOL_CONNECTION_LOST';
  }
  return '';
}

export const isTransient = (error: unknown): boolean => TRANSIENT.has(codeOf(error));
export const isConnectionLost = (error: unknown): boolean => LOST.has(codeOf(error));
export const isDuplicate = (error: unknown): boolean =>
  /^(ER_DUP_ENTRY|SQLITE_CONSTRAINT_(UNIQUE|PRIMARYKEY))$/.test(codeOf(error));

/**
 * The error as callers see it. The cause carries only the server's own message: drivers put the whole statement with
 * all its values beside it, and passwords are among them.
 */
export function asDatabaseError(error: unknown, label: string): ProvisiondError {
  if (error instanceof ProvisiondError) return error;
  const code = codeOf(error);
  const { message = String(error), sqlMessage } = asDriverError(error);
  // The drivers' message stands behind the statement that knex puts before it.
  const cause = new Error(`${sqlMessage ?? message.slice(message.lastIndexOf(' - ') + 1)}${code ? ` (${code})` : ''}`);
  if (UNREACHABLE.has(code) || TRANSIENT.has(code)) {
    return new ProvisiondError('DATABASE_UNAVAILABLE', `the database ${label} does not answer`, { cause });
  }
  if (code === 'ER_NO_SUCH_TABLE' || /no such table/.test(message)) {
    return new ProvisiondError('SCHEMA_MISSING', `the database ${label} lacks a table`, { cause });
  }
  // VCL's own tables are latin1.
  if (/^ER_CANT_AGGREGATE/.test(code)) {
    const text = `a text has characters that the tables in ${label} cannot hold`;
    return new ProvisiondError('REQUEST_INVALID', text, { cause });
  }
  return new ProvisiondError('DATABASE_FAILED', `a statement failed in the database ${label}`, { cause });
}
