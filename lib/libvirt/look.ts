/**
 * One look at a host, for one computer: what is there that concerns it. It answers every `done` of a run until something
 * is changed; what we change ourselves is carried over into it, what fails makes it forgotten.
 */
import { ProvisiondError } from '../errors';
import { script } from '../host/host';
import { type ImageSight, parseImageFiles } from '../images/image-sight';
import type { DomainIdentity } from '../model/identity';
import { isSeed } from '../model/names';
import type { XmlNode } from '../plugins/api';
import { type DhcpHost, readDhcpHosts } from './dhcp-hosts';
import { readIdentity } from './domain-identity';
import { readState } from './domain-state';
import type { HostedComputer } from './hosted-computer';
import { LOOK } from './look-script';
import { ownsDomain } from './ownership';
import type { DomainSight } from './provisioner';
import { drawMark, splitSections } from './sections';
import { complaints, parseDomainNames, parseNames, virshError } from './virsh';
import { childrenOf, firstOf, parseXml } from '../xml';

/** A domain that may concern the computer. */
export interface SeenDomain extends DomainSight {
  /** Whether it belongs to the computer. */
  readonly own: boolean;
  readonly disks: readonly string[];
  readonly macs: readonly string[];
}

export interface SeenNetwork {
  readonly name: string;
  readonly active: boolean;
  readonly persistent: boolean;
}

export interface HostLook {
  /** All domains of the host: name → UUID. */
  readonly domainNames: ReadonlyMap<string, string>;
  readonly domains: readonly SeenDomain[];
  readonly networks: readonly SeenNetwork[];
  readonly bridges: readonly string[];
  /** Entries of the private network's DHCP; null when it is no libvirt network with DHCP. */
  readonly dhcpHosts: readonly DhcpHost[] | null;
  /** Files whose names begin with the computer's, in the folders of disks and of XML files. */
  readonly files: readonly string[];
  readonly images: ImageSight;
  readonly diskFilesystem: { readonly type: string; readonly freeKiB: number };
  /** The XML file beside the base image; null when there is none. */
  readonly masterXml: string | null;
}

/**
 * @param imageName whose files to look for
 * @throws LIBVIRT_FAILED when libvirt does not answer: an outage is not an empty answer
 */
export async function lookAtHost(
  computer: HostedComputer,
  imageName = computer.reservation.image.name,
): Promise<HostLook> {
  const mark = drawMark();
  const { names, profile, reservation, settings } = computer;
  const argv = script(
    LOOK,
    mark,
    names.shortName,
    reservation.computer.id,
    profile.privateNetwork,
    profile.datastorePath,
    imageName,
    profile.repositoryPath ?? '',
    profile.vmPath,
    settings.xmlDirectory,
    computer.privateMac,
    computer.publicMac,
  );
  const result = await computer.run(argv, { expect: 'any' });
  const doing = `asking libvirt of host ${computer.host.name}`;
  const fatal = complaints(result.stderr).filter((text) => !isHarmless(text));
  if (result.exitCode !== 0 || fatal.length > 0) throw virshError('LIBVIRT_FAILED', doing, result);
  return readLook(computer, splitSections(result.stdout, mark));
}

/** Whether a command is the look at a host, which changes nothing. */
export function isLook(argv: readonly string[]): boolean {
  return argv[2] === LOOK;
}

/** A domain that went between two statements, and libvirts that have no network driver. */
function isHarmless(complaint: string): boolean {
  return /^failed to get domain|^Domain not found|not supported by the connection driver: virConnect.*Networks/.test(
    complaint,
  );
}

function readLook(computer: HostedComputer, sections: Map<string, string[]>): HostLook {
  const part = (name: string) => sections.get(name) ?? [];
  if (!sections.has('domains') || !sections.has('master-xml')) {
    throw new ProvisiondError('LIBVIRT_FAILED', `the look at host ${computer.host.name} came back incomplete`);
  }
  const filesystem = part('disk-filesystem')[0]?.split(' ') ?? [];
  const active = new Set(parseNames(part('active-networks')));
  const persistent = new Set(parseNames(part('persistent-networks')));
  const masterXml = part('master-xml').join('\n').trim();
  const network = part('private-network').join('\n').trim();
  return {
    domainNames: parseDomainNames(part('domains')),
    domains: readDomains(computer, sections),
    networks: parseNames(part('networks')).map((name) => ({
      name,
      active: active.has(name),
      persistent: persistent.has(name),
    })),
    bridges: parseNames(part('bridges')),
    dhcpHosts: network === '' ? null : readDhcpHosts(network),
    files: parseNames(part('files')),
    images: { datastore: parseImageFiles(part('datastore')), repository: parseImageFiles(part('repository')) },
    diskFilesystem: { type: filesystem[0] ?? '', freeKiB: Number(filesystem[1] ?? 0) },
    masterXml: masterXml === '' ? null : masterXml,
  };
}

function readDomains(computer: HostedComputer, sections: Map<string, string[]>): SeenDomain[] {
  const saved = new Set(parseNames(sections.get('managed-save') ?? []));
  const persistent = new Set(parseNames(sections.get('persistent') ?? []));
  const stateOf = (uuid: string) => readState(sections, uuid)?.state ?? 'no state';
  return [...sections.keys()].flatMap((section) => {
    const uuid = /^domain (\S+)$/.exec(section)?.[1];
    const text = uuid === undefined ? '' : sections.get(section)!.join('\n').trim();
    return text === '' ? [] : [readDomain(computer, uuid!, text, { state: stateOf(uuid!), saved, persistent })];
  });
}

function readDomain(
  computer: HostedComputer,
  uuid: string,
  text: string,
  known: { state: string; saved: ReadonlySet<string>; persistent: ReadonlySet<string> },
): SeenDomain {
  const { domain } = parseXml(text, `the XML of domain ${uuid} on host ${computer.host.name}`);
  const name = firstOf(domain, 'name')?._ ?? '';
  const identity: DomainIdentity | null = domain ? readIdentity(domain) : null;
  const disks = domain ? diskFiles(domain) : [];
  return {
    name,
    uuid,
    state: known.state,
    persistent: known.persistent.has(uuid),
    hasManagedSave: known.saved.has(uuid),
    identity,
    disks,
    macs: domain ? macsOf(domain) : [],
    own: ownsDomain(computer.owner, { name, identity, disks }),
  };
}

/** In small letters, in the order of the interfaces. */
export function macsOf(domain: XmlNode): string[] {
  const interfaces = childrenOf(firstOf(domain, 'devices'), 'interface');
  return interfaces.map((nic) => (firstOf(nic, 'mac')?.$?.address ?? '').toLowerCase());
}

/** Files of the hard disks of a domain; a seed is none of them: what is kept and captured has it not. */
export function diskFiles(domain: XmlNode): string[] {
  return childrenOf(firstOf(domain, 'devices'), 'disk').flatMap((disk) => {
    const file = firstOf(disk, 'source')?.$?.file;
    return file !== undefined && !isSeed(file) && (disk.$?.device ?? 'disk') === 'disk' ? [file] : [];
  });
}
