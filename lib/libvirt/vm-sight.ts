/**
 * What of a domain concerns operations: its power, what it cannot, its snapshots. One constant script for a computer's
 * domain, one for all domains of a host; neither changes anything.
 */
import { ProvisiondError } from '../errors';
import { type Host, script } from '../host/host';
import type { DomainIdentity } from '../model/identity';
import type { VmFeatures } from '../model/vm-rules';
import { type DomainWords, type PowerSight, type PowerState, powerSight } from '../model/vm-states';
import type { XmlNode } from '../plugins/api';
import { readIdentity } from './domain-identity';
import { ASK_STATE, type DomainState, readState } from './domain-state';
import { CANDIDATES } from './look-script';
import { diskFiles } from './look';
import type { SnapshotInfo } from './provisioner';
import { drawMark, SECTION, splitSections } from './sections';
import { complaints, parseNames, parseSnapshots, virshError } from './virsh';
import { childrenOf, firstOf, parseXml } from '../xml';

/** What does not change while a domain is defined as it is. */
export interface DomainFacts {
  readonly name: string;
  readonly uuid: string;
  readonly identity: DomainIdentity | null;
  readonly disks: readonly string[];
  readonly features: VmFeatures;
}

export interface VmSight extends DomainFacts, Pick<DomainState, 'domainId'> {
  readonly words: DomainWords;
  readonly hasManagedSave: boolean;
  readonly snapshots: readonly SnapshotInfo[];
}

export function isActive({ words }: Pick<VmSight, 'words'>): boolean {
  return words.state !== 'shut off';
}

export function powerOf({ words }: Pick<VmSight, 'words'>, before?: PowerState): PowerSight {
  return powerSight(words, before);
}

/** Shell: statements of virsh for the domain `$uuid`; its XML and snapshots only where `$1` is not `known`. */
const DESCRIBE = `${ASK_STATE}
describe() {
  ask_state
  statements="$statements; echo '
@@$mark job $uuid
'; domjobinfo $uuid"
  [ "$1" = known ] || statements="$statements; echo '
@@$mark snapshots $uuid
'; snapshot-list $uuid; echo '
@@$mark domain $uuid
'; dumpxml $uuid"
}
list_domains() {
  lists=$(virsh -q "echo '
@@$mark managed-save
'; list --all --with-managed-save --uuid; echo '
@@$mark domains
'; list --all --uuid --name") || exit 1
  printf '%s\\n' "$lists"
}
`;

/** `$1` mark `$2` short name `$3` computer id `$4` folder of the disks */
const LOOK_AT_VM = `
set -u
mark=$1 short=$2 computer=$3 disks=$4
${SECTION}
${DESCRIBE}
list_domains
${CANDIDATES}
statements=
for uuid in $(printf '%s\\n' $candidates | sort -u); do describe all; done
[ -z "$statements" ] || virsh -q "$statements" || true
section end
exit 0
`;

/** `$1` mark `$2` UUIDs whose definitions are known, with blanks between */
const LOOK_AT_ALL = `
set -u
mark=$1 known=$2
${SECTION}
${DESCRIBE}
list_domains
statements=
for uuid in $(printf '%s\\n' "$lists" | sed "1,/^@@$mark domains\\$/d; s/ .*//"); do
  case " $known " in *" $uuid "*) describe known ;; *) describe all ;; esac
done
[ -z "$statements" ] || virsh -q "$statements" || true
section end
exit 0
`;

export interface VmPlace {
  readonly computerId: number;
  readonly shortName: string;
  readonly vmPath: string;
}

/**
 * Every domain that may be the computer's.
 * @throws LIBVIRT_FAILED when libvirt does not answer: an outage is not an empty answer
 */
export async function lookAtVm(host: Host, place: VmPlace, signal?: AbortSignal): Promise<VmSight[]> {
  const mark = drawMark();
  const argv = script(LOOK_AT_VM, mark, place.shortName, place.computerId, place.vmPath);
  return readSights(host, await ask(host, mark, argv, signal), new Map());
}

/** @param known definitions by UUID that need not be read again @throws LIBVIRT_FAILED */
export async function lookAtVms(host: Host, known: ReadonlyMap<string, DomainFacts>, signal?: AbortSignal) {
  const mark = drawMark();
  const argv = script(LOOK_AT_ALL, mark, [...known.keys()].join(' '));
  return readSights(host, await ask(host, mark, argv, signal), known);
}

async function ask(host: Host, mark: string, argv: string[], signal?: AbortSignal): Promise<Map<string, string[]>> {
  const result = await host.run(argv, { expect: 'any', ...(signal && { signal }) });
  const sections = splitSections(result.stdout, mark);
  const fatal = complaints(result.stderr).filter((text) => !isHarmless(text));
  if (result.exitCode !== 0 || fatal.length > 0 || !sections.has('end')) {
    throw virshError('LIBVIRT_FAILED', `asking libvirt of host ${host.name} for the power of its domains`, result);
  }
  return sections;
}

/** A domain that went or ended between two statements, and what a hypervisor cannot tell (Xen has no snapshots). */
function isHarmless(complaint: string): boolean {
  return /^failed to get domain|^Domain not found|domain is not running|not supported by the connection driver/.test(
    complaint,
  );
}

function readSights(host: Host, sections: Map<string, string[]>, known: ReadonlyMap<string, DomainFacts>): VmSight[] {
  const saved = new Set(parseNames(sections.get('managed-save') ?? []));
  const part = (name: string) => (sections.get(name) ?? []).join('\n').trim();
  return [...sections.keys()].flatMap((section): VmSight[] => {
    const uuid = /^state (\S+)$/.exec(section)?.[1];
    const said = uuid === undefined ? null : readState(sections, uuid);
    const facts = uuid === undefined ? undefined : (known.get(uuid) ?? readFacts(host, uuid, sections));
    // Gone between two statements.
    if (uuid === undefined || !said || !facts) return [];
    const { state, reason, domainId } = said;
    const job = /^Job type: +(.*)$/m.exec(part(`job ${uuid}`))?.[1]?.trim() ?? 'None';
    const hasManagedSave = saved.has(uuid);
    return [
      {
        ...facts,
        domainId,
        hasManagedSave,
        words: { state, reason, hasManagedSave, jobActive: !['None', 'Completed'].includes(job) },
        snapshots: parseSnapshots((sections.get(`snapshots ${uuid}`) ?? []).join('\n')),
      },
    ];
  });
}

function readFacts(host: Host, uuid: string, sections: Map<string, string[]>): DomainFacts | undefined {
  const text = (sections.get(`domain ${uuid}`) ?? []).join('\n').trim();
  if (text === '') return undefined;
  const { domain } = parseXml(text, `the XML of domain ${uuid} on host ${host.name}`);
  if (!domain) throw new ProvisiondError('LIBVIRT_FAILED', `host ${host.name} describes ${uuid} as no domain`);
  return {
    name: firstOf(domain, 'name')?._ ?? uuid,
    uuid,
    identity: readIdentity(domain),
    disks: diskFiles(domain),
    features: featuresOf(domain),
  };
}

/** What the definition says of what its VM can. */
export function featuresOf(domain: XmlNode): VmFeatures {
  const devices = firstOf(domain, 'devices');
  const hasAgent = childrenOf(devices, 'channel').some(
    (channel) => firstOf(channel, 'target')?.$?.name === 'org.qemu.guest_agent.0',
  );
  const isXen = domain.$?.type === 'xen';
  const hasButton = isXen || hasAgent || childrenOf(firstOf(domain, 'features'), 'acpi').length > 0;
  const given = childrenOf(devices, 'hostdev').length;
  const noSuspend = given > 0 ? `${given} devices of the host are given to it` : null;
  return {
    noButton: hasButton ? null : 'it has neither ACPI nor a guest agent',
    noSuspend,
    noSnapshots: isXen ? 'libvirt has no snapshots for Xen' : noSuspend,
    alwaysBooted: isXen,
  };
}
