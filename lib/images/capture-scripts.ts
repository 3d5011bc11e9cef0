/**
 * Every script of a capture that touches files: keeping a user's disk as it is, copying it flat, taking the copy back.
 *
 * What a capture makes says so itself: the last line of the domain XML beside an image names the load and the request, and
 * is there before the image gets its name. So a copy that another attempt left is told from an image of somebody else's.
 */
import { atExit } from '../host/at-exit';
import { EXIT, FREE_KIB } from './qemu-img';
import { IS_MOUNTED } from './repository';

/** How a script says that a file of the new name is there already. */
export const NAME_TAKEN = 17;

/** Of the user's disk while its machine is prepared: whoever captures it, the first one made it. */
export const BEFORE_CAPTURE = 'provisiond-before-capture';
/** Of a disk that is ready to be copied by that load. */
export const preparedBy = (loadId: string): string => `provisiond-prepared-${loadId}`;

export interface CaptureMark {
  readonly loadId: string;
  readonly requestId: number;
}

export function markLine({ loadId, requestId }: CaptureMark): string {
  return `<!-- provisiond capture load=${loadId} request=${requestId} -->`;
}

export function parseMark(line: string): CaptureMark | null {
  const found = /^<!-- provisiond capture load=([\w-]+) request=(\d+) -->$/.exec(line.trim());
  return found ? { loadId: found[1]!, requestId: Number(found[2]) } : null;
}

/** A path as qemu-img takes it among options; formats are given there, so that nothing is probed. */
const IMAGE_OPTIONS = `
options() { printf 'driver=%s,file.driver=file,file.filename=%s' "$1" "$(printf %s "$2" | sed 's/,/,,/g')"; }`;

/** `mark_of FILE`: the line of a capture in it. */
const MARK_OF = `
mark_of() { [ ! -f "$1" ] || sed -n '$ { /^<!-- provisiond capture /p; }' "$1"; }`;

/**
 * All that a capture asks of files, in one go, also while the guest runs.
 * `$1` mark of the sections `$2` disk or empty `$3` its format `$4` format of the copy `$5` datastore `$6` new name
 * `$7` repository or empty.
 */
export const LOOK_FOR_CAPTURE = `
set -u
mark=$1 disk=$2 format=$3 to=$4 datastore=$5 image=$6 repository=$7
${FREE_KIB}
${MARK_OF}
section() { printf '\\n@@%s %s\\n' "$mark" "$1"; }
${IS_MOUNTED}
# What the disk stands on, header by header: nothing is opened that is not ours. Says what is wrong, if anything is.
chain_trouble() {
  file=$1 as=$2
  for depth in 1 2 3 4 5 6 7 8; do
    info=$(qemu-img info -U --output=json -f "$as" "$file" 2>/dev/null) || { echo "unreadable $file"; return; }
    backing=$(printf '%s\\n' "$info" | sed -n 's/^ *"full-backing-filename": "\\(.*\\)",\\{0,1\\}$/\\1/p' | head -n 1)
    as=$(printf '%s\\n' "$info" | sed -n 's/^ *"backing-filename-format": "\\(.*\\)",\\{0,1\\}$/\\1/p' | head -n 1)
    [ -n "$backing" ] || return 0
    case $(readlink -f -- "$backing") in
    "$(readlink -f -- "$datastore")"/* | "$(readlink -f -- "\${disk%/*}")"/*) ;;
    *) echo "foreign $backing"; return ;;
    esac
    [ -f "$backing" ] || { echo "missing $backing"; return; }
    [ -n "$as" ] || { echo "guessed $backing"; return; }
    file=$backing
  done
  echo "endless $file"
}
if [ -n "$disk" ]; then
  section chain
  chain_trouble "$disk" "$format"
  section info
  qemu-img info -U --output=json -f "$format" "$disk"
  section measure
  case $to in qcow2 | raw) qemu-img measure -U --output=json -f "$format" -O "$to" "$disk" ;; esac
fi
section datastore
[ ! -d "$datastore" ] || free_kib "$datastore"
find "$datastore/" -type f -iname "$image.*" 2>/dev/null
section datastore-mark
mark_of "$datastore/$image.xml"
section repository
if [ -n "$repository" ] && is_mounted "$repository"; then
  free_kib "$repository"
  find "$repository/" -type f -iname "$image.*" 2>/dev/null
fi
section repository-mark
[ -z "$repository" ] || mark_of "$repository/$image/$image.xml"
section end
`;

/** Keeps the state that a disk is in under a name. `$1` disk `$2` format `$3` name. */
export const KEEP_DISK = `
set -eu
${IMAGE_OPTIONS}
fence
qemu-img snapshot --image-opts -c "$3" "$(options "$2" "$1")"
`;

/**
 * Gives a disk back the state that was kept under the first name, and forgets all names.
 * `$1` disk `$2` format, then the names. A name that is not there is no failure: it was run before.
 */
export const GIVE_DISK_BACK = `
set -eu
${IMAGE_OPTIONS}
disk=$(options "$2" "$1")
shift 2
fence
names=$(qemu-img snapshot --image-opts -l "$disk" | awk 'NR > 2 { print $2 }')
has() { printf '%s\\n' "$names" | grep -Fxq -e "$1"; }
! has "$1" || qemu-img snapshot --image-opts -a "$1" "$disk"
# The one that counts goes last: whoever comes after a crash finds it.
first=$1
shift
for name; do ! has "$name" || qemu-img snapshot --image-opts -d "$name" "$disk"; done
! has "$first" || qemu-img snapshot --image-opts -d "$first" "$disk"
`;

/**
 * Copies a disk with all that it is based on to one flat image, with the domain's XML beside it.
 * `$1` disk `$2` its format `$3` image `$4` its format `$5` part `$6` lock `$7` seconds to wait for it `$8` KiB needed
 * `$9` domain `$10` its XML file `$11` line to mark it with. Prints qemu-img's progress; `@@free KiB` when they are too few.
 *
 * Who reads the progress is alive: when nobody does, qemu-img or the script ends by SIGPIPE, and the part goes.
 */
export const COPY_DISK = `
set -eu
${FREE_KIB}
disk=$1 from=$2 final=$3 to=$4 part=$5 lock=$6 wait=$7 needed=$8 domain=$9
shift 9
xml=$1 line=$2
mkdir -p "\${final%/*}"
exec 9>>"$lock"
flock -w "$wait" 9 || exit ${EXIT.lockTimeout}
fence
[ ! -e "$final" ] || exit ${NAME_TAKEN}
rm -f "$final".*.part "$xml".*.part
unfence
free=$(free_kib "\${final%/*}")
[ "$free" -ge "$needed" ] || { echo "@@free $free"; exit ${EXIT.diskFull}; }
${atExit('rm -f "$part" "$xml.capture.part"')}
virsh -q dumpxml --inactive "$domain" >"$xml.capture.part" &
qemu-img convert -p -f "$from" -O "$to" "$disk" "$part"
wait $!
qemu-img info --output=json -f "$to" "$part" >/dev/null
sync "$part" 2>/dev/null || sync
chmod 0444 "$part"
echo # ends here when nobody listens any more
fence
printf '%s\\n' "$line" >>"$xml.capture.part"
mv "$xml.capture.part" "$xml"
mv "$part" "$final"
`;

/**
 * Puts a captured image into the repository, compressed where its format can be.
 * `$1` image `$2` its format `$3` file `$4` its format `$5` part `$6` KiB needed `$7` XML file `$8` its copy.
 */
export const COPY_TO_REPOSITORY = `
set -eu
${FREE_KIB}
image=$1 from=$2 final=$3 to=$4 part=$5 needed=$6 xml=$7 final_xml=$8
mkdir -p "\${final%/*}"
fence
rm -f "$final".*.part
unfence
free=$(free_kib "\${final%/*}")
[ "$free" -ge "$needed" ] || { echo "@@free $free"; exit ${EXIT.diskFull}; }
${atExit('rm -f "$part" "$final_xml.capture.part"')}
case $to in
qcow2) qemu-img convert -p -c -W -m 16 -o compression_type=zstd -f "$from" -O "$to" "$image" "$part" ;;
*) qemu-img convert -p -f "$from" -O "$to" "$image" "$part" ;;
esac
qemu-img info --output=json -f "$to" "$part" >/dev/null
sync "$part" 2>/dev/null || sync
fence
cp "$xml" "$final_xml.capture.part"
mv "$final_xml.capture.part" "$final_xml"
mv "$part" "$final"
`;

/**
 * Removes what captures of that request made, and nothing of anybody else's.
 * `$1` the request's words of the mark `$2` folder of the repository's copy or empty, then pairs of XML file and image.
 */
export const REMOVE_CAPTURE = `
set -u
${MARK_OF}
request=$1 folder=$2
shift 2
fence
while [ $# -gt 1 ]; do
  case "$(mark_of "$1") " in *"$request"*) rm -f "$2" && rm -f "$1" || exit 1 ;; esac
  rm -f "$2".*.part "$1".*.part
  shift 2
done
[ -z "$folder" ] || rmdir "$folder" 2>/dev/null || :
`;
