/** Keeps secrets out of what is logged or printed: by the name of a field, by known values, and by tell-tale patterns. */

import { isError } from './errors';

const REDACTED = '[redacted]';
const MAX_DEPTH = 10;
/** Shorter ones would blacken half of every line. */
const SHORTEST_SECRET = 4;

/** Names of fields that hold a secret: `password`, `userPw`, `privateKey`, `tokens`; but not `passwordLength`, `keyFiles`. */
const SECRET_KEY =
  /(pass(word|wd|phrase)|^pw|[a-z_]pw|secret|token|private[_-]?key|credential|authorization|cookie)s?$/i;

const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN ([A-Z ]*PRIVATE KEY)-----[\s\S]*?(-----END \1-----|$)/g, '[redacted private key]'],
  // The password in a URL
  [/\b([a-z][a-z0-9+.-]*:\/\/[^\s:/@]*):[^\s/@]+@/gi, `$1:${REDACTED}@`],
  // password=… secret: "…"
  [/\b(password|passwd|passphrase|secret)(["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;]+)/gi, `$1$2${REDACTED}`],
];

export class Redaction {
  private readonly secrets = new Set<string>();
  private known: RegExp | null = null;

  /** Has this value blackened wherever it appears from now on. Too short values are not taken. */
  addSecret(value: string): void {
    if (value.length < SHORTEST_SECRET || this.secrets.has(value)) return;
    this.secrets.add(value);
    this.secrets.add(encodeURIComponent(value));
    const longestFirst = [...this.secrets].sort((one, other) => other.length - one.length);
    this.known = new RegExp(longestFirst.map((secret) => secret.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|'), 'g');
  }

  /** The text without secrets. */
  text(text: string): string {
    let clean = this.known === null ? text : text.replace(this.known, REDACTED);
    for (const [pattern, replacement] of PATTERNS) clean = clean.replace(pattern, replacement);
    return clean;
  }

  /**
   * A copy without secrets, made of nothing but plain data: errors become objects with their whole chain of causes,
   * what JSON cannot hold becomes text, cycles are cut.
   */
  data(value: unknown): unknown {
    return this.copy(value, '', []);
  }

  private copy(value: unknown, key: string, above: readonly object[]): unknown {
    if (value === null || value === undefined || typeof value === 'boolean') return value;
    if (SECRET_KEY.test(key) && !isFencingToken(key, value)) return REDACTED;
    if (typeof value === 'string') return this.text(value);
    if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
    if (typeof value === 'function') return `[function ${value.name}]`;
    if (typeof value !== 'object') return this.text(`${value as bigint}`);
    if (above.includes(value)) return '[circular]';
    if (above.length >= MAX_DEPTH) return '[too deep]';
    return this.copyObject(value, [...above, value]);
  }

  private copyObject(value: object, above: readonly object[]): unknown {
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
    if (value instanceof Uint8Array) return `[${value.length} bytes]`;
    if (isError(value)) return this.copyError(value, above);
    if (value instanceof Map) return this.copyEntries([...value], above);
    if (Array.isArray(value) || value instanceof Set) {
      return [...(value as Iterable<unknown>)].map((item) => this.copy(item, '', above));
    }
    return this.copyEntries(Object.entries(value), above);
  }

  private copyEntries(entries: readonly (readonly [unknown, unknown])[], above: readonly object[]): object {
    const copy: Record<string, unknown> = {};
    for (const [key, value] of entries) {
      const name = this.text(String(key));
      const plain = this.copy(value, name, above);
      // `__proto__` as a key must become a key.
      Object.defineProperty(copy, name, { value: plain, enumerable: true, configurable: true, writable: true });
    }
    return copy;
  }

  private copyError(error: Error, above: readonly object[]): PlainError {
    const own = Object.fromEntries(Object.entries(error).filter(([key]) => !ERROR_FIELDS.has(key)));
    const { code, blame, hint, details, name, stack, cause } = error as Error & Partial<PlainError>;
    const isNamed = name !== 'Error' && name !== 'ProvisiondError';
    const plain: Record<string, unknown> = { message: error.message || name, name: isNamed ? name : undefined };
    Object.assign(plain, { code, blame, hint });
    const more = { ...own, ...details };
    if (Object.keys(more).length > 0) plain['details'] = more;
    if (isDefect(error, above)) plain['stack'] = stack;
    if (cause !== undefined) plain['cause'] = cause;
    return this.copyEntries(Object.entries(plain), above) as PlainError;
  }
}

/** An error that nobody foresaw: its place in the program matters. What a foreseen error has as its cause is not one. */
function isDefect(error: Error & { code?: unknown }, above: readonly object[]): boolean {
  if (error.code !== undefined) return error.code === 'INTERNAL';
  const parent = above.at(-2);
  const wasForeseen = isError(parent) && 'code' in parent && parent.code !== 'INTERNAL';
  return !wasForeseen || /^(Type|Reference|Range|Syntax|Assertion)Error$/.test(error.name);
}

/** What an error looks like in a log line. */
export interface PlainError {
  readonly message: string;
  readonly name?: string;
  readonly code?: string;
  readonly blame?: string;
  readonly hint?: string;
  readonly details?: Readonly<Record<string, unknown>>;
  /** Only of defects: errors that nobody foresaw. */
  readonly stack?: string;
  readonly cause?: unknown;
}

const ERROR_FIELDS = new Set(['name', 'message', 'code', 'blame', 'retryable', 'hint', 'details', 'stack', 'cause']);

/** The lease's token is a counter, and worth reading. */
function isFencingToken(key: string, value: unknown): boolean {
  return typeof value === 'number' && /token$/i.test(key);
}
