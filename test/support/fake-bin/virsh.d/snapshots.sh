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
