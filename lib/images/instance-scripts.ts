/**
 * Every script that copies the disks of VMs for instances. Copies are written beside their names, as `.part`, and get the names
 * of one VM together once all of them are whole. What goes on in the hypervisor outlives a script and the daemon; whoever begins
 * again ends it first (`END_COPIES`).
 */
import { atExit } from '../host/at-exit';
import { PIVOT_BACK } from './pivot-back';
import { EXIT, FREE_KIB } from './qemu-img';
import { IN_THE_WAY } from './volume-scripts';

/** How a script says that a guest could not be brought to write all to its disks, or that a copy did not come to its end. */
export const NOT_QUIET = 21;
export const STILL_COPYING = 3;

/** How long the agent of a guest gets for each answer; a guest that is frozen stands still. */
export const AGENT_SECONDS = 15;

/**
 * What a domain that is up can be copied with: `$1` UUID, then its targets. Prints `@@backup`, `@@snapshot`, `@@agent`, `@@job TARGET`.
 * Changes nothing.
 */
export const LOOK_BEFORE_COPIES = `
set -u
uuid=$1
shift
type=$(virsh -q dumpxml "$uuid" | sed -n "s/^<domain type='\\([a-z]*\\)'.*/\\1/p")
! virsh -q domcapabilities --virttype "\${type:-qemu}" 2>/dev/null | grep -q "<backup supported='yes'/>" || echo @@backup
! timeout ${AGENT_SECONDS} virsh -q qemu-agent-command "$uuid" --timeout 5 '{"execute":"guest-ping"}' >/dev/null 2>&1 || echo @@agent
[ "$type" = xen ] || echo @@snapshot
for target; do [ -z "$(virsh -q blockjob "$uuid" "$target" --info 2>/dev/null)" ] || echo "@@job $target"; done
exit 0
`;

/** `publish LIST`: gives copies their names: lines of part and name with a tab between; all or, for a name that is taken, none. */
export const PUBLISH = `
publish() {
  while IFS='	' read -r part final; do [ ! -e "$final" ] || exit ${IN_THE_WAY}; done <"$1"
  while IFS='	' read -r part final; do mv -n "$part" "$final" && sync "\${final%/*}" || exit 1; done <"$1"
}
`;

/**
 * Copies disks that nobody writes to, with all that they stand on: `$1` format of the copies `$2` anything: compressed `$3` KiB
 * needed `$4` list of this work, then fours of disk, format, part and name. Prints `@@free KiB` when they are too few.
 */
export const COPY_DISKS = `
set -u
${FREE_KIB}${PUBLISH}
to=$1 compressed=$2 needed=$3 list=$4
shift 4
fence
: >"$list" || exit 1
count=$#
${atExit('while IFS="	" read -r part final; do rm -f "$part"; done <"$list"; rm -f "$list"')}
free=$(free_kib "\${list%/*}")
[ "$free" -ge "$needed" ] || { echo "@@free $free"; exit ${EXIT.diskFull}; }
unfence
while [ "$count" -gt 0 ]; do
  rm -f "$4".*.part
  printf '%s\\t%s\\n' "$3" "$4" >>"$list" || exit 1
  [ ! -e "$4" ] || exit ${IN_THE_WAY}
  if [ -n "$compressed" ] && [ "$to" = qcow2 ]
  then qemu-img convert -c -o compression_type=zstd -f "$2" -O "$to" "$1" "$3" || exit 1
  else qemu-img convert -f "$2" -O "$to" "$1" "$3" || exit 1; fi
  qemu-img compare -q -f "$2" -F "$to" "$1" "$3" || { echo "error: $3 differs from $1" >&2; exit 1; }
  sync "$3" || exit 1
  shift 4
  count=$((count - 4))
done
fence
publish "$list"
`;

/**
 * Begins the copies of domains that are up, each as it is at one moment; of several in one call: all at the same one.
 * `$1` `try` or `must`: freeze their file systems for that moment, or nothing `$2` anything: they stand still meanwhile, then pairs
 * of UUID and order (`domainbackup`). Prints `@@frozen UUID`, `@@moment TIME`, `@@still MILLISECONDS`, which is the most that it was.
 *
 * One virsh stops all, begins all and lets all go on: it goes on after a statement that failed, and no other process has to be started
 * while guests stand still. Whatever happens to it or to whoever called it, guests thaw and run again when it ends.
 */
export const BEGIN_BACKUPS = `
set -u
quiet=$1 still=$2
shift 2
frozen= paused= uuids= stops= begins= resumes=
orders=$(mktemp -d) || exit 1
release() {
  for uuid in $paused; do
    [ "$(virsh -q domstate "$uuid" --reason)" != 'paused (user)' ] || virsh -q resume "$uuid" >&2
  done
  for uuid in $frozen; do timeout ${AGENT_SECONDS} virsh -q domfsthaw "$uuid" >/dev/null 2>&1; done
  rm -rf "$orders"
  paused= frozen=
}
${atExit('release')}
fence
while [ $# -gt 1 ]; do
  uuid=$1
  printf '%s\\n' "$2" >"$orders/$uuid" || exit 1
  shift 2
  uuids="$uuids $uuid"
  begins="$begins; backup-begin $uuid --backupxml $orders/$uuid"
  [ "$(virsh -q domstate "$uuid")" = running ] || { [ "$quiet" != must ] || exit ${NOT_QUIET}; continue; }
  [ -z "$still" ] || { paused="$paused $uuid" stops="$stops; suspend $uuid" resumes="$resumes; resume $uuid"; }
  [ -n "$quiet" ] || continue
  frozen="$frozen $uuid"
  if said=$(timeout ${AGENT_SECONDS} virsh -q domfsfreeze "$uuid" 2>&1); then echo "@@frozen $uuid"
  elif [ "$quiet" = must ]; then printf '%s\\n' "$said" >&2; exit ${NOT_QUIET}; fi
done
since=$(date +%s%3N)
echo "@@moment $(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)"
line="$stops$begins$resumes"
said=$(virsh -q "\${line#; }" 2>&1 >/dev/null)
echo "@@still $(($(date +%s%3N) - since))"
case $said in
*error:*)
  for uuid in $uuids; do virsh -q domjobabort "$uuid" >/dev/null 2>&1; done
  printf '%s\\n' "$said" >&2
  exit 1 ;;
esac
exit 0
`;

/** What `domjobinfo` says of a job's type. */
const JOB_TYPE = `
job_type() { sed -n 's/^Job type: *\\([A-Za-z]*\\).*/\\1/p'; }`;

/** Waits for the jobs of domains: `$1` seconds, then UUIDs. Says `@@completed UUID` or `@@broken UUID WORDS`; changes nothing. */
export const WAIT_FOR_BACKUPS = `
set -u
${JOB_TYPE}
end=$(($(date +%s) + $1))
shift
for uuid; do
  while :; do
    case $(virsh -q domjobinfo "$uuid" 2>/dev/null | job_type) in
    None | '') break ;;
    esac
    [ "$(date +%s)" -lt "$end" ] || exit ${STILL_COPYING}
    sleep 0.3
  done
  said=$(virsh -q domjobinfo "$uuid" --completed --keep-completed --anystats 2>&1)
  case $(printf '%s\\n' "$said" | job_type) in
  Completed) echo "@@completed $uuid" ;;
  *) echo "@@broken $uuid $(printf '%s' "$said" | tr '\\n' ' ')" ;;
  esac
done
`;

/**
 * Gives the copies of a domain their names: `$1` format `$2` anything: compressed `$3` list of this work, then pairs of part and name.
 */
export const PUBLISH_COPIES = `
set -u
${PUBLISH}
to=$1 compressed=$2 list=$3
shift 3
fence
${atExit('rm -f "$list"')}
: >"$list" || exit 1
unfence
while [ $# -gt 1 ]; do
  if [ -n "$compressed" ] && [ "$to" = qcow2 ]; then
    qemu-img convert -c -o compression_type=zstd -f "$to" -O "$to" "$1" "$1.small.part" && mv "$1.small.part" "$1" || exit 1
  fi
  sync "$1" || exit 1
  printf '%s\\t%s\\n' "$1" "$2" >>"$list" || exit 1
  shift 2
done
fence
publish "$list"
`;

/**
 * Ends what a capture may have left of a domain: a job, a freeze, processors that stand still, unfinished files.
 * `$1` UUID `$2` anything: it ran before `$3` what leaves are called after their disks, then threes of target, disk and copy.
 */
export const END_COPIES = `
set -u
${JOB_TYPE}
${PIVOT_BACK}
uuid=$1 ran=$2 suffix=$3
shift 3
fence
state=$(virsh -q domstate "$uuid") || exit 1
if [ "$state" != 'shut off' ]; then
  case $(virsh -q domjobinfo "$uuid" 2>/dev/null | job_type) in
  None | '') ;;
  *) virsh -q domjobabort "$uuid" >&2
    for wait in 1 2 3 4 5 6 7 8 9 10; do
      case $(virsh -q domjobinfo "$uuid" 2>/dev/null) in *None*) break ;; esac
      sleep 0.3
    done ;;
  esac
  [ -z "$ran" ] || [ "$(virsh -q domstate "$uuid" --reason)" != 'paused (user)' ] || virsh -q resume "$uuid" >&2
  timeout ${AGENT_SECONDS} virsh -q domfsthaw "$uuid" >/dev/null 2>&1 || :
fi
while [ $# -gt 2 ]; do
  [ "$state" = 'shut off' ] || pivot_back "$uuid" "$1" "$2$suffix" || exit 1
  rm -f "$3" "$3".*.part "$3".*.part.leaves || exit 1
  shift 3
done
exit 0
`;
