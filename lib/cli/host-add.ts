/** `provisiond host add`: a VM host, its profile and how to reach it. */
import type { Command } from 'commander';
import type { Config } from '../config/config';
import { ProvisiondError } from '../errors';
import { script } from '../host/host';
import { fetchHostKey } from '../host/ssh-host';
import type { FrontEnd, HostSummary, NewHost } from '../store/front-end';
import type { App } from './app';
import { nodeAddress } from './node-address';
import {
  type Execute,
  addVerb,
  folder,
  hostKeyFingerprint,
  ipAddress,
  machineName,
  networkName,
  wholeNumber,
} from './verb';

interface HostOptions {
  readonly address?: string;
  readonly local?: true;
  readonly port?: number;
  readonly user?: string;
  readonly hostKey?: string;
  readonly acceptKey?: true;
  readonly driver?: string;
  readonly maxLoads?: number;
  readonly datastore?: string;
  readonly vmPath?: string;
  readonly repository?: string;
  readonly privateNetwork?: string;
  readonly publicNetwork?: string;
  readonly ram?: number;
  readonly cpus?: number;
}

export function addHostVerbs(program: Command, execute: Execute): void {
  const host = program.command('host').description('enter VM hosts');
  addVerb(host, 'add', {
    about: 'enter a VM host, or change one: what is not given stays as it is',
    examples: [
      'host add kvm1 --address 192.0.2.5 --datastore /var/lib/vcl/images --private-network private --public-network br0',
      'host add kvm1 --driver kvm',
    ],
  })
    .argument('<name>', 'name of the host', machineName)
    .option('--address <ip>', 'where its sshd answers', ipAddress)
    .option('--local', 'it is this machine: commands are run without ssh')
    .option('--port <n>', 'port of its sshd; default 22', wholeNumber(1, 65535))
    .option('--user <login>', 'account on it; default root')
    .option('--host-key <fingerprint>', 'its host key, as "ssh-keygen -l" prints it', hostKeyFingerprint)
    .option('--accept-key', 'pin the key that it shows now, without comparing')
    .option('--driver <name>', 'pin this driver; "any": let provisiond choose')
    .option('--max-loads <n>', 'loads at once on it', wholeNumber(1, 1000))
    .option('--datastore <path>', 'folder of the base images on it', folder)
    .option('--vm-path <path>', 'folder of the copy-on-write disks; default: the datastore', folder)
    .option('--repository <path>', 'image repository as mounted on it', folder)
    .option(
      '--private-network <name>',
      'libvirt network or bridge through which provisiond reaches guests',
      networkName,
    )
    .option('--public-network <name>', 'libvirt network or bridge through which users reach guests', networkName)
    .option('--ram <mib>', 'memory for guests; default: all it has', wholeNumber(1))
    .option('--cpus <n>', 'processors; default: all it has', wholeNumber(1))
    .action((name: string, options: HostOptions, command: Command) =>
      execute(command, (app) => addHost(app, name, options)),
    );
}

async function addHost(app: App, name: string, options: HostOptions): Promise<void> {
  const { print } = app;
  const frontEnd = await app.frontEnd();
  const known = (await frontEnd.listHosts()).find((host) => host.name === name || host.facts.shortName === name);
  const way = await describeWay(app, name, options, known);
  const size = await describeSize(app, name, way, options);
  const host: NewHost = { ...way, ...describeProfile(name, options, known), ...size };
  const nodeId = await ensureNode(frontEnd, app.config);
  const computerId = await frontEnd.putHost(host, nodeId);
  print.result({ computerId, ...host }, () => {
    const how = host.transport === 'local' ? 'local' : `ssh ${host.user}@${host.address}:${host.port} ${host.hostKey}`;
    return `${known ? 'changed' : 'added'} host ${name} (computer ${computerId}): ${how}, datastore ${host.datastorePath}`;
  });
}

/** The row of this node. It names no keys: those of the configuration count, as long as an admin enters no others. */
export function ensureNode(frontEnd: FrontEnd, { managementNode }: Config): Promise<number> {
  return frontEnd.ensureManagementNode(managementNode, nodeAddress(), []);
}

type Way = Pick<NewHost, 'name' | 'address' | 'transport' | 'port' | 'user' | 'hostKey' | 'driver' | 'maxLoads'>;

async function describeWay(app: App, name: string, options: HostOptions, known?: HostSummary): Promise<Way> {
  const before = known?.facts.connection;
  const transport = options.local ? 'local' : options.address ? 'ssh' : (before?.transport ?? 'ssh');
  const address = options.address ?? (options.local ? '127.0.0.1' : known?.address);
  if (address === undefined) throw missing(name, '--address or --local');
  const driver = options.driver === 'any' ? null : (options.driver ?? before?.driver ?? null);
  const way = {
    name: known?.name ?? name,
    address,
    transport,
    port: options.port ?? before?.port ?? 22,
    user: options.user ?? before?.user ?? 'root',
    driver,
    maxLoads: options.maxLoads ?? before?.maxLoads ?? null,
  } as const;
  if (transport === 'local') return { ...way, hostKey: null };
  const isSameHost = known?.address === address && before?.port === way.port;
  return { ...way, hostKey: await chooseKey(app, way, options, isSameHost ? before?.hostKey : null) };
}

/** A person decides which key is the host's; we only fetch it. */
async function chooseKey(
  { config }: App,
  { name, address, port }: Pick<Way, 'name' | 'address' | 'port'>,
  { hostKey, acceptKey }: HostOptions,
  pinned: string | null | undefined,
): Promise<string> {
  if (hostKey !== undefined) return hostKey;
  if (!acceptKey && pinned) return pinned;
  const shown = await fetchHostKey(address, port, config.sshConnectTimeoutMs);
  if (acceptKey) return shown;
  throw new ProvisiondError('HOST_KEY_UNKNOWN', `host ${name} at ${address} port ${port} shows the key ${shown}`, {
    hint:
      `Compare it with what "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" prints on the host, ` +
      `then repeat the command with --host-key ${shown}`,
    details: { hostKey: shown },
  });
}

type Profile = Pick<NewHost, 'datastorePath' | 'vmPath' | 'repositoryPath' | 'privateNetwork' | 'publicNetwork'>;

function describeProfile(name: string, options: HostOptions, known?: HostSummary): Profile {
  const before = known?.facts.profile;
  const required = (given: string | undefined, former: string | undefined, option: string) => {
    const value = given ?? former;
    if (value === undefined) throw missing(name, option);
    return value;
  };
  return {
    datastorePath: required(options.datastore, before?.datastorePath, '--datastore'),
    vmPath: options.vmPath ?? before?.vmPath ?? null,
    repositoryPath: options.repository ?? before?.repositoryPath ?? null,
    privateNetwork: required(options.privateNetwork, before?.privateNetwork, '--private-network'),
    publicNetwork: required(options.publicNetwork, before?.publicNetwork, '--public-network'),
  };
}

/** Asks the host for what was not given. */
async function describeSize(app: App, name: string, way: Way, { ram, cpus }: HostOptions) {
  if (ram !== undefined && cpus !== undefined) return { ramMiB: ram, cpus };
  const { transport, port, user, hostKey, driver, maxLoads } = way;
  const connection = { transport, port, user, hostKey, driver, maxLoads };
  const facts = { computerId: 0, hostname: name, shortName: name, address: way.address, connection };
  const host = app.hosts.get(facts);
  const { stdout } = await host.run(script('nproc; sed -n "s/^MemTotal: *\\([0-9]*\\) kB/\\1/p" /proc/meminfo'));
  const [processors, memoryKiB] = stdout.split('\n').map(Number);
  return { ramMiB: ram ?? Math.floor((memoryKiB ?? 0) / 1024), cpus: cpus ?? processors ?? 1 };
}

function missing(name: string, option: string): ProvisiondError {
  return new ProvisiondError('REQUEST_INVALID', `there is no host ${name} yet: a new one needs ${option}`, {
    hint: 'provisiond host add --help shows an example',
  });
}
