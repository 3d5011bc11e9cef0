/** How a log line looks, for people and for programs. Takes what lib/redaction.ts made of it. */
import type { PlainError } from './redaction';

export type Level = 'debug' | 'info' | 'warn' | 'error';

export interface Line {
  readonly time: Date;
  readonly level: Level;
  readonly message: string;
  /** Of the logger: `{ request: 12 }` */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly details: Readonly<Record<string, unknown>>;
}

/**
 * `2026-01-31 12:00:00.123 info  [request 12] message key=value`, and an indented line for each cause of an error. These begin
 * with what the line concerns, too: the journal takes each for a record of its own, and a search for the request finds all.
 */
export function renderHuman(line: Line): string {
  const { error, ...details } = line.details;
  const fields = Object.entries(line.fields).map(([key, value]) => `${key} ${shown(value)}`);
  const concerns = fields.length > 0 ? `[${fields.join(' ')}]` : '';
  const parts = [
    localTime(line.time),
    line.level.padEnd(5),
    ...(concerns === '' ? [] : [concerns]),
    printable(line.message),
    ...pairs(details),
  ];
  const causes = error === undefined ? [] : renderError(error);
  return [parts.join(' '), ...causes.map((cause) => concerns + cause)].join('\n');
}

/** One JSON object on one line; the names of ours win over those of fields and details. */
export function renderJson(line: Line): string {
  const { time, level, message, fields, details } = line;
  return JSON.stringify({ ...details, ...fields, time: time.toISOString(), level, message });
}

/** The error and what caused it, each on a line, deeper ones further in. */
function renderError(error: unknown, depth = 1): string[] {
  const lead = '    '.repeat(depth) + (depth > 1 ? 'because ' : '');
  if (!isPlainError(error)) return [`${lead}${shown(error)}`];
  const { message, name, code, blame, hint, details, stack, cause } = error;
  const label = code ?? name;
  const kind = label === undefined ? '' : `${label}${blame === undefined ? '' : ` (${blame})`}: `;
  const under = '    '.repeat(depth + 1);
  return [
    [`${lead}${kind}${printable(message)}`, ...pairs(details ?? {})].join(' '),
    ...(hint === undefined ? [] : [`${under}hint: ${printable(hint)}`]),
    ...(stack === undefined ? [] : stackLines(stack).map((text) => under + printable(text))),
    ...(cause === undefined ? [] : renderError(cause, depth + 1)),
  ];
}

function isPlainError(value: unknown): value is PlainError {
  return typeof value === 'object' && value !== null && 'message' in value;
}

function stackLines(stack: string): string[] {
  return stack
    .split('\n')
    .map((text) => text.trim())
    .filter((text) => text.startsWith('at '))
    .slice(0, 8);
}

function pairs(details: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(details)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${printable(key)}=${shown(value)}`);
}

function shown(value: unknown): string {
  if (typeof value === 'string') return /^[\w./:@+-]+$/.test(value) ? value : JSON.stringify(value);
  return JSON.stringify(value) ?? 'undefined';
}

/** Much of what is logged was written by a web page or a guest: it must not forge lines or move the cursor. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (character) => {
    const known = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[character];
    return known ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

function localTime(time: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const date = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return `${date} ${clock}.${String(time.getMilliseconds()).padStart(3, '0')}`;
}
