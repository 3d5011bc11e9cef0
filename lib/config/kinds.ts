/** The kinds of values that settings have: what each accepts from a file or from the text of an environment variable. */
import os from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { isListenAddress } from '../listener';

export interface Kind<T> {
  /** Completes "must be …" in messages and in the documentation. */
  readonly expects: string;
  /** Takes what YAML read, or the text of an environment variable. */
  readonly schema: z.ZodType<T>;
  /** Makes relative paths and `~/` absolute; `folder` is that of the file, or the present one for the environment. */
  readonly locate?: (value: T, folder: string) => T;
}

/** @param unit what is counted, for example `milliseconds` */
export function wholeNumber(min: number, max: number, unit = ''): Kind<number> {
  return {
    expects: `a whole number${unit && ` of ${unit}`} from ${min} to ${max}`,
    schema: z.preprocess(numberFromText, z.number().int().min(min).max(max)),
  };
}

export function oneOf<const W extends string>(...words: W[]): Kind<W> {
  return { expects: `one of ${words.join(', ')}`, schema: z.enum(words) };
}

/** A name as DNS allows it: it is compared with rows and appears in file names. */
export const hostName: Kind<string> = {
  expects: 'a host name (letters, digits, hyphens and dots)',
  schema: z.string().regex(/^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?$/),
};

export const text: Kind<string> = {
  expects: 'one line of text',
  schema: z.string().regex(/^[^\0\r\n]+$/),
};

export const optionalText: Kind<string | null> = { expects: text.expects, schema: text.schema.nullable() };

/** A password goes there, so plain http is for this machine only. */
export const optionalWebUrl: Kind<string | null> = {
  expects: 'an https:// address, or http:// of this machine',
  schema: z.string().refine(isSafeWebUrl).nullable(),
};

function isSafeWebUrl(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, hostname, username } = new URL(value);
  if (username !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname));
}

/** Nothing that the network reaches: whoever wants that puts a proxy with a log-in before it. */
export const listenAddress: Kind<string | null> = {
  expects: 'a loopback address (127.0.0.1:PORT, [::1]:PORT, localhost:PORT) or the absolute path of a socket',
  schema: z.string().refine(isListenAddress).nullable(),
};

export const filePath: Kind<string> = {
  expects: 'a path',
  schema: z.string().regex(/^[^\0\n]+$/),
  locate: absolutePath,
};

export const optionalFilePath: Kind<string | null> = {
  expects: 'a path',
  schema: filePath.schema.nullable(),
  locate: (value, folder) => (value === null ? null : absolutePath(value, folder)),
};

/** A path on another machine: nothing here may complete it. */
export const remotePath: Kind<string> = {
  expects: 'an absolute path of letters, digits and . _ - /',
  schema: z.string().regex(/^\/[A-Za-z0-9._/-]*$/),
};

export const filePaths: Kind<readonly string[]> = {
  expects: 'a list of paths (in the environment: separated by colons)',
  schema: z.preprocess(listFromText, z.array(filePath.schema)),
  locate: (values, folder) => values.map((value) => absolutePath(value, folder)),
};

export const wordMap: Kind<Readonly<Record<string, string>>> = {
  expects: 'a map of names (in the environment: NAME=WORD,NAME=WORD)',
  schema: z.preprocess(mapFromText, z.record(z.string().min(1), z.string().regex(/^[a-z0-9][a-z0-9-]*$/))),
};

export const databaseUrl: Kind<string> = {
  expects: 'sqlite:PATH or mysql://USER[:PASSWORD]@HOST[:PORT]/NAME',
  schema: z.string().refine(isDatabaseUrl),
  locate: (value, folder) => {
    const file = sqlitePath(value);
    return file === null || file === ':memory:' ? value : `sqlite:${absolutePath(file, folder)}`;
  },
};

/** The file of a `sqlite:` database; null for any other. */
export function sqlitePath(database: string): string | null {
  const match = /^sqlite:(?:\/\/(?=\/))?(.+)$/.exec(database);
  return match?.[1] ?? null;
}

function isDatabaseUrl(value: string): boolean {
  if (sqlitePath(value) !== null) return true;
  if (!/^mysql:\/\//.test(value) || !URL.canParse(value)) return false;
  const url = new URL(value);
  return url.hostname !== '' && url.username !== '' && /^\/[^/]+$/.test(url.pathname);
}

function absolutePath(value: string, folder: string): string {
  if (value === '~' || value.startsWith('~/')) return path.join(os.homedir(), value.slice(1));
  return path.resolve(folder, value);
}

function numberFromText(value: unknown): unknown {
  return typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
}

function listFromText(value: unknown): unknown {
  return typeof value === 'string' ? value.split(':').filter((item) => item !== '') : value;
}

function mapFromText(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const pairs = value.split(',').map((pair) => pair.split('='));
  return pairs.every((pair) => pair.length === 2) ? Object.fromEntries(pairs) : value;
}
