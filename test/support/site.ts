/**
 * A whole site in the lab: a database, this lab's VM host with two computers and an image, and the daemon, all real.
 * Tests write rows as the front end does and look at rows, domains, files and guests.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, copyFileSync, mkdirSync, mkdtempSync, openSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Config } from '../../lib/config/config';
import { loadConfig } from '../../lib/config/load';
import type { NewComputer, NewHost } from '../../lib/store/front-end';
import { openStore } from '../../lib/store/open-store';
import { readLab, type Lab } from './lab';
import { connect, type Dialect, makeDatabase, SiteRows, USER } from './site-rows';
import { asUser, logIn, type UserAtMachine } from './user-ssh';
import { ownVmHost, type VmHost } from './vm-host';

const run = promisify(execFile);

/** Where the front end sends the user of a reservation. */
type ConnectData = Pick<UserAtMachine, 'address' | 'password'>;

export interface SiteOptions {
  readonly dialect?: Dialect;
  readonly settings?: Partial<Config>;
  readonly host?: Partial<NewHost>;
  readonly computers?: readonly Partial<NewComputer>[];
  /** The server to make a MariaDB database on; default: the lab's. */
  readonly mysqlUrl?: string;
  /** File to register as the image; default: the lab's guest. */
  readonly imageFile?: string;
  /** Default: the lab's own. */
  readonly vmHost?: (lab: Lab) => VmHost;
  /** Leave the daemon to the test. */
  readonly withoutDaemon?: boolean;
}

/** Built by `npm run build`, which `npm test` does first. */
const PROGRAM = path.join(__dirname, '../../dist/lib/main.js');

export const NODE = 'node.test';

export class Site extends SiteRows {
  daemon: ChildProcess | null = null;

  private constructor(
    readonly lab: Lab,
    readonly folder: string,
    /** Folder of its images and disks, on the VM host. */
    readonly hostFolder: string,
    readonly vmHost: VmHost,
    ...rows: ConstructorParameters<typeof SiteRows>
  ) {
    super(...rows);
  }

  static async open(options: SiteOptions = {}): Promise<Site> {
    const lab = readLab();
    mkdirSync(path.join(lab.folder, 'sites'), { recursive: true });
    const folder = mkdtempSync(path.join(lab.folder, 'sites', 'site-'));
    chmodSync(folder, 0o711); // qemu's own user reaches the disks
    const vmHost = (options.vmHost ?? ownVmHost)(lab);
    const hostFolder = vmHost.folderFor(folder);
    const database = await makeDatabase(options.dialect ?? 'sqlite', folder, options.mysqlUrl ?? lab.mysqlUrl);
    const config = makeConfig(folder, database, { xmlDirectory: path.join(hostFolder, 'xml'), ...options.settings });
    const { store, frontEnd } = openStore({ database: config.database });
    await store.migrate();
    const node = await frontEnd.ensureManagementNode(NODE, '127.0.0.1', [lab.sshKeyFile, lab.guestKeyFile]);
    await frontEnd.ensureUser(USER);
    await frontEnd.putHost(labHost(vmHost, hostFolder, options.host), node);
    for (const [index, more] of (options.computers ?? [{}, {}]).entries()) {
      await frontEnd.putComputer(labComputer(vmHost, index, more), node);
    }
    const image = await frontEnd.addImage({
      prettyName: 'Tiny Linux',
      os: 'vmwarelinux',
      ramMiB: 256,
      cpus: 1,
      sizeMiB: 64,
      owner: 'admin',
    });
    const site = new Site(lab, folder, hostFolder, vmHost, config, store, frontEnd, connect(config), node, image);
    await vmHost.makeFolder(site.datastore);
    await vmHost.makeFolder(site.vms);
    await vmHost.put(options.imageFile ?? lab.imageFile, site.masterFile);
    await vmHost.run('chmod', '444', site.masterFile);
    if (!options.withoutDaemon) await site.startDaemon();
    return site;
  }

  get datastore(): string {
    return path.join(this.hostFolder, 'images');
  }

  get vms(): string {
    return path.join(this.hostFolder, 'vms');
  }

  get masterFile(): string {
    return path.join(this.datastore, `${this.image.fileName}.qcow2`);
  }

  putImageFile(file: string): void {
    copyFileSync(file, this.masterFile);
    chmodSync(this.masterFile, 0o444);
  }

  get logFile(): string {
    return path.join(this.folder, 'provisiond.log');
  }

  /** The daemon as operators run it: a process of its own. */
  async startDaemon(settings: Partial<Config> = {}, env: Record<string, string> = {}): Promise<void> {
    const file = path.join(this.folder, 'provisiond.yaml');
    writeFileSync(file, JSON.stringify({ ...this.config, ...settings }), { mode: 0o600 }); // JSON is YAML
    const log = openSync(this.logFile, 'a');
    this.daemon = spawn(process.execPath, [PROGRAM, 'run', '--config', file], {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
    });
    closeSync(log);
  }

  /** SIGTERM, as systemd stops it. */
  async stopDaemon(): Promise<void> {
    const { daemon } = this;
    this.daemon = null;
    if (!daemon || daemon.exitCode !== null || daemon.signalCode !== null) return;
    daemon.kill('SIGTERM');
    await once(daemon, 'exit');
  }

  /** kill -9: nothing is tidied up. */
  async killDaemon(): Promise<void> {
    this.daemon?.kill('SIGKILL');
    if (this.daemon) await once(this.daemon, 'exit');
    this.daemon = null;
  }

  async close(): Promise<void> {
    await this.stopDaemon();
    for (const name of await this.domains()) {
      await this.virsh('destroy', name).catch(() => {});
      await this.virsh('undefine', name, '--snapshots-metadata', '--managed-save').catch(() => {});
    }
    await this.removeDhcpEntries();
    await this.database.destroy();
    await this.store.close();
  }

  /** A further host, or a change of one. */
  async putHost(name: string, more: Partial<NewHost>, managementNodeId: number): Promise<void> {
    await this.frontEnd.putHost(labHost(this.vmHost, this.hostFolder, { name, ...more }), managementNodeId);
  }

  /** Gives a computer another host. */
  async putComputer(name: string, host: string, managementNodeId: number): Promise<void> {
    await this.frontEnd.putComputer(labComputer(this.vmHost, Number(name.slice(2)) - 1, { host }), managementNodeId);
  }

  /** After a round that failed: ends whatever is left, so that the next one begins with nothing. */
  async clear(): Promise<void> {
    const left = await this.database('request').select<{ id: number }[]>('id');
    if (left.length === 0) return;
    if (!this.daemon) await this.startDaemon();
    for (const { id } of left) {
      await this.endAsUsed(id).catch(() => {});
      await this.waitForRequest(id, null, 20).catch(() => {});
    }
    await this.killDaemon();
    await this.database('request').delete();
  }

  /** VCL's timing variables, in seconds; a running daemon is started again to see them at once. */
  async setTimings(timings: Record<string, number>): Promise<void> {
    for (const [name, value] of Object.entries(timings)) {
      await this.database('variable').where({ name }).update({ value });
    }
    if (!this.daemon) return;
    await this.stopDaemon();
    await this.startDaemon();
  }

  /** As if a user had been on the machine: it is not handed out again without a load. */
  async taint(address: string): Promise<void> {
    await this.inGuest(address, 'echo "vcld_tainted=by the test" >> /root/currentimage.txt');
  }

  private async removeDhcpEntries(): Promise<void> {
    for (const [entry] of (await this.virsh('net-dumpxml', 'private')).matchAll(/<host mac='[^']*'[^>]*>/g)) {
      await this.virsh('net-update', 'private', 'delete', 'ip-dhcp-host', entry, '--live', '--config');
    }
  }

  async virsh(...argv: string[]): Promise<string> {
    return this.vmHost.run('virsh', '-q', ...argv);
  }

  async domains(): Promise<string[]> {
    return (await this.virsh('list', '--all', '--name'))
      .split('\n')
      .filter((name) => name !== '' && name !== 'Domain-0');
  }

  /** Runs a command in a guest as root, past provisiond. */
  async inGuest(address: string, command: string): Promise<string> {
    const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'ConnectTimeout=10'];
    const argv = [
      '-i',
      this.lab.guestKeyFile,
      ...options.flatMap((option) => ['-o', option]),
      `root@${address}`,
      command,
    ];
    return (await run('ssh', argv)).stdout;
  }

  /** Runs a command in the guest as the user, with the password of the reservation. */
  asUser({ address, password }: ConnectData, command: string, login = USER): Promise<string> {
    return asUser({ login, address, password }, command);
  }

  /** The user logs in, and stays until he leaves. */
  logIn({ address, password }: ConnectData, login = USER): ReturnType<typeof logIn> {
    return logIn({ login, address, password });
  }

  /** What is on the host that a reservation made: domains, disks, XML files, DHCP entries, half-written files. */
  async leftovers(): Promise<string[]> {
    const network = await this.virsh('net-dumpxml', 'private');
    const hosts = [...network.matchAll(/<host mac='[^']*'[^>]*>/g)].map(([entry]) => `DHCP entry ${entry}`);
    const files: string[] = [];
    for (const folder of [this.vms, this.config.xmlDirectory]) {
      const names = await this.vmHost.list(folder);
      files.push(...names.filter((name) => !name.endsWith('.load')).map((name) => path.join(folder, name))); // the fence's note stays
    }
    const parts = (await this.vmHost.list(this.datastore)).filter((name) => name.includes('.part'));
    return [...(await this.domains()).map((name) => `domain ${name}`), ...files, ...parts, ...hosts];
  }
}

function makeConfig(folder: string, database: string, settings: Partial<Config> = {}): Config {
  const { config } = loadConfig({ env: { PROVISIOND_STATE_DIR: folder, PROVISIOND_MANAGEMENT_NODE: NODE } });
  return {
    ...config,
    database,
    pollIntervalMs: 100,
    guestBootTimeoutMs: 60_000,
    retryDelayMs: 200,
    log: { level: 'debug', format: 'human', file: null },
    ...settings,
  };
}

function labHost(vmHost: VmHost, folder: string, more: Partial<NewHost> = {}): NewHost {
  return {
    name: 'host1',
    ...vmHost.entry,
    transport: 'ssh',
    port: 22,
    user: 'root',
    driver: null,
    maxLoads: null,
    datastorePath: path.join(folder, 'images'),
    vmPath: path.join(folder, 'vms'),
    repositoryPath: null,
    privateNetwork: 'private',
    publicNetwork: 'public',
    ramMiB: 16384,
    cpus: 8,
    ...more,
  };
}

function labComputer(vmHost: VmHost, index: number, more: Partial<NewComputer>): NewComputer {
  return {
    name: `vm${index + 1}`,
    host: 'host1',
    privateIp: `${vmHost.privateNet}.${11 + index}`,
    publicIp: null,
    privateMac: null,
    publicMac: null,
    ramMiB: 1024,
    cpus: 1,
    afterwards: 'unload',
    ...more,
  };
}
