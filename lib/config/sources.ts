/** Where values of settings come from: a YAML file and the environment. Neither is judged here. */
import fs from 'node:fs';
import path from 'node:path';
import { type Document, LineCounter, type YAMLMap, isMap, isNode, isScalar, parseDocument } from 'yaml';
import { describeError } from '../errors';
import { nearestWord } from './nearest';
import { SETTINGS, SETTING_KEYS, type Setting, type SettingKey, environmentName } from './schema';

/** A value somebody gave, not yet checked. */
export interface Given {
  readonly key: SettingKey;
  readonly value: unknown;
  /** For messages: `/etc/provisiond/provisiond.yaml line 3`, or the variable's name. */
  readonly origin: string;
  /** What relative paths are relative to. */
  readonly folder: string;
}

export interface Gathered {
  readonly given: Given[];
  readonly problems: string[];
}

/** Groups of keys in the file: `log`. */
const GROUPS = new Set(SETTING_KEYS.filter((key) => key.includes('.')).map((key) => key.split('.')[0]!));

const isSetting = (name: string): name is SettingKey => Object.hasOwn(SETTINGS, name);

/** What a configuration file says, and whatever is wrong with the file itself. */
export function readFile(file: string): Gathered {
  let text: string;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch (error) {
    return { given: [], problems: [`cannot read ${file}: ${describeError(error)}`] };
  }
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter });
  if (document.errors.length > 0) {
    // The rest of the parser's message is an excerpt of the file, which may hold secrets.
    const problems = document.errors.map(({ message }) => `${file}: ${message.split('\n')[0]!.replace(/:$/, '')}`);
    return { given: [], problems };
  }
  if (isEmpty(document.contents)) return { given: [], problems: [] };
  if (!isMap(document.contents)) return { given: [], problems: [`${file}: must be a map of keys and values`] };
  return readMap(document.contents, { file, document, lineCounter, prefix: '' });
}

interface Place {
  readonly file: string;
  readonly document: Document;
  readonly lineCounter: LineCounter;
  /** Of the group: `log.` */
  readonly prefix: string;
}

function readMap(map: YAMLMap, place: Place): Gathered {
  const given: Given[] = [];
  const problems: string[] = [];
  for (const { key, value } of map.items) {
    const name = place.prefix + (isScalar(key) ? String(key.value) : '?');
    const offset = isScalar(key) ? (key.range?.[0] ?? 0) : 0;
    const origin = `${place.file} line ${place.lineCounter.linePos(offset).line}`;
    if (isSetting(name)) {
      const plain: unknown = isNode(value) ? value.toJS(place.document) : value;
      given.push({ key: name, value: plain, origin, folder: path.dirname(path.resolve(place.file)) });
    } else if (!GROUPS.has(name)) {
      problems.push(`${name} (${origin}): there is no such key${suggestion(name)}`);
    } else if (isMap(value)) {
      const inGroup = readMap(value, { ...place, prefix: `${name}.` });
      given.push(...inGroup.given);
      problems.push(...inGroup.problems);
    } else if (!isEmpty(value)) {
      problems.push(`${name} (${origin}): must be a map of keys and values`);
    }
  }
  return { given, problems };
}

/** What the environment says, and names in it that are surely misspelt. */
export function readEnvironment(env: NodeJS.ProcessEnv, folder: string): Gathered {
  const given: Given[] = [];
  const problems: string[] = [];
  const known = ['PROVISIOND_CONFIG'];
  for (const key of SETTING_KEYS) {
    const name = environmentName(key);
    known.push(name);
    const value = env[name];
    if (value !== undefined && value !== '') given.push({ key, value, origin: name, folder });
    if (!(SETTINGS[key] as Setting<unknown>).secret) continue;
    known.push(`${name}_FILE`);
    const file = env[`${name}_FILE`];
    if (file === undefined || file === '') continue;
    if (value !== undefined && value !== '') problems.push(`${key}: set ${name} or ${name}_FILE, not both`);
    const secret = readSecretFile(path.resolve(folder, file), `${name}_FILE`);
    if (typeof secret === 'string') given.push({ key, value: secret, origin: `${name}_FILE`, folder });
    else problems.push(secret.problem);
  }
  for (const name of Object.keys(env)) {
    if (!name.startsWith('PROVISIOND_') || known.includes(name)) continue;
    // Other programs may have variables of that prefix: only what is nearly one of ours is a mistake.
    const meant = nearestWord(name, known, 2);
    if (meant !== undefined) problems.push(`${name}: there is no such environment variable; did you mean ${meant}?`);
  }
  return { given, problems };
}

/** The secret in a file, without the newline at its end; or what is wrong with the file. */
export function readSecretFile(file: string, named: string): string | { readonly problem: string } {
  try {
    if (isReadableByOthers(file)) return { problem: `${named}: everybody may read ${file}; chmod o= ${file}` };
    const text = fs.readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    return text === '' ? { problem: `${named}: ${file} is empty` } : text;
  } catch (error) {
    return { problem: `${named}: cannot read ${file}: ${describeError(error)}` };
  }
}

export function isReadableByOthers(file: string): boolean {
  return (fs.statSync(file).mode & 0o004) !== 0;
}

function suggestion(name: string): string {
  const lastLabel = (key: string) => key.split('.').at(-1)!.toLowerCase();
  const meant =
    nearestWord(name, SETTING_KEYS, 3) ?? SETTING_KEYS.find((known) => lastLabel(known) === lastLabel(name));
  return meant === undefined ? '' : `; did you mean ${meant}?`;
}

function isEmpty(node: unknown): boolean {
  return node === null || (isScalar(node) && node.value === null);
}
