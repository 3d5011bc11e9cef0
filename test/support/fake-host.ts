/**
 * A VM host that is a world, not a mock: commands are run by the real `sh` with the real tools of this machine on
 * folders of the world; only what would touch the machine itself (libvirt, links) is played, by the programs in
 * `fake-bin`, which keep what they did in files.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { ClosableHost, RunOptions, RunResult } from '../../lib/host/host';
import { LocalHost } from '../../lib/host/local-host';
import type { HostFacts } from '../../lib/model/reservation';
import { FAKE_BIN, FaultyPrograms } from './faulty-programs';
import type { WorldFolderOptions } from './world-folder';

export interface FakeNetwork {
  readonly name: string;
  /** `192.168.121`: the network gives addresses by DHCP; left out: it does not. */
  readonly prefix?: string;
  readonly active?: boolean;
}

export interface FakeHostOptions extends WorldFolderOptions {
  readonly name?: string;
  /** Default: `private` and `public`, both with DHCP. */
  readonly networks?: readonly FakeNetwork[];
  /** What libvirt offers. Default `qemu`. */
  readonly domainTypes?: readonly string[];
}

export interface FakeDomain {
  readonly name: string;
  readonly uuid: string;
  /** virsh's word. */
  readonly state: string;
  readonly persistent: boolean;
  readonly hasManagedSave: boolean;
  readonly autostart: boolean;
  /** How often it was started, rebooted or reset. */
  readonly boots: number;
  readonly disks: readonly string[];
  readonly macs: readonly string[];
  /** Networks and bridges, in the order of `macs`. */
  readonly networks: readonly string[];
  readonly snapshots: readonly string[];
  /** What the next start would use; of a transient domain what runs. */
  readonly xml: string;
}

export interface FakeDhcpHost {
  readonly mac: string;
  readonly name: string;
  readonly ip: string;
}

const STATE_WORDS: Record<string, string> = {
  1: 'running',
  3: 'paused',
  5: 'shut off',
  6: 'crashed',
  7: 'pmsuspended',
};

export class FakeHost extends FaultyPrograms implements ClosableHost {
  readonly name: string;
  readonly #local: LocalHost;

  constructor(options: FakeHostOptions = {}) {
    super(options);
    this.name = options.name ?? 'fakehost';
    if (options.at === undefined) this.#furnish(options);
    this.#local = new LocalHost({ name: this.name, env: this.env });
  }

  /** What makes programs that are started beside this one see the world. */
  get env(): Record<string, string> {
    const known = process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin';
    return {
      FAKE_WORLD: this.folder,
      HOME: this.path('root'),
      PATH: [this.path('bin'), FAKE_BIN, known].join(':'),
    };
  }

  #furnish(options: FakeHostOptions): void {
    for (const name of ['domains', 'networks', 'faults', 'bin', 'root', 'datastore', 'repository', 'vms', 'xml']) {
      mkdirSync(this.path(name));
    }
    this.write('hostname', `${this.name}\n`);
    this.write('domain-types', `${(options.domainTypes ?? ['qemu']).join(' ')}\n`);
    this.write('links', 'lo inactive 00:00:00:00:00:00\neth0 active 52:54:00:aa:00:01\n');
    const defaults = [
      { name: 'private', prefix: '192.168.121' },
      { name: 'public', prefix: '192.168.122' },
    ];
    (options.networks ?? defaults).forEach((network) => this.addNetwork(network));
  }

  run(argv: readonly string[], options?: RunOptions): Promise<RunResult> {
    return this.#local.run(argv, options);
  }

  /** Ends what still runs and removes the world. */
  async close(): Promise<void> {
    await this.#local.close();
    this.remove();
  }

  /** This world as the VM host of a reservation. */
  facts(): HostFacts {
    return {
      computerId: 900,
      hostname: `${this.name}.example.org`,
      shortName: this.name,
      address: '127.0.0.1',
      profile: {
        id: 1,
        name: 'fake world',
        datastorePath: this.path('datastore'),
        vmPath: this.path('vms'),
        repositoryPath: this.path('repository'),
        datastoreFormat: 'qcow2',
        repositoryFormat: 'qcow2',
        privateNetwork: 'private',
        publicNetwork: 'public',
        generatePrivateMac: false,
        generatePublicMac: false,
      },
      connection: { transport: 'local', port: 22, user: 'root', hostKey: null, driver: null, maxLoads: null },
    };
  }

  // ------------------------------------------------------------------------------------------- what is in the world

  domains(): FakeDomain[] {
    return readdirSync(this.path('domains')).flatMap((name) => this.#readDomain(name) ?? []);
  }

  domain(name: string): FakeDomain | undefined {
    return this.domains().find((domain) => domain.name === name);
  }

  /** Entries for fixed addresses: of the running network, or of its configuration. */
  dhcpHosts(network: string, of: 'live' | 'config' = 'live'): FakeDhcpHost[] {
    return this.lines('networks', network, `hosts.${of}`).map((line) => {
      const [mac = '', name = '', ip = ''] = line.split('|');
      return { mac, name, ip };
    });
  }

  addNetwork({ name, prefix, active = true }: FakeNetwork): void {
    const folder = path.join('networks', name);
    mkdirSync(this.path(folder));
    const uuid = `7c9d99e5-979d-44f8-85dc-${Buffer.from(name.padEnd(6).slice(0, 6)).toString('hex')}`;
    const dhcp = `\n    <dhcp>\n      <range start='${prefix}.128' end='${prefix}.254'/>\n    </dhcp>\n  `;
    const ip = prefix === undefined ? '' : `  <ip address='${prefix}.1' netmask='255.255.255.0'>${dhcp}</ip>\n`;
    const head = `<network>\n  <name>${name}</name>\n  <uuid>${uuid}</uuid>\n`;
    const bridge = `  <bridge name='virbr-${name}' stp='off' delay='0'/>\n  <mac address='52:54:00:68:38:23'/>\n`;
    this.write(path.join(folder, 'config.xml'), `${head}${bridge}  <dns enable='no'/>\n${ip}</network>\n`);
    this.write(path.join(folder, 'uuid'), `${uuid}\n`);
    this.write(path.join(folder, 'bridge'), `virbr-${name}\n`);
    for (const file of ['hosts.config', 'hosts.live', 'autostart']) this.write(path.join(folder, file), '');
    if (active) this.write(path.join(folder, 'active'), '');
  }

  /** A link of the host, for example a bridge. */
  addLink(name: string): void {
    this.write('links', `${readFileSync(this.path('links'), 'utf8')}${name} active 52:54:00:aa:00:02\n`);
  }

  addLease(network: string, lease: { mac: string; ip: string; hostname?: string }): void {
    const seconds = Math.floor(Date.now() / 1000) + 3600;
    const file = path.join('networks', network, 'leases');
    const others = this.lines(file).join('\n');
    this.write(file, `${others}\n${seconds}|${lease.mac}|${lease.ip}/24|${lease.hostname ?? ''}|\n`.trimStart());
  }

  /** A guest that does not obey `shutdown` and `reboot`; without a name: all of them. */
  makeDeaf(domain?: string): void {
    this.write(domain === undefined ? 'deaf' : path.join('domains', domain, 'deaf'), '');
  }

  /** Something happens to a guest behind everybody's back: it panics, goes to sleep, or its QEMU is killed. */
  happen(domain: string, what: 'panic' | 'panic on Xen' | 'sleep' | 'killed' | 'power off' | 'I/O error'): void {
    const folder = path.join('domains', domain);
    const id = this.lines(folder, 'state')[0]?.split(' ')[2] ?? '1';
    const [state, event] = {
      panic: [`6 1 ${id} panicked`, 'Crashed Panicked'],
      // It is kept, and its driver calls it off all the same.
      'panic on Xen': [`5 3 ${id} crashed`, 'Stopped Crashed'],
      sleep: [`7 0 ${id} unknown`, 'PMSuspended Memory'],
      killed: ['5 3 - crashed', 'Stopped Failed'],
      'power off': ['5 1 - shutdown', 'Stopped Shutdown'],
      'I/O error': [`3 5 ${id} I/O error`, 'Suspended I/O Error'],
    }[what] as [string, string];
    if (/^5 \d -/.test(state)) rmSync(this.path(folder, 'live.xml'), { force: true });
    this.write(path.join(folder, 'state'), `${state}\n`);
    appendFileSync(
      this.path('events'),
      `2026-01-01 00:00:00.000+0000: event 'lifecycle' for domain '${domain}': ${event}\n`,
    );
  }

  /** The saved memory of a domain is damaged. */
  damageSave(domain: string): void {
    this.write(path.join('domains', domain, 'managed-save'), 'corrupt\n');
  }

  /** Nothing for one that is being made or removed at this moment. */
  #readDomain(name: string): FakeDomain | undefined {
    const folder = path.join('domains', name);
    const has = (file: string) => existsSync(this.path(folder, file));
    const xml = this.lines(folder, has('config.xml') ? 'config.xml' : 'live.xml').join('\n');
    if (xml === '') return undefined;
    const facts = this.lines(folder, 'facts').map((line) => line.split('|'));
    const nics = facts.filter(([kind]) => kind === 'nic');
    return {
      name,
      uuid: this.lines(folder, 'uuid')[0] ?? '',
      state: STATE_WORDS[this.lines(folder, 'state')[0]?.split(' ')[0] ?? ''] ?? 'no state',
      persistent: has('config.xml'),
      hasManagedSave: has('managed-save'),
      autostart: has('autostart'),
      boots: this.lines(folder, 'boots').length,
      disks: facts.filter(([kind]) => kind === 'disk').map((fact) => fact[4] ?? ''),
      macs: nics.map((nic) => nic[4] ?? ''),
      networks: nics.map((nic) => nic[2] ?? ''),
      snapshots: has('snapshots') ? readdirSync(this.path(folder, 'snapshots')) : [],
      xml,
    };
  }
}
