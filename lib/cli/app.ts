/** What verbs get: the configuration, the store and a printer; opened when first asked for, closed at the end. */
import fs from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/config';
import { sqlitePath } from '../config/kinds';
import { type LoadedConfig, loadConfig, secretsOf } from '../config/load';
import { ProvisiondError } from '../errors';
import type * as HostPools from '../host/host-pool';
import type { FrontEnd } from '../store/front-end';
import { type OpenStore, openStore } from '../store/open-store';
import type { Store } from '../store/store';
import type { Printer } from './printer';

export interface AppOptions {
  /** `--config` */
  readonly configFile: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly print: Printer;
  readonly version: string;
  /** Aborts when the user or the system wants an end; asking for it takes over the signals from Node. */
  readonly stopSignal: () => AbortSignal;
}

export class App {
  readonly print: Printer;
  private loadedConfig: LoadedConfig | undefined;
  private openedStore: OpenStore | undefined;
  private hostPool: HostPools.HostPool | undefined;

  constructor(private readonly options: AppOptions) {
    this.print = options.print;
  }

  /** @throws CONFIG_INVALID */
  get config(): Config {
    return this.loaded.config;
  }

  get loaded(): LoadedConfig {
    this.loadedConfig ??= loadConfig({ file: this.options.configFile, env: this.options.env });
    for (const secret of secretsOf(this.loadedConfig.config)) this.print.redaction.addSecret(secret);
    return this.loadedConfig;
  }

  get version(): string {
    return this.options.version;
  }

  /** As it is now, for a daemon that was asked to read it again. @throws CONFIG_INVALID */
  readConfigAgain(): Config {
    this.loadedConfig = loadConfig({ file: this.options.configFile, env: this.options.env });
    return this.loadedConfig.config;
  }

  get stopSignal(): AbortSignal {
    return this.options.stopSignal();
  }

  get hosts(): HostPools.HostPool {
    return this.hostsWith([]);
  }

  /** @param keyFiles of the management node's row, which go before those of the configuration, as in the daemon */
  hostsWith(keyFiles: readonly string[]): HostPools.HostPool {
    const { config } = this;
    // ssh2 is loaded by verbs that reach for a host only.
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const { HostPool } = require('../host/host-pool') as typeof HostPools;
    this.hostPool ??= new HostPool({
      keyFiles: (keyFiles.length > 0 ? keyFiles : config.sshKeyFiles).filter((file) => fs.existsSync(file)),
      maxLoadsPerHost: config.maxLoadsPerHost,
      connectTimeoutMs: config.sshConnectTimeoutMs,
      commandTimeoutMs: config.commandTimeoutMs,
      maxChannels: config.sshMaxChannels,
    });
    return this.hostPool;
  }

  /** The rows as the web front end sees them. @throws SCHEMA_MISSING, SCHEMA_NEWER, DATABASE_UNAVAILABLE */
  async frontEnd(): Promise<FrontEnd> {
    const { store, frontEnd } = this.open();
    await requireSchema(store);
    return frontEnd;
  }

  /** The store, whatever state its tables are in. @throws SCHEMA_MISSING when there is no embedded database yet */
  open(): OpenStore {
    const file = sqlitePath(this.config.database);
    if (file !== null && file !== ':memory:' && !fs.existsSync(file)) {
      throw new ProvisiondError('SCHEMA_MISSING', `there is no database file ${file}`);
    }
    return this.openAny();
  }

  /** As {@link open}, but makes the file of an embedded database. */
  openOrCreate(): OpenStore {
    const file = sqlitePath(this.config.database);
    if (file !== null && file !== ':memory:') {
      fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o750 });
      // It will hold the passwords of reservations.
      fs.closeSync(fs.openSync(file, 'a', 0o640));
      // The service has an account of its own, and the folder is that account's.
      if (process.getuid?.() === 0) {
        const { uid, gid } = fs.statSync(path.dirname(file));
        fs.chownSync(file, uid, gid);
      }
    }
    return this.openAny();
  }

  async close(): Promise<void> {
    await this.openedStore?.store.close();
    await this.hostPool?.close();
  }

  private openAny(): OpenStore {
    this.openedStore ??= openStore({ database: this.config.database });
    return this.openedStore;
  }
}

async function requireSchema(store: Store): Promise<void> {
  const state = await store.schemaState();
  if (state === 'newer') throw new ProvisiondError('SCHEMA_NEWER', `the tables in ${store.label} are too new`);
  if (state === 'current') return;
  const what = state === 'missing' ? 'has no tables yet' : 'has tables of an older version';
  throw new ProvisiondError('SCHEMA_MISSING', `${store.label} ${what}`);
}
