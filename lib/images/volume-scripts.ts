/** Every script that makes, moves and looks at the files of volumes. Paths are absolute, formats given, never guessed. */
import { atExit } from '../host/at-exit';
import { EXIT, FREE_KIB } from './qemu-img';

/** How a script says that a file is there which it was to make, or not there which it was to move. */
export const IN_THE_WAY = 17;

/**
 * Makes the file of a volume under a name that nobody has: `$1` how (overlay, blank, copy, thin) `$2` file `$3` part `$4` KiB needed
 * `$5` format `$6` bytes, 0: as large as the base `$7` base `$8` its format `$9` lock of its image, or nothing
 * `$10` what a thin copy stands on, or nothing `$11` its format.
 * Written to the disk before it gets its name. Prints `@@free KiB` when they are too few.
 */
export const MAKE_VOLUME = `
set -eu
${FREE_KIB}
how=$1 file=$2 part=$3 needed=$4 format=$5 size=$6 base=$7 base_format=$8 lock=$9 on=\${10:-} on_format=\${11:-}
mkdir -p "\${file%/*}"
fence
[ ! -e "$file" ] || exit ${IN_THE_WAY}
rm -f "$file".*.part
unfence
free=$(free_kib "\${file%/*}")
[ "$free" -ge "$needed" ] || { echo "@@free $free"; exit ${EXIT.diskFull}; }
${atExit('rm -f "$part"')}
if [ -n "$lock" ]; then
  [ -e "$lock" ] || : 2>/dev/null >>"$lock" || :
  [ ! -r "$lock" ] || { exec 7<"$lock"; flock -s -w 30 7 || exit ${EXIT.lockTimeout}; }
fi
[ "$size" -ne 0 ] || size=
case $how in
overlay) qemu-img create -q -f "$format" -F "$base_format" -b "$base" "$part" $size ;;
blank) qemu-img create -q -f "$format" "$part" "$size" ;;
copy)
  qemu-img convert -f "$base_format" -O "$format" "$base" "$part"
  [ -z "$size" ] || qemu-img resize -q -f "$format" "$part" "$size" ;;
thin)
  if [ -n "$on" ]; then qemu-img convert -f "$base_format" -O "$format" -B "$on" -F "$on_format" "$base" "$part"
  else qemu-img convert -f "$base_format" -O "$format" "$base" "$part"; fi ;;
esac
[ "$format" = raw ] || [ "$how" = copy ] || qemu-img check -q -f "$format" "$part"
sync "$part"
fence
mv -n "$part" "$file"
[ ! -e "$part" ] || exit ${IN_THE_WAY}
sync "\${file%/*}"
`;

/** \`refuse_live FILE FORMAT\`: a disk that a guest has open refuses a plain \`info\` and answers \`info -U\`. */
const REFUSE_LIVE = `
refuse_live() {
  if [ -e "$1" ] && ! qemu-img info -f "$2" "$1" >/dev/null 2>&1 && qemu-img info -U -f "$2" "$1" >/dev/null 2>&1
  then exit ${EXIT.busy}; fi
}`;

/** Removes files of volumes; what is gone is gone. Arguments: pairs of file and format. */
export const REMOVE_VOLUMES = `
set -u
${REFUSE_LIVE}
fence
while [ $# -gt 1 ]; do
  refuse_live "$1" "$2"
  rm -f "$1" "$1".*.part || exit 1
  shift 2
done
`;

/** Moves files of volumes, each whole or not at all: triples of file, format and new name. Moved already is well. */
export const MOVE_VOLUMES = `
set -u
${REFUSE_LIVE}
fence
while [ $# -gt 2 ]; do
  if [ -e "$1" ]; then
    refuse_live "$1" "$2"
    [ ! -e "$3" ] || exit ${IN_THE_WAY}
    mkdir -p "\${3%/*}" && mv -n "$1" "$3" && [ ! -e "$1" ] && sync "\${3%/*}" "\${1%/*}" || exit 1
  else
    [ -e "$3" ] || { echo "error: there is neither $1 nor $3" >&2; exit 1; }
  fi
  rmdir "\${1%/*}" "$(dirname "\${1%/*}")" 2>/dev/null || :
  shift 3
done
`;

/**
 * Empties volumes of a domain that is off and has no saved memory; else nothing. `$1` UUID `$2` end of the names of unfinished
 * files, then groups of how, file, format, bytes, base or nothing, format of the base. `anew`: it is replaced in one go, by a
 * file that is whole. `within`: it holds snapshots, which must stay in it; only what the guest sees begins anew.
 */
export const REFRESH_VOLUMES = `
set -u
${REFUSE_LIVE}
uuid=$1 unfinished=$2 part=
shift 2
fence
case $(virsh -q domstate "$uuid") in 'shut off') ;; '') exit 1 ;; *) exit 0 ;; esac
case $(virsh -q dominfo "$uuid" | sed -n 's/^Managed save: *//p') in yes) exit 0 ;; esac
${atExit('[ -z "$part" ] || rm -f "$part"')}
anew() {
  part=$1$unfinished
  if [ -n "$4" ]; then qemu-img create -q -f "$2" -F "$5" -b "$4" "$part" "$3" || exit 1
  elif ! qemu-img create -q -f "$2" "$part" "$3"; then
    # A full disk keeps no guest from starting: what holds nothing stays, the rest is emptied where it is.
    rm -f "$part"
    if holds_data "$1" "$2"; then within "$@"; fi
    return
  fi
  mv -f "$part" "$1" || exit 1
}
holds_data() { qemu-img map -f "$2" --output=json "$1" | grep -q '"data": true'; }
within() {
  at=0
  while [ "$at" -lt "$3" ]; do
    length=$(($3 - at))
    [ "$length" -le 1073741824 ] || length=1073741824
    qemu-io -f "$2" -c "write -z -u $at $length" "$1" >/dev/null || exit 1
    at=$((at + length))
  done
  [ -z "$4" ] || qemu-img convert -n -f "$5" -O "$2" "$4" "$1" || exit 1
}
while [ $# -gt 5 ]; do
  refuse_live "$2" "$3"
  "$1" "$2" "$3" "$4" "$5" "$6"
  shift 6
done
`;

/**
 * What files a computer has and what is in some of them: `$1` mark `$2` folder of the disks `$3` short name, then pairs of file
 * and format. Also while guests run. Changes nothing.
 */
export const LOOK_AT_VOLUMES = `
set -u
${FREE_KIB}
mark=$1 folder=$2 short=$3
shift 3
section() { printf '\\n@@%s %s\\n' "$mark" "$1"; }
section free
[ ! -d "$folder" ] || free_kib "$folder"
section files
for file in "$folder/$short"[._]* "$folder/.trash/$short".*/*; do [ ! -f "$file" ] || printf '%s\\n' "$file"; done
while [ $# -gt 1 ]; do
  if [ -f "$1" ]; then
    section "info $1"
    qemu-img info -U --output=json -f "$2" "$1" 2>&1
    qemu-img info -f "$2" "$1" >/dev/null 2>&1 || section "busy $1"
  fi
  shift 2
done
section end
exit 0
`;
