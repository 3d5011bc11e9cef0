/** Everything that a host holds of this kind, not of one computer: for audits. One script, and it changes nothing. */
import { type Host, script } from '../host/host';
import type { DomainIdentity } from '../model/identity';
import { readDhcpHosts } from './dhcp-hosts';
import { readIdentity } from './domain-identity';
import { ASK_STATE, readState } from './domain-state';
import { diskFiles, macsOf } from './look';
import { drawMark, SECTION, splitSections } from './sections';
import { complaints, parseNames, virshError } from './virsh';
import { firstOf, parseXml } from '../xml';

export interface SurveyedDomain {
  readonly name: string;
  readonly uuid: string;
  readonly state: string;
  readonly identity: DomainIdentity | null;
  readonly disks: readonly string[];
  readonly macs: readonly string[];
}

export interface SurveyedFile {
  readonly path: string;
  /** Inode and time of the last change: tells a file from another of the same name. */
  readonly version: string;
}

export interface SurveyedEntry {
  readonly mac: string;
  readonly ip: string;
  readonly name: string | undefined;
}

export interface HostSurvey {
  readonly domains: readonly SurveyedDomain[];
  readonly files: readonly SurveyedFile[];
  /** Of the private network; empty when it is none of libvirt's. */
  readonly entries: readonly SurveyedEntry[];
  /** The notes of the fence (lib/host/fence.ts): computer → who worked it last. */
  readonly notes: ReadonlyMap<string, string>;
}

export interface SurveyedPlaces {
  readonly vmPath: string;
  readonly xmlDirectory: string;
  readonly privateNetwork: string;
}

/** `$1` mark `$2` folder of the disks `$3` folder of the XML files `$4` private network */
const SURVEY = `
set -u
mark=$1 disks=$2 xmls=$3 network=$4
${SECTION}
${ASK_STATE}
uuids=$(virsh -q list --all --uuid) || exit 1
statements=
for uuid in $uuids; do
  ask_state
  statements="$statements; echo '
@@$mark domain $uuid
'; dumpxml --inactive $uuid"
done
[ -z "$statements" ] || virsh -q "$statements"
section network
virsh -q net-dumpxml "$network" 2>/dev/null
section files
for file in "$disks"/* "$xmls"/*; do [ ! -f "$file" ] || stat -c '%i-%Y %n' "$file"; done
section notes
for file in "$disks"/.*.load; do [ ! -f "$file" ] || printf '%s %s\\n' "$(basename "$file")" "$(cat "$file")"; done
section end
exit 0
`;

/** @throws LIBVIRT_FAILED: an outage is not an empty answer */
export async function surveyHost(host: Host, places: SurveyedPlaces): Promise<HostSurvey> {
  const mark = drawMark();
  const argv = script(SURVEY, mark, places.vmPath, places.xmlDirectory, places.privateNetwork);
  const result = await host.run(argv, { expect: 'any' });
  const sections = splitSections(result.stdout, mark);
  const fatal = complaints(result.stderr).filter((text) => !/^failed to get domain|^Domain not found/.test(text));
  if (result.exitCode !== 0 || fatal.length > 0 || !sections.has('end')) {
    throw virshError('LIBVIRT_FAILED', `looking at everything on host ${host.name}`, result);
  }
  const network = (sections.get('network') ?? []).join('\n').trim();
  return {
    domains: readDomains(sections),
    files: parseNames(sections.get('files') ?? []).map((line) => {
      const [version, ...path] = line.split(' ');
      return { version: version!, path: path.join(' ') };
    }),
    entries: network === '' ? [] : (readDhcpHosts(network) ?? []),
    notes: new Map(parseNames(sections.get('notes') ?? []).map(readNote)),
  };
}

function readNote(line: string): [string, string] {
  const [file, ...note] = line.trim().split(/\s+/);
  return [file!.replace(/^\./, '').replace(/\.load$/, ''), note.join(' ')];
}

function readDomains(sections: Map<string, string[]>): SurveyedDomain[] {
  return [...sections].flatMap(([section, lines]) => {
    const uuid = /^domain (\S+)$/.exec(section)?.[1];
    const text = lines.join('\n').trim();
    if (uuid === undefined || text === '') return [];
    const { domain } = parseXml(text, `the XML of domain ${uuid}`);
    return [
      {
        uuid,
        name: firstOf(domain, 'name')?._ ?? uuid,
        state: readState(sections, uuid)?.state ?? 'no state',
        identity: domain ? readIdentity(domain) : null,
        disks: domain ? diskFiles(domain) : [],
        macs: domain ? macsOf(domain) : [],
      },
    ];
  });
}
