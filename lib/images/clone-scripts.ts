/** Scripts of bases and clones that are not those of every volume. Paths are absolute, formats given, never guessed. */
import { EXIT, FREE_KIB } from './qemu-img';
import { IN_THE_WAY } from './volume-scripts';

/**
 * Whether files can be copied flat: `$1` folder of the copies, then triples of file, its format and the copy's name. All are looked at
 * before anybody touches the first. Prints `@@total KiB`, `@@taken FILE`, `@@missing FILE`, `@@free KiB` when they are too few.
 */
export const CHECK_FLAT_COPIES = `
set -u
${FREE_KIB}
folder=$1 needed=0
shift
while [ $# -gt 2 ]; do
  [ -f "$1" ] || { echo "@@missing $1"; exit 1; }
  [ ! -e "$3" ] || { echo "@@taken $3"; exit ${IN_THE_WAY}; }
  measured=$(qemu-img measure -U --output=json -f "$2" -O qcow2 "$1") || exit 1
  bytes=$(printf '%s' "$measured" | sed -n 's/.*"required": *\\([0-9]*\\).*/\\1/p')
  needed=$((needed + (bytes + 1023) / 1024))
  shift 3
done
echo "@@total $needed"
free=$(free_kib "$folder")
[ "$free" -ge "$needed" ] || { echo "@@free $free"; exit ${EXIT.diskFull}; }
`;

/** Whether guests would see the same in both: fours of file, format, file, format. Nobody may have one open. */
export const COMPARE_VOLUMES = `
set -u
while [ $# -gt 3 ]; do
  qemu-img compare -q -f "$2" -F "$4" "$1" "$3" || { echo "error: $1 and $3 differ, or could not be read" >&2; exit 1; }
  shift 4
done
`;
