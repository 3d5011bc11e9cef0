/** All image files of a host and what they stand on, read without qemu-img: for the tree, for checks and for clearing away. */
import path from 'node:path';
import { ProvisiondError } from '../errors';
import { type Host, script } from '../host/host';
import { IMAGE_FILES, type ImageFile, parseImageFiles } from './image-sight';

export interface SurveyedImage extends ImageFile {
  /** What it takes of the disk; less than its size where it has holes. */
  readonly allocatedKiB: number;
  /** Absolute path of the file that it is an overlay of; null: of none. */
  readonly backing: string | null;
}

export interface ImagePlaces {
  readonly datastorePath: string;
  readonly vmPath: string;
}

/**
 * Shell functions: `image_entries` reads paths from its input and prints `@@image <KiB> <backing name in hex or -> <image_line>` each.
 * A qcow2 header tells where the name of its backing file stands (docs/interop/qcow2.txt of QEMU).
 */
const IMAGE_ENTRIES = `${IMAGE_FILES}
backing_of() {
  case $2 in 514649fb*) ;; *) echo -; return ;; esac
  at=$((0x$(printf %s "$2" | cut -c17-32))) length=$((0x$(printf %s "$2" | cut -c33-40)))
  [ "$at" -gt 0 ] && [ "$length" -gt 0 ] && [ "$length" -lt 1024 ] || { echo -; return; }
  od -An -v -tx1 -j "$at" -N "$length" "$1" | tr -d ' \\n'
  echo
}
image_entries() {
  while IFS= read -r file; do
    [ -f "$file" ] || continue
    header=$(image_header "$file")
    printf '@@image %s %s %s %s %s\\n' "$(du -k "$file" | cut -f1)" "$(backing_of "$file" "$header")" \\
      "$(stat -c '%s %Y %a' "$file")" "\${header:--}" "$file"
  done
}`;

/** Files in the folders given that could be images, or unfinished ones: all but what never is one. */
const FIND = `
find_images() {
  for folder; do
    find "$folder/" -type f ! -name '*.xml' ! -name '*.lock' ! -name '*.load' ! -name '*.log' ! -name '*.sha256' \\
      ! -name '*.txt' ! -name '*.vmx' ! -name '*.iso' 2>/dev/null
  done | sed 's|//*|/|g' | sort -u
}`;

/** Disks of all domains, running and defined, wherever they are; the chains of running ones too. */
const DOMAIN_DISKS = `
domain_disks() {
  uuids=$(virsh -q list --all --uuid) || return 1
  for uuid in $uuids; do
    virsh -q "dumpxml --inactive $uuid; dumpxml $uuid" 2>/dev/null
  done | sed -n "s/^ *<source \\(file\\|dev\\)='\\([^']*\\)'.*/\\2/p" | sed "s/&apos;/'/g; s/&lt;/</g; s/&gt;/>/g; s/&amp;/\\&/g" | grep -v '\\.seed\\.iso$' | sort -u
}`;

/** `$1` datastore `$2` folder of the disks. \`@@end\` comes last, and only when libvirt has answered. */
const SURVEY = `
set -u
${IMAGE_ENTRIES}${FIND}${DOMAIN_DISKS}
disks=$(domain_disks) || { echo 'libvirt does not answer' >&2; exit 1; }
{ find_images "$1" "$2"; printf '%s\\n' "$disks"; } | sort -u | image_entries
echo @@end
`;

/** @throws COMMAND_FAILED when the host or its libvirt does not answer: an outage is not an empty answer */
export async function surveyImages(host: Host, places: ImagePlaces, timeoutMs: number): Promise<SurveyedImage[]> {
  const { stdout } = await host.run(script(SURVEY, places.datastorePath, places.vmPath), { timeoutMs });
  if (!stdout.endsWith('@@end\n')) {
    throw new ProvisiondError('COMMAND_FAILED', `the look at the images of host ${host.name} came back incomplete`);
  }
  return stdout.split('\n').flatMap(readEntry);
}

function readEntry(line: string): SurveyedImage[] {
  const found = /^@@image (\d+) ([0-9a-f]+|-) (\d+ \d+ [0-7]+) ([0-9a-f]+|-) (\/.*)$/.exec(line);
  if (!found) return [];
  const [, kib, backing, stat, header, file] = found;
  const [image] = parseImageFiles([`${stat} ${header === '-' ? '' : header} ${file}`]);
  const name = backing === '-' ? null : Buffer.from(backing!, 'hex').toString();
  return [{ ...image!, allocatedKiB: Number(kib), backing: name === null ? null : resolveBacking(image!.path, name) }];
}

/** QEMU takes a relative name from the folder of the overlay; `json:` and URLs stay as they are. */
function resolveBacking(file: string, name: string): string {
  if (/^[a-z0-9+]+:/i.test(name)) return name;
  return path.posix.resolve(path.posix.dirname(file), name);
}

/** How {@link removeBase} ended when it did not remove. */
const SPARED = { changed: 3, inUse: 4, busy: 5 } as const;

/**
 * `$1` base `$2` its size and time as surveyed `$3` lock `$4` datastore `$5` folder of the disks. Under the lock that every copy
 * holds and every new overlay shares it looks again who stands on the base, so that nobody can come between.
 */
const REMOVE = `
set -u
${IMAGE_ENTRIES}${FIND}${DOMAIN_DISKS}
base=$1 stamp=$2 lock=$3
exec 9>>"$lock" || exit ${SPARED.busy}
flock -n 9 || exit ${SPARED.busy}
[ "$(stat -c '%s %Y' "$base" 2>/dev/null)" = "$stamp" ] || exit ${SPARED.changed}
disks=$(domain_disks) || { echo 'libvirt does not answer' >&2; exit 1; }
printf '%s\\n' "$disks" | grep -Fxq -e "$base" && exit ${SPARED.inUse}
name=$(printf %s "\${base##*/}" | od -An -v -tx1 | tr -d ' \\n')
{ find_images "$4" "$5"; printf '%s\\n' "$disks"; } | image_entries |
  awk -v name="$name" '$3 ~ (name "$") { found = 1 } END { exit !found }' && exit ${SPARED.inUse}
rm -f -- "$base"
case $base in *.part) ;; *) rm -f -- "\${base%.*}.xml" ;; esac
exit 0
`;

export type Removal = 'removed' | keyof typeof SPARED;

/** Removes a file of the datastore that the survey saw, unless something stands on it by now. @throws COMMAND_FAILED */
export async function removeBase(
  host: Host,
  places: ImagePlaces,
  image: Pick<SurveyedImage, 'path' | 'sizeBytes' | 'modified'>,
  lock: string,
): Promise<Removal> {
  const stamp = `${image.sizeBytes} ${image.modified}`;
  const argv = script(REMOVE, image.path, stamp, lock, places.datastorePath, places.vmPath);
  const { exitCode } = await host.run(argv, { expect: [0, ...Object.values(SPARED)] });
  return (Object.keys(SPARED) as (keyof typeof SPARED)[]).find((key) => SPARED[key] === exitCode) ?? 'removed';
}
