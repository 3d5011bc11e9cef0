# What changes whether a domain runs.

# Fails with "Failed to VERB domain" unless it is active
demand_active() {
  lock
  find_domain "$opt_domain" || return 1
  [ "$id" = - ] || return 0
  complain "Failed to $1" 'Requested operation is not valid: domain is not running'
  return 1
}

set_state() { put "$dir/state" "$*$newline"; }

# What libvirt tells those who listen: $1 the kind of event $2 more of it
tell() {
  printf "%s: event '%s' for domain '%s'%s\n" "$(date -u '+%F %T.000+0000')" "$1" "$name" "${2:+: $2}" >>"$FAKE_WORLD/events"
}

verb_start() {
  lock
  find_domain "$opt_domain" || return 1
  [ "$id" = - ] || { complain 'Domain is already active'; return 1; }
  next=0
  read -r next 2>/dev/null <"$FAKE_WORLD/next-id" || true
  next=$((next + 1))
  # A start that fails uses up an id as well.
  printf '%s\n' "$next" >"$FAKE_WORLD/next-id"
  check_devices || { complain "Failed to start domain '$name'" "$why"; set_state 5 6 - failed; return 1; }
  put "$dir/live.xml" "$(sed "/<domain /{s/<domain \\([^>]*\\)>/<domain \\1 id='$next'>/;:rest;n;b rest;}" "$dir/config.xml")$newline"
  printf 'start\n' >>"$dir/boots"
  ! fact console "$dir/facts" || printf 'a guest of the fake world boots\n' >>"$fact"
  saved=
  [ ! -f "$dir/managed-save" ] || [ -n "$flag_force_boot" ] || read -r saved <"$dir/managed-save" || saved=running
  if [ "$saved" = corrupt ]; then
    complain "Failed to start domain '$name'" 'operation failed: save image is incomplete'
    rm -f "$dir/live.xml"
    set_state 5 6 - failed
    return 1
  fi
  rm -f "$dir/managed-save"
  case $saved:$flag_paused in
  :) set_state 1 1 "$next" booted ;;
  :1) set_state 3 1 "$next" user ;;
  running:) set_state 1 3 "$next" restored ;;
  *) set_state 3 2 "$next" migrating ;;
  esac
  tell lifecycle "Started ${saved:+Restored}${saved:-Booted}"
  say "Domain '$name' started"
}

# Sets $why when a file, network or bridge of the domain is missing
check_devices() {
  while IFS='|' read -r kind type device target source; do
    case $kind:$type in
    disk:file)
      [ -z "$source" ] || [ -r "$source" ] || {
        why="Cannot access storage file '$source' (as uid:64055, gid:64055): No such file or directory"
        return 1
      } ;;
    nic:network)
      network=$device
      if [ ! -d "$FAKE_WORLD/networks/$network" ]; then
        why="Network not found: no network with matching name '$network'"
        return 1
      elif [ ! -f "$FAKE_WORLD/networks/$network/active" ]; then
        why="Requested operation is not valid: network '$network' is not active"
        return 1
      fi ;;
    nic:bridge)
      [ -d "/sys/class/net/$device" ] || grep -q "^$device " "$FAKE_WORLD/links" 2>/dev/null ||
        { why="Cannot get interface MTU on '$device': No such device"; return 1; } ;;
    esac
  done <"$dir/facts"
}

# The domain is no longer active: $1 reason $2 its word
become_inactive() {
  case $2 in
  shutdown) tell lifecycle 'Stopped Shutdown' ;;
  destroyed) tell lifecycle 'Stopped Destroyed' ;;
  crashed) tell lifecycle 'Stopped Crashed' ;;
  saved) tell lifecycle 'Stopped Saved' ;;
  esac
  rm -f "$dir/live.xml"
  if [ -f "$dir/config.xml" ]; then set_state 5 "$1" - "$2"; else rm -rf "$dir"; fi
}

verb_destroy() {
  demand_active "destroy domain '$opt_domain'" || return 1
  become_inactive 2 destroyed
  say "Domain '$name' destroyed"
}

# A guest obeys unless a file says that it does not; one whose processors stand hears nothing.
is_deaf() { [ -f "$dir/deaf" ] || [ -f "$FAKE_WORLD/deaf" ] || [ "$state" != 1 ]; }

# Fails unless the domain runs: $1 the deed, in virsh's words
require_awake() {
  case $state in 1 | 6) return 0 ;; esac
  complain "Failed to $1 '$name'" 'Requested operation is not valid: domain is not running'
  return 1
}

verb_shutdown() {
  demand_active "shutdown domain '$opt_domain'" || return 1
  require_awake 'shutdown domain' || return 1
  is_deaf || become_inactive 1 shutdown
  say "Domain '$name' is being shutdown"
}

verb_reboot() {
  demand_active "reboot domain '$opt_domain'" || return 1
  is_deaf || { printf 'reboot\n' >>"$dir/boots"; tell reboot; }
  say "Domain '$name' is being rebooted"
}

verb_reset() {
  demand_active "reset domain '$opt_domain'" || return 1
  printf 'reset\n' >>"$dir/boots"
  say "Domain '$name' was reset"
}

verb_suspend() {
  demand_active "suspend domain '$opt_domain'" || return 1
  case $state in
  1) set_state 3 1 "$id" user; tell lifecycle 'Suspended Paused' ;;
  7) complain "Failed to suspend domain '$name'" 'Requested operation is not valid: domain is pmsuspended'; return 1 ;;
  esac
  say "Domain '$name' suspended"
}

verb_resume() {
  demand_active "resume domain '$opt_domain'" || return 1
  if [ "$state" = 1 ]; then
    complain "Failed to resume domain '$name'" 'Requested operation is not valid: domain is already running'
    return 1
  fi
  if [ "$state" = 7 ]; then
    complain "Failed to resume domain '$name'" 'Requested operation is not valid: domain is pmsuspended'
    return 1
  fi
  set_state 1 5 "$id" unpaused
  tell lifecycle 'Resumed Unpaused'
  say "Domain '$name' resumed"
}

verb_managedsave() {
  demand_active "save domain '$opt_domain' state" || return 1
  [ -f "$dir/config.xml" ] || {
    complain "Failed to save domain '$name' state" 'Requested operation is not valid: cannot do managed save for transient domain'
    return 1
  }
  if [ "$state" = 3 ]; then put "$dir/managed-save" "paused$newline"; else put "$dir/managed-save" "running$newline"; fi
  become_inactive 5 saved
  say "${newline}Domain '$name' state saved by libvirt"
}

verb_dump() {
  demand_active "core dump domain '$opt_domain'" || return 1
  printf 'the memory of %s\n' "$name" >"$opt_file"
  say "${newline}Domain '$name' dumped to $opt_file"
}

verb_managedsave_remove() {
  lock
  find_domain "$opt_domain" || return 1
  if [ -f "$dir/managed-save" ]; then
    rm -f "$dir/managed-save"
    say_bare "Removed managedsave image for domain '$name'"
  else
    say_bare "Domain '$name' has no manage save image; removal skipped"
  fi
}

verb_autostart() {
  lock
  find_domain "$opt_domain" || return 1
  if [ -n "$flag_disable" ]; then
    rm -f "$dir/autostart"
    say "Domain '$name' unmarked as autostarted"
  else
    : >"$dir/autostart"
    say "Domain '$name' marked as autostarted"
  fi
}

# Some messages end with the line break of the statement.
say_bare() { [ -n "$quiet" ] || printf '%s' "$1"; }

verb_dompmwakeup() {
  demand_active "wakeup domain '$opt_domain'" >/dev/null 2>&1 && [ "$state" = 7 ] || {
    find_domain "$opt_domain" || return 1
    why='Requested operation is not valid: Unable to wake up domain that is not pmsuspended'
    [ "$id" != - ] || why='Requested operation is not valid: domain is not running'
    complain "Domain '$name' could not be woken up" "$why"
    return 1
  }
  set_state 1 9 "$id" 'event wakeup'
  tell lifecycle 'Started Event wakeup'
  say "Domain '$name' successfully woken up"
}

# Jobs of this world are over before anybody could ask.
verb_domjobinfo() {
  find_domain "$opt_domain" || return 1
  [ "$id" != - ] || { complain 'Requested operation is not valid: domain is not running'; return 1; }
  if [ -n "$flag_completed" ] && [ -f "$dir/backed-up" ]; then say_job Completed; else say_job None; fi
}

say_job() {
  printf '%s\n' "Job type:         $1        "
}

verb_domjobabort() {
  lock
  find_domain "$opt_domain" || return 1
  if [ "$id" = - ]; then complain 'Requested operation is not valid: domain is not running'
  else complain 'Requested operation is not valid: no job is active on the domain'; fi
  return 1
}

# Tells what happens from now on: for ever, or (with a timeout) until the first of the kind.
verb_event() {
  : >>"$FAKE_WORLD/events"
  if [ -n "$flag_loop" ]; then
    # The world may go while somebody listens.
    exec tail -q -n 0 -f "$FAKE_WORLD/events"
  fi
  find_domain "$opt_domain" || return 1
  from=$(wc -l <"$FAKE_WORLD/events") end=$(($(date +%s) + opt_timeout))
  while [ "$(date +%s)" -lt "$end" ]; do
    if tail -n "+$((from + 1))" "$FAKE_WORLD/events" | grep -F "event '$opt_event' for domain '$name'"; then
      printf 'events received: 1\n'
      return 0
    fi
    sleep 0.1
  done
  printf 'event loop timed out\nevents received: 0\n'
  return 1
}
