/** The configuration of a running daemon, which SIGHUP replaces. */
import type { Config } from './config';

type Key = keyof Config;

/** What was opened with them stands until the daemon ends. */
const FOR_NEXT_START: readonly Key[] = [
  'database',
  'managementNode',
  'stateDir',
  'leaseSeconds',
  'guestCommandTimeoutMs',
  'metrics',
  'http',
  'xmlrpc',
  'mail',
];

/** What the plugin registry is made of. */
export const PLUGIN_KEYS: readonly Key[] = ['pluginDirs', 'osModules', 'predictiveModules', 'hookTimeoutMs'];

export class LiveConfig {
  private readonly listeners = new Set<(config: Config) => void>();
  /** For who holds it longer than a job: reading a key of it gives what is in force at that moment. */
  readonly view: Config;

  constructor(private config: Config) {
    // Not of the frozen value itself: a proxy must not answer otherwise than that.
    const nothing = {} as Config;
    this.view = new Proxy(nothing, { get: (_target, key) => Reflect.get(this.config, key) as unknown });
  }

  /** Frozen: what is begun with it keeps it. */
  get current(): Config {
    return this.config;
  }

  /** @returns the keys whose values changed */
  replace(next: Config): Key[] {
    const changed = changedKeys(this.config, next);
    this.config = next;
    for (const listener of this.listeners) listener(next);
    return changed;
  }

  listen(listener: (config: Config) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
}

export function changedKeys(before: Config, after: Config): Key[] {
  return (Object.keys(after) as Key[]).filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
}

export function isForNextStart(key: Key): boolean {
  return FOR_NEXT_START.includes(key);
}
