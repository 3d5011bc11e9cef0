# Snapshots of a domain: a file each, snapshots/NAME, `<seconds> <state> <description>`.

count_snapshots() {
  snapshots=0
  for each in "$dir"/snapshots/*; do [ ! -f "$each" ] || snapshots=$((snapshots + 1)); done
}

verb_snapshot_list() {
  find_domain "$opt_domain" || return 1
  rows="Name|Creation Time|State${flag_parent:+|Parent}$newline"
  for each in "$dir"/snapshots/*; do
    [ -f "$each" ] || continue
    read -r seconds snapshot_state _ <"$each"
    if [ -n "$flag_name" ]; then printf '%s\n' "${each##*/}"; continue; fi
    rows="$rows${each##*/}|$(date -d "@$seconds" '+%F %T %z')|$snapshot_state${flag_parent:+|}$newline"
  done
  [ -n "$flag_name" ] || table "$rows"
}

verb_snapshot_create_as() {
  lock
  find_domain "$opt_domain" || return 1
  seconds=$(date +%s)
  snapshot=${opt_name:-$seconds}
  mkdir -p "$dir/snapshots"
  [ ! -e "$dir/snapshots/$snapshot" ] ||
    { complain "operation failed: domain moment $snapshot already exists"; return 1; }
  case $state in 1) word=running ;; 3) word=paused ;; *) word=shutoff ;; esac
  printf '%s\n' "$seconds $word $opt_description" >"$dir/snapshots/$snapshot"
  say_bare "Domain snapshot $snapshot created"
}

verb_snapshot_delete() {
  lock
  find_domain "$opt_domain" || return 1
  [ -f "$dir/snapshots/$opt_snapshotname" ] || {
    complain "Domain snapshot not found: no domain snapshot with matching name '$opt_snapshotname'"
    return 1
  }
  rm -f "$dir/snapshots/$opt_snapshotname"
  say "Domain snapshot $opt_snapshotname deleted"
}

require_snapshot() {
  find_domain "$opt_domain" || return 1
  [ -f "$dir/snapshots/$opt_snapshotname" ] && return 0
  complain "Domain snapshot not found: no domain snapshot with matching name '$opt_snapshotname'"
  return 1
}

verb_snapshot_dumpxml() {
  require_snapshot || return 1
  read -r seconds word description <"$dir/snapshots/$opt_snapshotname"
  printf '<domainsnapshot>\n  <name>%s</name>\n' "$opt_snapshotname"
  [ -z "$description" ] || printf '  <description>%s</description>\n' "$description"
  printf '  <state>%s</state>\n  <creationTime>%s</creationTime>\n</domainsnapshot>\n' "$word" "$seconds"
}

# A saved memory stays where it is, as in the real one, however little it fits.
verb_snapshot_revert() {
  lock
  require_snapshot || return 1
  read -r seconds word description <"$dir/snapshots/$opt_snapshotname"
  [ -z "$flag_paused" ] || [ "$word" = shutoff ] || word=paused
  # One that is up afterwards was started anew.
  if [ "$word" != shutoff ]; then
    next=0
    read -r next 2>/dev/null <"$FAKE_WORLD/next-id" || true
    next=$((next + 1))
    printf '%s\n' "$next" >"$FAKE_WORLD/next-id"
    put "$dir/live.xml" "$(cat "$dir/config.xml")$newline"
  fi
  case $word in
  shutoff) [ "$id" = - ] || rm -f "$dir/live.xml"; set_state 5 7 - 'from snapshot' ;;
  paused) set_state 3 7 "$next" 'from snapshot' ;;
  *) set_state 1 4 "$next" 'from snapshot' ;;
  esac
  say "Domain snapshot $opt_snapshotname reverted"
}
