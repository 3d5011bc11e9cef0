/**
 * Removing domains and what belongs to them. Only what is the computer's own is ever named here: domains by UUID after
 * their ownership was decided, files by the exact names of its loads in the folder of virtual disks.
 */
import path from 'node:path';
import { ProvisiondError } from '../errors';
import { DOMAIN_STATE } from './domain-state';
import type { HostedComputer } from './hosted-computer';
import type { HostLook, SeenDomain } from './look';
import { loadBaseOf } from '../model/volume';
import { isDiskOf, isXmlFileOf } from './ownership';
import { virshError } from './virsh';

/**
 * `$1` UUIDs with blanks between, then files. All domains in one virsh; what is gone is gone, however it came about.
 * A domain that is still there after that is tried again by itself: a QEMU that is slow to die needs a moment, and flags
 * that a hypervisor does not know (libxl has no snapshots) are left out one after another.
 * Files follow when the domains are gone; a disk that a guest has open is a failure.
 */
const REMOVE = `
set -u
${DOMAIN_STATE}
uuids=$1
shift
fence
statements=
for uuid in $uuids; do
  statements="$statements destroy $uuid; undefine $uuid --managed-save --nvram --snapshots-metadata --checkpoints-metadata;"
done
is_there() { printf '%s\\n' "$left" | grep -Fxq "$1"; }
look_again() { left=$(virsh -q list --all --uuid) || { echo 'error: libvirt does not answer' >&2; exit 1; }; }
if [ -n "$uuids" ]; then
  left=$(virsh -q "$statements list --all --uuid" 2>/dev/null) || look_again
fi
for uuid in $uuids; do
  is_there "$uuid" || continue
  for flags in '--managed-save --nvram --snapshots-metadata --checkpoints-metadata' '--managed-save --nvram' \\
    '--managed-save' ''; do
    case $(domain_state "$uuid" 2>/dev/null) in '' | 'shut off') ;; *) virsh -q destroy "$uuid" || sleep 2 ;; esac
    virsh -q undefine "$uuid" $flags && break
  done
  look_again
  ! is_there "$uuid" || exit 1
done
for file; do
  [ -e "$file" ] || continue
  case $file in
  *.qcow2)
    if ! qemu-img info -f qcow2 "$file" >/dev/null 2>&1 && qemu-img info -U -f qcow2 "$file" >/dev/null 2>&1; then
      echo "error: $file is open in a guest" >&2
      exit 1
    fi ;;
  esac
  rm -f "$file" || exit 1
done
`;

/**
 * Removes the domains given, their disks, and the computer's XML files.
 * @param logs of those domains, which the hypervisor wrote
 * @param leftovers whether to remove as well what a load of this reservation may have left without a domain
 * @throws LIBVIRT_FAILED; CONFLICT when another domain uses the reservation's disk
 */
export async function removeDomains(
  computer: HostedComputer,
  domains: readonly SeenDomain[],
  { leftovers = false, logs = [] }: { leftovers?: boolean; logs?: readonly string[] } = {},
): Promise<void> {
  const look = await computer.view.current();
  const files = new Set(domains.length > 0 ? [...ownFilesOf(computer, look, domains), ...logs] : []);
  if (leftovers) for (const file of leftoversOf(computer, look, domains)) files.add(file);
  if (domains.length === 0 && files.size === 0) return;
  const uuids = domains.map(({ uuid }) => uuid);
  const names = [...domains.map(({ name }) => `domain ${name}`), ...files];
  await computer.view.change(
    async () => {
      const doing = `removing ${names.join(', ')} from host ${computer.host.name}`;
      const result = await computer.runScript(REMOVE, [uuids.join(' '), ...files], doing);
      if (result.exitCode === 0) return;
      throw virshError('LIBVIRT_FAILED', doing, result);
    },
    (before) => ({
      ...before,
      domains: before.domains.filter(({ uuid }) => !uuids.includes(uuid)),
      domainNames: new Map([...before.domainNames].filter(([, uuid]) => !uuids.includes(uuid))),
      files: before.files.filter((file) => !files.has(file)),
    }),
  );
  const kept = domains.flatMap(({ disks }) => disks).filter((file) => !files.has(file));
  computer.log.info(`removed ${names.join(', ')}`, kept.length > 0 ? { disksKept: kept } : {});
}

/** The computer's disks that those domains use, what stands beside them, and all its XML files. */
function ownFilesOf(computer: HostedComputer, look: HostLook, domains: readonly SeenDomain[]): string[] {
  const { shortName } = computer.names;
  const disks = domains.flatMap((domain) => domain.disks).filter((file) => isOwnDisk(computer, look, file, domains));
  const bases = new Set(disks.flatMap((file) => [file.slice(0, file.lastIndexOf('.')), loadPathOf(shortName, file)]));
  const beside = look.files.filter((file) => {
    const found = /^(.*)\.(console\.log|seed\.iso|[a-z0-9]+\.lock)$/.exec(file);
    return found !== null && bases.has(found[1]!);
  });
  return [...disks, ...beside, ...look.files.filter((file) => isXmlFileOf(shortName, file))];
}

/** What all files of that load begin with, whatever generation the disk is. */
function loadPathOf(shortName: string, file: string): string {
  return path.posix.join(path.posix.dirname(file), loadBaseOf(shortName, file) ?? path.posix.basename(file));
}

/** A file of ours by name and place, which no domain that stays uses. */
function isOwnDisk(computer: HostedComputer, look: HostLook, file: string, leaving: readonly SeenDomain[]): boolean {
  const folder = path.posix.dirname(path.posix.normalize(file));
  if (folder !== path.posix.join(computer.profile.vmPath, '.').replace(/\/$/, '')) return false;
  if (!isDiskOf(computer.names.shortName, file)) return false;
  return userOf(look, file, leaving) === undefined;
}

function userOf(look: HostLook, file: string, leaving: readonly SeenDomain[]): SeenDomain | undefined {
  const staying = look.domains.filter(({ uuid }) => !leaving.some((domain) => domain.uuid === uuid));
  return staying.find(({ disks }) => disks.includes(file));
}

/** Disk, unfinished parts, lock, XML file and console log of this reservation's load. */
function leftoversOf(computer: HostedComputer, look: HostLook, leaving: readonly SeenDomain[]): string[] {
  const { names, host } = computer;
  const user = userOf(look, names.overlay, leaving);
  if (user) {
    throw new ProvisiondError('CONFLICT', `${names.overlay} on host ${host.name} is a disk of domain ${user.name}`);
  }
  return look.files.filter(
    (file) =>
      file === names.overlay ||
      file === names.consoleLog ||
      file === names.seed ||
      (file.startsWith(`${names.seed}.`) && file.endsWith('.part')) ||
      computer.volumes.some(
        ({ path: own, type }) => type === 'temporary' && (file === own || file.startsWith(`${own}.`)),
      ) ||
      (file.startsWith(`${names.overlay}.`) && /\.(part|lock)$/.test(file)) ||
      (file.startsWith(`${names.xml}.`) && file.endsWith('.part')) ||
      isXmlFileOf(names.shortName, file),
  );
}

/**
 * The domain of that name, if it is the computer's.
 * @throws DOMAIN_NOT_OURS
 */
export function ownDomainNamed(computer: HostedComputer, look: HostLook, name: string): SeenDomain | null {
  const domain = look.domains.find((candidate) => candidate.name === name);
  if (domain?.own) return domain;
  if (!domain && !look.domainNames.has(name)) return null;
  throw new ProvisiondError(
    'DOMAIN_NOT_OURS',
    `domain ${name} on host ${computer.host.name} does not belong to computer ${computer.names.shortName}`,
  );
}

/**
 * Nothing of others may stand where a load puts its domain and its disk, nor answer to the computer's MACs.
 * @throws DOMAIN_NOT_OURS, ADDRESS_TAKEN
 */
export function refuseStrangers(computer: HostedComputer, look: HostLook): void {
  const { domain, overlay } = computer.names;
  ownDomainNamed(computer, look, domain);
  const { privateMac, publicMac, host } = computer;
  for (const { own, name, macs } of look.domains) {
    const taken = own ? undefined : macs.find((mac) => mac === privateMac || mac === publicMac);
    if (taken === undefined) continue;
    const message = `domain ${name} on host ${host.name} has MAC ${taken} of computer ${computer.names.shortName}`;
    throw new ProvisiondError('ADDRESS_TAKEN', message);
  }
  const stranger = look.domains.find((seen) => !seen.own && seen.disks.includes(overlay));
  if (!stranger) return;
  throw new ProvisiondError(
    'DOMAIN_NOT_OURS',
    `domain ${stranger.name} on host ${computer.host.name} uses ${overlay}, the disk of computer ${computer.names.shortName}`,
  );
}
