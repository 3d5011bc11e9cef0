/** File + environment → the frozen Config, or every problem at once. */
import fs from 'node:fs';
import os from 'node:os';
import { ProvisiondError } from '../errors';
import type { Config } from './config';
import { credentialFile } from './credentials';
import { SETTINGS, SETTING_KEYS, type Setting, type SettingKey, defaultValue, environmentName } from './schema';
import { type Given, isReadableByOthers, readEnvironment, readFile, readSecretFile } from './sources';

export const DEFAULT_FILE = '/etc/provisiond/provisiond.yaml';

export interface ConfigSources {
  /** `--config`; wins over `PROVISIOND_CONFIG`. */
  readonly file?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  /** Name of this machine; default: what the system says. */
  readonly hostname?: string;
  /** What relative paths of the environment are relative to. */
  readonly folder?: string;
}

export interface LoadedConfig {
  readonly config: Config;
  /** Null: no file was there, and none was asked for. */
  readonly file: string | null;
  /** Where each value came from: `default`, a line of the file, or a variable. */
  readonly origins: ReadonlyMap<SettingKey, string>;
}

/**
 * Reads the configuration. The environment wins over the file, the file over the defaults.
 * @throws CONFIG_INVALID with all problems in its message, a line each, and in `details.problems`
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const folder = sources.folder ?? process.cwd();
  const file = configFile(sources);
  const fromFile = file === null ? { given: [], problems: [] } : readFile(file);
  const fromEnvironment = readEnvironment(sources.env, folder);
  const problems = [...fromFile.problems, ...fromEnvironment.problems];

  const accepted = new Map<SettingKey, unknown>();
  const origins = new Map<SettingKey, string>();
  for (const given of [...fromFile.given, ...fromEnvironment.given]) {
    if (given.value === null) continue; // `key:` without a value leaves the default
    const checked = checkValue(given);
    if ('problem' in checked) problems.push(checked.problem);
    else {
      accepted.set(given.key, checked.value);
      origins.set(given.key, given.origin);
    }
  }
  if (file !== null) problems.push(...checkFileMode(file, fromFile.given));

  const values = complete(accepted, sources.hostname ?? os.hostname());
  takePasswordCredential(values, sources.env);
  problems.push(...addDatabasePassword(values));
  if (problems.length > 0) throw invalid(problems);
  return { config: assemble(values), file, origins };
}

/** The password in a database URL, decoded; undefined when there is none. */
export function databasePassword(database: string): string | undefined {
  if (!database.startsWith('mysql:') || !URL.canParse(database)) return undefined;
  return decodeURIComponent(new URL(database).password) || undefined;
}

function configFile({ file, env }: ConfigSources): string | null {
  const named = file ?? env['PROVISIOND_CONFIG'];
  if (named !== undefined && named !== '') return named;
  return fs.existsSync(DEFAULT_FILE) ? DEFAULT_FILE : null;
}

function checkValue({ key, value, origin, folder }: Given): { value: unknown } | { problem: string } {
  const { schema, expects, secret, locate } = SETTINGS[key] as Setting<unknown>;
  const result = schema.safeParse(value);
  if (result.success) return { value: locate ? locate(result.data, folder) : result.data };
  const shown = secret ? '' : `, not ${JSON.stringify(value)}`;
  return { problem: `${key} (${origin}): must be ${expects}${shown}` };
}

function checkFileMode(file: string, given: readonly Given[]): string[] {
  const secret = given.find(({ key, value }) => secretIn(key, value) !== undefined);
  if (!secret || !isReadableByOthers(file)) return [];
  const instead = secret.key === 'database' ? 'databasePasswordFile' : `${environmentName(secret.key)}_FILE`;
  return [`${file} holds a password and everybody may read it; chmod o= ${file}, or use ${instead}`];
}

function secretIn(key: SettingKey, value: unknown): string | undefined {
  if (!(SETTINGS[key] as Setting<unknown>).secret || typeof value !== 'string' || value === '') return undefined;
  return key === 'database' ? databasePassword(value) : value;
}

/** Every secret of the configuration, for the log to leave out. */
export function secretsOf({ database, xmlrpc, mail }: Config): string[] {
  return [databasePassword(database), xmlrpc.password, mail.smtpPassword].filter(
    (secret) => typeof secret === 'string',
  );
}

function complete(accepted: ReadonlyMap<SettingKey, unknown>, hostname: string): Map<SettingKey, unknown> {
  const byDefault = { hostname, stateDir: defaultValue('stateDir', { hostname, stateDir: '' }) };
  const surroundings = { hostname, stateDir: (accepted.get('stateDir') as string | undefined) ?? byDefault.stateDir };
  const values = new Map<SettingKey, unknown>();
  for (const key of SETTING_KEYS) {
    const own = accepted.get(key);
    const standard: unknown = defaultValue(key, surroundings);
    const { merged } = SETTINGS[key] as Setting<unknown>;
    values.set(key, merged ? { ...(standard as object), ...(own as object | undefined) } : (own ?? standard));
  }
  return values;
}

/** Where nothing else names a password. */
function takePasswordCredential(values: Map<SettingKey, unknown>, env: NodeJS.ProcessEnv): void {
  const database = values.get('database') as string;
  if (!database.startsWith('mysql:') || databasePassword(database) !== undefined) return;
  values.set('databasePasswordFile', values.get('databasePasswordFile') ?? credentialFile('database-password', env));
}

function addDatabasePassword(values: Map<SettingKey, unknown>): string[] {
  const file = values.get('databasePasswordFile') as string | null;
  const database = values.get('database') as string;
  if (file === null) return [];
  if (!database.startsWith('mysql:')) return ['databasePasswordFile: an SQLite database has no password'];
  if (databasePassword(database) !== undefined)
    return ['database: has a password, and databasePasswordFile is set too'];
  const password = readSecretFile(file, 'databasePasswordFile');
  if (typeof password !== 'string') return [password.problem];
  const url = new URL(database);
  url.password = encodeURIComponent(password);
  values.set('database', url.href);
  return [];
}

function assemble(values: ReadonlyMap<SettingKey, unknown>): Config {
  const config: Record<string, unknown> = {};
  for (const [key, value] of values) {
    if (key === 'databasePasswordFile') continue;
    const [group, name] = key.split('.') as [string, string?];
    if (name === undefined) config[group] = value;
    else config[group] = { ...(config[group] as object | undefined), [name]: value };
  }
  return deepFreeze(config) as unknown as Config;
}

function deepFreeze<T extends object>(value: T): T {
  for (const child of Object.values(value)) {
    if (typeof child === 'object' && child !== null) deepFreeze(child as object);
  }
  return Object.freeze(value);
}

function invalid(problems: readonly string[]): ProvisiondError {
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  const lines = problems.map((problem) => `\n  - ${problem}`).join('');
  return new ProvisiondError('CONFIG_INVALID', `the configuration has ${count}:${lines}`, { details: { problems } });
}
