# What each verb takes, and the reading of it.

# positional arguments (`?` optional, `*` any number), further options with a value, switches
specify() { positional=$1 valued=$2 switches=$3; }

spec_of() {
  case $1 in
  list) specify '' '' 'all inactive persistent transient with-managed-save without-managed-save with-snapshot without-snapshot state-running state-paused state-shutoff state-other autostart no-autostart name uuid id table managed-save title' ;;
  define) specify file '' validate ;;
  undefine) specify domain storage 'managed-save remove-all-storage snapshots-metadata checkpoints-metadata nvram keep-nvram' ;;
  start) specify domain pass-fds 'console paused autodestroy bypass-cache force-boot' ;;
  destroy) specify domain '' 'graceful remove-logs' ;;
  shutdown | reboot) specify domain mode '' ;;
  reset | suspend | resume | domjobabort | domuuid | domname | domid | dominfo | managedsave-remove) specify domain '' '' ;;
  autostart) specify domain '' disable ;;
  dumpxml) specify domain xpath 'inactive security-info update-cpu migratable wrap' ;;
  domstate) specify domain '' reason ;;
  domblklist | domiflist) specify domain '' 'inactive details' ;;
  domstats) specify '*domain' '' 'state list-active list-inactive list-persistent list-transient list-running list-paused list-shutoff raw enforce nowait' ;;
  dompmwakeup) specify domain '' '' ;;
  domjobinfo) specify domain '' 'completed keep-completed anystats rawstats' ;;
  event) specify '?domain ?event' timeout 'all loop list timestamp' ;;
  dump) specify 'domain file' '' 'memory-only live crash' ;;
  managedsave) specify domain '' 'bypass-cache running paused verbose' ;;
  metadata) specify 'domain ?uri ?set' key 'live config current remove' ;;
  backup-begin) specify 'domain ?backupxml' checkpointxml reuse-external ;;
  blockjob) specify 'domain path' '' 'info abort async pivot raw bytes' ;;
  qemu-agent-command) specify 'domain cmd' timeout 'async block pretty' ;;
  domfsfreeze | domfsthaw) specify domain mountpoint '' ;;
  snapshot-list) specify domain '' 'name parent metadata' ;;
  snapshot-create-as) specify 'domain ?name ?description' '' 'halt disk-only atomic no-metadata quiesce' ;;
  snapshot-dumpxml) specify 'domain snapshotname' '' security-info ;;
  snapshot-revert) specify 'domain ?snapshotname' '' 'current running paused force' ;;
  snapshot-delete) specify 'domain ?snapshotname' '' 'current children metadata' ;;
  net-list) specify '' '' 'inactive all persistent transient autostart no-autostart name uuid table' ;;
  net-info | net-start | net-destroy | net-uuid) specify network '' '' ;;
  net-autostart) specify network '' disable ;;
  net-dumpxml) specify network '' inactive ;;
  net-update) specify 'network command section xml' parent-index 'config live current' ;;
  net-dhcp-leases) specify 'network ?mac' '' '' ;;
  iface-list) specify '' '' 'inactive all' ;;
  capabilities | uri | hostname) specify '' '' '' ;;
  domcapabilities) specify '?virttype ?emulatorbin ?arch ?machine' '' '' ;;
  version) specify '' '' daemon ;;
  echo) specify '*string' '' 'shell xml split err' ;;
  *) return 1 ;;
  esac
}

# Reads one statement into $verb, $opt_…, $flag_… and, for any number of them, $words (each ended by $unit).
parse() {
  verb=$1
  shift
  spec_of "$verb" || { complain "unknown command: '$verb'" "fake virsh: not in this world: $verb"; return 1; }
  words= left=
  for name in $positional; do
    case $name in
    \?*) name=${name#\?} ;;
    \**) name=${name#\*} ;;
    esac
    left="$left $name"
    reset_option "$name"
  done
  for name in $valued; do reset_option "$name"; done
  for name in $switches; do identifier "$name"; eval "flag_$id_of="; done
  only_data=
  while [ $# -gt 0 ]; do
    if [ -z "$only_data" ]; then
      case $1 in
      --) only_data=1; shift; continue ;;
      --?*) parse_option "$@" || return 1; shift "$used"; continue ;;
      esac
    fi
    take_data "$1" || return 1
    shift
  done
  for name in $positional; do
    case $name in [\?\*]*) continue ;; esac
    identifier "$name"
    eval "[ -n \"\$has_$id_of\" ]" ||
      { complain "command '$verb' requires <$name> option"; return 1; }
  done
}

# Sets $id_of: the name as a variable's, without a process for it
identifier() {
  id_of=$1
  while :; do
    case $id_of in *-*) id_of=${id_of%%-*}_${id_of#*-} ;; *) return ;; esac
  done
}

reset_option() { identifier "$1"; eval "opt_$id_of= has_$id_of="; }

set_option() {
  value=$2
  identifier "$1"
  eval "opt_$id_of=\$value has_$id_of=1"
  case " $positional " in *" *$1 "*) words=$words$value$unit ;; esac
}

# --name, --name value or --name=value; sets $used to how many words that was
parse_option() {
  name=${1#--} used=1
  case " $switches " in *" $name "*) identifier "$name"; eval "flag_$id_of=1"; return 0 ;; esac
  key=${name%%=*}
  case " $positional $valued " in
  *" $key "* | *" ?$key "* | *" *$key "*) ;;
  *) complain "command '$verb' doesn't support option --$name"; return 1 ;;
  esac
  if [ "$key" != "$name" ]; then
    set_option "$key" "${name#*=}"
  else
    [ $# -ge 2 ] || { complain "expected syntax: --$key <string>"; return 1; }
    used=2
    set_option "$key" "$2"
  fi
}

take_data() {
  case $positional in
  \**) set_option "${positional#\*}" "$1"; return 0 ;;
  esac
  for name in $left; do
    identifier "$name"
    eval "[ -n \"\$has_$id_of\" ]" && continue
    set_option "$name" "$1"
    return 0
  done
  complain "unexpected data '$1'"
  return 1
}
