/** Removes what an audit found orphaned twice: with the lock of the computer's fence held, and only if nobody worked it since. */
import path from 'node:path';
import { ProvisiondError } from '../errors';
import { FENCED_OFF } from '../host/fence';
import { type Host, script } from '../host/host';
import type { Finding } from './host-audit';
import type { HostSurvey, SurveyedEntry, SurveyedPlaces } from './host-survey';
import { isDiskOf } from './ownership';
import { virshError } from './virsh';
import { buildXml } from '../xml';

/**
 * `$1` note of the fence `$2` what it must say `$3` UUIDs `$4` network `$5` DHCP entry or empty, then version and path of
 * each file; the version `-` goes with its domain. A file that changed since, or that a guest has open, is left.
 */
const REMOVE_ORPHANS = `
set -u
note=$1 expected=$2 uuids=$3 network=$4 entry=$5
shift 5
exec 8<>"$note"
flock -w 45 -x 8 || { echo "error: a command holds $note" >&2; exit 75; }
held=
read -r held < "$note" || :
[ "$held" = "$expected" ] || { echo "error: somebody works the computer: $held" >&2; exit ${FENCED_OFF}; }
for uuid in $uuids; do
  virsh -q destroy "$uuid" >/dev/null 2>&1
  for flags in '--managed-save --nvram --snapshots-metadata --checkpoints-metadata' '--managed-save --nvram' ''; do
    virsh -q undefine "$uuid" $flags >/dev/null 2>&1 && break
  done
  left=$(virsh -q list --all --uuid) || exit 1
  ! printf '%s\\n' "$left" | grep -Fxq "$uuid" || { echo "error: domain $uuid is still there" >&2; exit 1; }
done
while [ $# -gt 1 ]; do
  version=$1 file=$2
  shift 2
  [ -f "$file" ] || continue
  [ "$version" = - ] || [ "$(stat -c '%i-%Y' "$file")" = "$version" ] || continue
  case $file in *.qcow2)
    if ! qemu-img info -f qcow2 "$file" >/dev/null 2>&1 && qemu-img info -U -f qcow2 "$file" >/dev/null 2>&1; then
      continue
    fi ;;
  esac
  rm -f "$file" || exit 1
done
[ -z "$entry" ] || virsh -q net-update "$network" delete ip-dhcp-host "$entry" --live --config ||
  virsh -q net-update "$network" delete ip-dhcp-host "$entry" --live
`;

/**
 * @param orphans of one computer, found in this survey and in one before it
 * @returns false when the computer was worked since the survey, and nothing was touched
 * @throws LIBVIRT_FAILED
 */
export async function removeOrphans(
  host: Host,
  places: SurveyedPlaces,
  survey: HostSurvey,
  computer: string,
  orphans: readonly Finding[],
): Promise<boolean> {
  // The name comes from metadata on the host and becomes the name of a file.
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(computer)) {
    throw new ProvisiondError('CONFLICT', `${JSON.stringify(computer)} on host ${host.name} is no name of a computer`);
  }
  const of = (kind: Finding['kind']) => orphans.filter((orphan) => orphan.kind === kind);
  const uuids = of('domain').map(({ id }) => id);
  const isOrphan = ({ mac, ip }: SurveyedEntry) => of('address').some(({ what, id }) => what === mac && id === ip);
  const leaving = survey.domains.filter(({ uuid }) => uuids.includes(uuid)).flatMap(({ macs }) => macs);
  const entries = survey.entries.filter(
    (candidate) => isOrphan(candidate) || (candidate.name === computer && leaving.includes(candidate.mac)),
  );
  const withDomain = filesOf(survey, places.vmPath, computer, uuids).map((file) => ['-', file]);
  const files = [...withDomain, ...of('file').map(({ id, what }) => [id, what])].flat();
  const [entry] = entries.map(({ mac, ip, name }) =>
    buildXml({ host: { $: { mac, ...(name === undefined ? {} : { name }), ip } } }).trim(),
  );
  const note = path.posix.join(places.vmPath, `.${computer}.load`);
  const expected = survey.notes.get(computer) ?? '';
  const argv = script(REMOVE_ORPHANS, note, expected, uuids.join(' '), places.privateNetwork, entry ?? '', ...files);
  const result = await host.run(argv, { expect: 'any' });
  if (result.exitCode === FENCED_OFF) return false;
  if (result.exitCode !== 0) {
    throw virshError('LIBVIRT_FAILED', `removing what ${computer} left on host ${host.name}`, result);
  }
  return true;
}

/** Disks of those domains and what stands beside them, unless another domain uses them. */
function filesOf(survey: HostSurvey, vmPath: string, computer: string, uuids: readonly string[]): string[] {
  const isLeaving = ({ uuid }: { uuid: string }) => uuids.includes(uuid);
  const kept = new Set(survey.domains.filter((domain) => !isLeaving(domain)).flatMap(({ disks }) => disks));
  const disks = survey.domains
    .filter(isLeaving)
    .flatMap((domain) => domain.disks)
    .filter((disk) => !kept.has(disk) && path.posix.dirname(disk) === vmPath && isDiskOf(computer, disk));
  const bases = disks.map((disk) => path.posix.basename(disk).replace(/\.[^.]*$/, ''));
  return survey.files
    .map((file) => file.path)
    .filter((file) => bases.some((base) => path.posix.basename(file).startsWith(`${base}.`)));
}
