/** Scripts that copy the disks of guests that are up, where libvirt has no backup jobs. */
import { atExit } from '../host/at-exit';
import { AGENT_SECONDS, NOT_QUIET, PUBLISH } from './instance-scripts';
import { PIVOT_BACK } from './pivot-back';

/**
 * Copies disks and names the copies: `$1` `snapshot` or `pause` `$2` `try`, `must` or nothing: freeze `$3` what leaves are called after
 * their disks `$4` format `$5` anything: compressed `$6` UUID `$7` targets that are not copied, with blanks between `$8` list of
 * this work, then fives of target, disk, its format, part and name. Prints `@@frozen`, `@@moment TIME`, `@@still MILLISECONDS`.
 *
 * Whatever happens, the guest thaws, runs, and goes on in the disks that it had.
 */
export const COPY_LIVE = `
set -u
${PUBLISH}${PIVOT_BACK}
how=$1 quiet=$2 suffix=$3 to=$4 compressed=$5 uuid=$6 others=$7 list=$8
shift 8
fence
frozen= paused=
: >"$list" || exit 1
release() {
  [ -z "$paused" ] || virsh -q resume "$uuid" >&2
  [ -z "$frozen" ] || timeout ${AGENT_SECONDS} virsh -q domfsthaw "$uuid" >/dev/null 2>&1
  frozen= paused=
}
back() { while IFS='	' read -r target leaf; do pivot_back "$uuid" "$target" "$leaf" || return 1; done <"$list.leaves"; }
tidy() {
  release
  [ ! -f "$list.leaves" ] || back >&2
  while IFS='	' read -r part final; do rm -f "$part"; done <"$list"
  rm -f "$list" "$list.leaves"
}
${atExit('tidy')}
milliseconds() { date +%s%3N; }
is_running() { [ "$(virsh -q domstate "$uuid")" = running ]; }
each() { # calls $1 for each five
  deed=$1 todo=$(($# - 1))
  shift
  while [ "$todo" -gt 0 ]; do
    "$deed" "$1" "$2" "$3" "$4" "$5" || return
    shift 5
    todo=$((todo - 5))
  done
}
note() { printf '%s\\t%s\\n' "$1" "$2$suffix" >>"$list.leaves"; }
convert() {
  printf '%s\\t%s\\n' "$4" "$5" >>"$list" || return
  if [ -n "$compressed" ] && [ "$to" = qcow2 ]
  then qemu-img convert -U -c -o compression_type=zstd -f "$3" -O "$to" "$2" "$4" || return
  else qemu-img convert -U -f "$3" -O "$to" "$2" "$4" || return; fi
  sync "$4"
}
snapshot() {
  set --
  for target in $others; do set -- "$@" --diskspec "$target,snapshot=no"; done
  while IFS='	' read -r target leaf; do set -- "$@" --diskspec "$target,snapshot=external,file=$leaf"; done <"$list.leaves"
  virsh -q snapshot-create-as "$uuid" --disk-only --atomic --no-metadata "$@" >&2
}
if [ -n "$quiet" ]; then
  frozen=1
  if is_running && said=$(timeout ${AGENT_SECONDS} virsh -q domfsfreeze "$uuid" 2>&1); then echo @@frozen
  elif [ "$quiet" = must ]; then printf '%s\\n' "\${said:-}" >&2; exit ${NOT_QUIET}; fi
fi
since=$(milliseconds)
if [ "$how" = snapshot ]; then
  each note "$@" || exit 1
  echo "@@moment $(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)"
  snapshot || exit 1
  release
  echo "@@still $(($(milliseconds) - since))"
  unfence
  each convert "$@" || exit 1
  fence
  back || { echo "error: domain $uuid still stands on a leaf" >&2; exit 1; }
  rm -f "$list.leaves"
else
  if is_running; then paused=1; virsh -q suspend "$uuid" >&2 || exit 1; fi
  echo "@@moment $(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)"
  each convert "$@" || exit 1
  release
  echo "@@still $(($(milliseconds) - since))"
fi
publish "$list"
`;

/** Merges a leaf into the disk under it, of a domain that is off: `$1` UUID `$2` leaf. */
export const MERGE_LEAF = `
set -u
fence
[ "$(virsh -q domstate "$1")" = 'shut off' ] || { echo 'error: the domain is not off' >&2; exit 1; }
[ ! -f "$2" ] || { qemu-img commit -q -f qcow2 -d "$2" && rm -f "$2"; }
`;
