/**
 * Every script that runs qemu-img. Formats are always given, never guessed from the file; paths are absolute; time, memory and
 * what it may write have limits, for its readers of formats are not made for hostile files.
 *
 * A cut connection leaves a script running. So each writes to a `.part` of its own and renames: a copy under a lock that
 * its successors wait for, a disk inside the fence of its computer, where work that comes late finds newer work begun.
 */

import { atExit } from '../host/at-exit';
import { IMAGE_FILES, NO_IMAGES } from './image-sight';

/** How a script says what stood in its way. */
export const EXIT = { busy: 16, diskFull: 28, damaged: 65, wrongSum: 66, sourceGone: 67, lockTimeout: 75 } as const;

/** Free space of a folder in KiB. */
export const FREE_KIB = `free_kib() { df -Pk "$1" | awk 'END { print $4 }'; }`;

const MOST_MEMORY_BYTES = 4 * 2 ** 30;

/** `limited VERB …` is `qemu-img VERB …` that may take `$limit_seconds` and write files of `$limit_bytes`. */
export const LIMITED = `
limited() {
  MALLOC_ARENA_MAX=2 prlimit --cpu="$limit_seconds" --as=${MOST_MEMORY_BYTES} --fsize="$limit_bytes" \\
    timeout --foreground -k 5 "$limit_seconds" qemu-img "$@"
}`;

/** `sum_of FILE`; openssl is faster by far where the processor helps. */
export const SUM_OF = `
sum_of() {
  if command -v openssl >/dev/null; then openssl dgst -sha256 -r <"$1"; else sha256sum <"$1"; fi | cut -c1-64
}`;

/** `protect FILE`: nobody writes to a base image. Where that is not ours to decide, the checksum tells. */
export const PROTECT = `
protect() {
  chown 0:0 "$1" 2>/dev/null || :
  chmod 0444 "$1"
}`;

/** \`check_tables FORMAT FILE\`: the metadata of the file refer to each other as they should; raw has none. */
const CHECK_TABLES = `
check_tables() {
  [ "$1" != raw ] || return 0
  found=0
  limited check -q -f "$1" "$2" >/dev/null || found=$?
  case $found in 0 | 3 | 63) ;; *) exit ${EXIT.damaged} ;; esac
}`;

/** How much is there of the copy that goes on, ours or somebody else's, every second until the script ends. */
export const TELL_PROGRESS = `
tell_progress() {
  exec 9>&-
  while sleep 1 >/dev/null 2>&1 && kill -0 $$; do
    for file in "$final".*.part; do
      [ ! -f "$file" ] || echo "@@progress $(du -k "$file" | cut -f1)"
    done
  done 2>/dev/null
}`;

/**
 * Copies or converts an image from the repository into the datastore, unless it is there.
 * `$1` final `$2` part `$3` lock `$4` seconds that it may take, the wait for the lock included `$5` source format
 * `$6` format `$7` domain XML beside the source `$8` its final name `$9` most bytes of the copy, then the sources.
 * Lines for us: `@@total KiB`, `@@progress KiB`, `@@free KiB` when they are too few, `@@made LINE` of a copy that was made, as
 * `image_line` has it. A `SOURCE.sha256` beside the source is heeded: the source is read for it while the copy goes on, and a
 * plain copy has that sum (`@@sum SHA256`). No other sum is taken here, for reading costs more than writing did.
 * By stdin come changes of the registry of a Windows, or nothing; `@@skipped virt-win-reg` where nobody can make them.
 */
export const COPY_FROM_REPOSITORY = `
set -eu
${FREE_KIB}${LIMITED}${SUM_OF}${PROTECT}${CHECK_TABLES}${TELL_PROGRESS}${IMAGE_FILES}
final=$1 part=$2 lock=$3 wait=$4 from=$5 to=$6 xml=$7 final_xml=$8 most=$9
shift 9
limit_seconds=$wait limit_bytes=$most copy= watcher= registry= folder=\${final%/*}
if IFS= read -r first; then registry=$(printf '%s\n' "$first"; cat); fi
is_plain() { [ "$from" = "$to" ] && [ "$count" -eq 1 ]; }
count=$#
needed=0
for source; do
  [ -f "$source" ] || exit ${EXIT.sourceGone}
  if is_plain; then
    taken=$(du -k "$source")
    bytes=$((\${taken%%[!0-9]*} * 1024))
  else
    measured=$(limited measure --output=json -f "$from" -O "$to" "$source")
    bytes=$(printf '%s' "$measured" | sed -n 's/.*"required": *\\([0-9]*\\).*/\\1/p')
  fi
  needed=$((needed + (bytes + 1023) / 1024))
done
echo "@@total $needed"
[ -d "$folder" ] || mkdir -p "$folder"
tell_progress & watcher=$!
${atExit('kill $watcher $copy 2>/dev/null || :; rm -f "$part" "$part.reg"')}
exec 9>>"$lock"
flock -w "$wait" 9 || exit ${EXIT.lockTimeout}
# Somebody made it meanwhile, in this format or in another.
for file in "\${final%.*}".*; do
  extension=\${file#"\${final%.*}."}
  case $extension in '*' | *.* | ${[...NO_IMAGES].join(' | ')}) ;; *) exit 0 ;; esac
done
for file in "$final".*.part "$final".*.part.reg; do [ ! -e "$file" ] || rm -f "$file"; done
free=$(free_kib "$folder")
[ "$free" -ge "$needed" ] || { echo "@@free $free"; exit ${EXIT.diskFull}; }
if is_plain; then cp "$1" "$part" & else limited convert -W -m 16 -f "$from" -O "$to" "$@" "$part" & fi
copy=$! sum=
if [ $# -eq 1 ] && [ -f "$1.sha256" ]; then
  sum=$(sum_of "$1")
  [ "$sum" = "$(head -c 64 "$1.sha256")" ] || exit ${EXIT.wrongSum}
fi
wait "$copy"
if [ -n "$registry" ] && ! command -v virt-win-reg >/dev/null; then echo '@@skipped virt-win-reg'; registry=; fi
if [ -n "$registry" ]; then
  sum=
  printf '%s\n' "$registry" >"$part.reg"
  timeout --foreground -k 5 "$wait" virt-win-reg --format="$to" --merge "$part" "$part.reg" </dev/null >&2
fi
protect "$part"
sync "$part" &
copy=$!
# While the disk writes: all that needs no more than to be read.
check_tables "$to" "$part"
made=$(image_line "$part")
if is_plain && [ -z "$registry" ] && [ "$(stat -c %s "$1")" -ne "\${made%% *}" ]; then echo 'the source changed meanwhile' >&2; exit 1; fi
if [ -f "$xml" ] && [ ! -e "$final_xml" ]; then cp "$xml" "$final_xml.part" && mv "$final_xml.part" "$final_xml"; fi
wait "$copy"
mv "$part" "$final"
sync "$folder"
! is_plain || [ -z "$sum" ] || echo "@@sum $sum"
echo "@@made \${made%"$part"}$final"
`;

/** A disk that a running guest has open refuses a plain \`info\` and answers \`info -U\`. */
const REFUSE_LIVE = `
if [ -e "$disk" ] && ! qemu-img info -f "$format" "$disk" >/dev/null 2>&1 &&
  qemu-img info -U -f "$format" "$disk" >/dev/null 2>&1; then exit ${EXIT.busy}; fi`;

/**
 * Makes a fresh disk for a load: a copy-on-write overlay, or (\`$1\` = \`copy\`) a copy of the whole base.
 * A stale disk of that name is another user's data and is replaced; one that a guest has open is left alone.
 * \`$2\` disk \`$3\` part \`$4\` KiB needed \`$5\` format \`$6\` base \`$7\` its format \`$8\` lock of the image, which keeps the base from
 * being cleared away at this very moment. Prints \`@@free KiB\` when they are too few.
 */
export const MAKE_DISK = `
set -eu
${FREE_KIB}
how=$1 disk=$2 part=$3 needed=$4 format=$5 base=$6 base_format=$7 lock=$8
mkdir -p "\${disk%/*}"
fence
${REFUSE_LIVE}
rm -f "$disk".*.part
unfence
free=$(free_kib "\${disk%/*}")
[ "$free" -ge "$needed" ] || { echo "@@free $free"; exit ${EXIT.diskFull}; }
${atExit('rm -f "$part"')}
[ -e "$lock" ] || : 2>/dev/null >>"$lock" || :
[ ! -r "$lock" ] || { exec 7<"$lock"; flock -s -w 30 7 || exit ${EXIT.lockTimeout}; }
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
