/**
 * Every script that runs qemu-img. Formats are always given, never guessed from the file; paths are absolute.
 *
 * A cut connection leaves a script running. So each writes to a `.part` of its own and renames: a copy under a lock that
 * its successors wait for, a disk inside the fence of its computer, where work that comes late finds newer work begun.
 */

/** How a script says what stood in its way. */
export const EXIT = { busy: 16, diskFull: 28, lockTimeout: 75 } as const;

/** Free space of a folder in KiB. */
export const FREE_KIB = `free_kib() { df -Pk "$1" | awk 'END { print $4 }'; }`;

/**
 * Copies or converts an image from the repository into the datastore, unless it is there.
 * `$1` final `$2` part `$3` lock `$4` seconds to wait for the lock `$5` KiB needed `$6` source format `$7` format
 * `$8` domain XML beside the source `$9` its final name, then the sources.
 * Prints the free KiB when they are too few.
 */
export const COPY_FROM_REPOSITORY = `
set -eu
${FREE_KIB}
final=$1 part=$2 lock=$3 wait=$4 needed=$5 from=$6 to=$7 xml=$8 final_xml=$9
shift 9
mkdir -p "\${final%/*}"
exec 9>>"$lock"
flock -w "$wait" 9 || exit ${EXIT.lockTimeout}
[ ! -e "$final" ] || exit 0
rm -f "$final".*.part
free=$(free_kib "\${final%/*}")
[ "$free" -ge "$needed" ] || { echo "$free"; exit ${EXIT.diskFull}; }
trap 'rm -f "$part"' EXIT
if [ "$from" = "$to" ] && [ $# -eq 1 ]; then cp "$1" "$part"; else qemu-img convert -f "$from" -O "$to" "$@" "$part"; fi
qemu-img info --output=json -f "$to" "$part" >/dev/null
sync "$part" 2>/dev/null || sync
chmod 0444 "$part"
if [ -f "$xml" ] && [ ! -e "$final_xml" ]; then cp "$xml" "$final_xml.part" && mv "$final_xml.part" "$final_xml"; fi
mv "$part" "$final"
`;

/** A disk that a running guest has open refuses a plain \`info\` and answers \`info -U\`. */
const REFUSE_LIVE = `
if [ -e "$disk" ] && ! qemu-img info -f "$format" "$disk" >/dev/null 2>&1 &&
  qemu-img info -U -f "$format" "$disk" >/dev/null 2>&1; then exit ${EXIT.busy}; fi`;

/**
 * Makes a fresh disk for a load: a copy-on-write overlay, or (\`$1\` = \`copy\`) a copy of the whole base.
 * A stale disk of that name is another user's data and is replaced; one that a guest has open is left alone.
 * \`$2\` disk \`$3\` part \`$4\` KiB needed \`$5\` format \`$6\` base \`$7\` its format. Prints the free KiB when they are too few.
 */
export const MAKE_DISK = `
set -eu
${FREE_KIB}
how=$1 disk=$2 part=$3 needed=$4 format=$5 base=$6 base_format=$7
mkdir -p "\${disk%/*}"
fence
${REFUSE_LIVE}
rm -f "$disk".*.part
unfence
free=$(free_kib "\${disk%/*}")
[ "$free" -ge "$needed" ] || { echo "$free"; exit ${EXIT.diskFull}; }
trap 'rm -f "$part"' EXIT
case $how in
overlay) qemu-img create -q -f "$format" -F "$base_format" -b "$base" "$part" ;;
copy) qemu-img convert -f "$base_format" -O "$format" "$base" "$part"; sync "$part" 2>/dev/null || sync ;;
esac
fence
mv "$part" "$disk"
`;

export function isDiskFull(text: string): boolean {
  return /No space left on device|Disk quota exceeded/i.test(text);
}
