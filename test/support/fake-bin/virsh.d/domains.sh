# Domains: a folder each, domains/NAME, with uuid, config.xml (while persistent), live.xml (while active), facts (what
# facts.awk found), boots (a line a boot) and state: `<state> <reason> <id or -> <reason in words>`.

state_word() {
  case $1 in
  1) state_word=running ;; 3) state_word=paused ;; 5) state_word='shut off' ;;
  6) state_word=crashed ;; 7) state_word=pmsuspended ;; *) state_word='no state' ;;
  esac
}

# Sets $dir, $name, $uuid, $state, $reason, $id, $reason_word
load_domain() {
  dir=$1 name=${1##*/}
  read -r uuid 2>/dev/null <"$dir/uuid" && read -r state reason id reason_word 2>/dev/null <"$dir/state"
}

# By id, UUID or name, as virsh looks
find_domain() {
  case $1 in
  */* | '' | .*) ;;
  *) [ ! -d "$FAKE_WORLD/domains/$1" ] || { load_domain "$FAKE_WORLD/domains/$1" && return 0; } ;;
  esac
  for each in "$FAKE_WORLD"/domains/*/; do
    load_domain "${each%/}" || continue
    [ "$uuid" != "$1" ] && [ "$id" != "$1" ] || return 0
  done
  complain "failed to get domain '$1'"
  return 1
}

# file of the XML that counts now; `config` asks for the one of the next start
current_xml() {
  if [ "$id" != - ] && [ "${1:-}" != config ]; then xml=$dir/live.xml; else xml=$dir/config.xml; fi
  [ -f "$xml" ] || xml=$dir/live.xml
}

# Calls $1 for each domain: the active ones by their ids, then the others by their names
each_domain() {
  active= inactive=
  for each in "$FAKE_WORLD"/domains/*/; do
    load_domain "${each%/}" || continue
    if [ "$id" = - ]; then inactive=$inactive$dir$newline; else active="$active$id $dir$newline"; fi
  done
  case $active in *"$newline"?*) active=$(printf %s "$active" | sort -n)$newline ;; esac
  many=$active$inactive
  while [ -n "$many" ]; do
    one=${many%%"$newline"*} many=${many#*"$newline"}
    ! load_domain "/${one#*/}" || "$1"
  done
}

verb_list() {
  rows="Id|Name|State${flag_title:+|Title}$newline"
  each_domain list_domain
  [ -n "$flag_name$flag_uuid$flag_id" ] || table "$rows"
}

list_domain() {
  any_state="$flag_state_running$flag_state_paused$flag_state_shutoff$flag_state_other"
  if [ "$id" = - ]; then [ -n "$flag_all$flag_inactive$flag_state_shutoff" ] || return 0
  else [ -n "$flag_all$any_state" ] || [ -z "$flag_inactive" ] || return 0; fi
  case $any_state:$state in
  :*) ;;
  *:1) [ -n "$flag_state_running" ] || return 0 ;;
  *:3) [ -n "$flag_state_paused" ] || return 0 ;;
  *:5) [ -n "$flag_state_shutoff" ] || return 0 ;;
  *) [ -n "$flag_state_other" ] || return 0 ;;
  esac
  [ -z "$flag_persistent" ] || [ -f "$dir/config.xml" ] || return 0
  [ -z "$flag_transient" ] || [ ! -f "$dir/config.xml" ] || return 0
  [ -z "$flag_autostart" ] || [ -f "$dir/autostart" ] || return 0
  [ -z "$flag_no_autostart" ] || [ ! -f "$dir/autostart" ] || return 0
  [ -z "$flag_with_managed_save" ] || [ -f "$dir/managed-save" ] || return 0
  [ -z "$flag_without_managed_save" ] || [ ! -f "$dir/managed-save" ] || return 0
  state_word "$state"
  [ -z "$flag_managed_save" ] || [ "$state" != 5 ] || [ ! -f "$dir/managed-save" ] || state_word=saved
  case ${flag_uuid:+u}${flag_name:+n}${flag_id:+i} in
  u) printf '%s\n' "$uuid" ;;
  n) printf '%s\n' "$name" ;;
  i) printf '%s\n' "$id" ;;
  un) printf '%s %s\n' "$uuid" "$name" ;;
  ni) printf '%s %s\n' "$id" "$name" ;;
  ui) printf '%s %s\n' "$uuid" "$id" ;;
  uni) printf '%s %s %s\n' "$uuid" "$id" "$name" ;;
  *) rows="$rows$id|$name|$state_word${flag_title:+|}$newline" ;;
  esac
}

# Sets $fact to the first one of the kind $1 in the file $2; fails when there is none
fact() {
  while IFS='|' read -r kind fact; do [ "$kind" != "$1" ] || return 0; done <"$2"
  fact=
  return 1
}

verb_define() {
  lock
  [ -e "$opt_file" ] ||
    { complain "Failed to open file '$opt_file': No such file or directory"; return 1; }
  draft=$FAKE_WORLD/draft.$$
  sed '1{s/^<?xml[^>]*?>//;/^$/d;}' "$opt_file" >"$draft.xml"
  awk -f "$here/facts.awk" "$draft.xml" >"$draft"
  define_draft || { set -- $?; rm -f "$draft" "$draft.xml"; return "$1"; }
  say "Domain '$new_name' defined from $opt_file"
}

define_draft() {
  refused="Failed to define domain from $opt_file"
  if fact broken "$draft"; then
    complain "$refused" '(domain_definition):1: the document is not well-formed'
    return 1
  fi
  fact name "$draft" || true
  new_name=$fact
  fact uuid "$draft" || true
  new_uuid=$fact
  case $new_name in
  '') complain "$refused" 'XML error: missing domain name'; return 1 ;;
  */* | .*) complain "$refused" "XML error: name $new_name cannot contain '/'"; return 1 ;;
  esac
  for each in "$FAKE_WORLD"/domains/*/; do
    load_domain "${each%/}" || continue
    if [ "$name" = "$new_name" ] && [ "$uuid" != "$new_uuid" ]; then
      complain "$refused" "operation failed: domain '$name' already exists with uuid $uuid"
      return 1
    elif [ "$name" != "$new_name" ] && [ "$uuid" = "$new_uuid" ]; then
      complain "$refused" "operation failed: domain '$name' is already defined with uuid $uuid"
      return 1
    fi
  done
  if [ -z "$new_uuid" ]; then
    read -r new_uuid </proc/sys/kernel/random/uuid
    sed "s|</name>|</name>\\n  <uuid>$new_uuid</uuid>|;t done;b;:done;n;b done" "$draft.xml" >"$draft.uuid"
    mv "$draft.uuid" "$draft.xml"
  fi
  dir=$FAKE_WORLD/domains/$new_name
  [ -d "$dir" ] || { mkdir "$dir" && printf '5 0 - unknown\n' >"$dir/state"; }
  printf '%s\n' "$new_uuid" >"$dir/uuid"
  mv "$draft" "$dir/facts" && mv "$draft.xml" "$dir/config.xml"
}

verb_undefine() {
  lock
  find_domain "$opt_domain" || return 1
  refused="Failed to undefine domain '$name'"
  if [ ! -f "$dir/config.xml" ]; then
    complain "$refused" 'Requested operation is not valid: cannot undefine transient domain'
    return 1
  fi
  if [ -f "$dir/managed-save" ] && [ -z "$flag_managed_save" ]; then
    complain 'Refusing to undefine while domain managed save image exists'
    return 1
  fi
  count_snapshots
  if [ "$id" = - ] && [ "$snapshots" -gt 0 ] && [ -z "$flag_snapshots_metadata" ]; then
    complain "$refused" "Requested operation is not valid: cannot delete inactive domain with $snapshots snapshots"
    return 1
  fi
  if [ "$id" = - ]; then rm -rf "$dir"; else rm -f "$dir/config.xml" "$dir/managed-save" "$dir/autostart"; fi
  say "Domain '$name' has been undefined"
}

verb_dumpxml() {
  find_domain "$opt_domain" || return 1
  current_xml "${flag_inactive:+config}"
  cat "$xml"
}

verb_domstate() {
  find_domain "$opt_domain" || return 1
  state_word "$state"
  printf '%s\n' "$state_word${flag_reason:+ ($reason_word)}"
}

verb_domuuid() { find_domain "$opt_domain" && printf '%s\n' "$uuid"; }
verb_domname() { find_domain "$opt_domain" && printf '%s\n' "$name"; }
verb_domid() { find_domain "$opt_domain" && printf '%s\n' "$id"; }

verb_dominfo() {
  find_domain "$opt_domain" || return 1
  state_word "$state"
  fact memory "$dir/facts" || true
  memory=$fact
  fact vcpu "$dir/facts" || fact=1
  cpus=$fact
  fact os "$dir/facts" || true
  printf '%-15s %s\n' Id: "$id" Name: "$name" UUID: "$uuid" 'OS Type:' "$fact" State: "$state_word" \
    'CPU(s):' "$cpus"
  [ "$id" = - ] || printf '%-15s %s\n' 'CPU time:' 0.3s
  printf '%-15s %s\n' 'Max memory:' "$memory KiB" 'Used memory:' "$memory KiB" \
    Persistent: "$(yes_if -f "$dir/config.xml")" Autostart: "$([ -f "$dir/autostart" ] && echo enable || echo disable)" \
    'Managed save:' "$(yes_if -f "$dir/managed-save")" 'Security model:' none 'Security DOI:' 0
}

yes_if() { if [ "$@" ]; then echo yes; else echo no; fi; }

verb_domblklist() {
  find_domain "$opt_domain" || return 1
  if [ -n "$flag_details" ]; then
    table "Type|Device|Target|Source$newline$(sed -n 's/^disk|//p' "$dir/facts" | sed 's/|$/|-/')$newline"
  else
    table "Target|Source$newline$(sed -n 's/^disk|[^|]*|[^|]*|//p' "$dir/facts" | sed 's/|$/|-/')$newline"
  fi
}

verb_domiflist() {
  find_domain "$opt_domain" || return 1
  if [ "$id" = - ]; then card=-; else card=vnet$id; fi
  table "Interface|Type|Source|Model|MAC$newline$(sed -n "s/^nic|/$card|/p" "$dir/facts")$newline"
}

verb_domstats() {
  if [ -z "$words" ]; then
    for each in "$FAKE_WORLD"/domains/*/; do ! load_domain "${each%/}" || print_stats; done
    return 0
  fi
  while [ -n "$words" ]; do
    find_domain "${words%%"$unit"*}" || return 1
    words=${words#*"$unit"}
    print_stats
  done
}

print_stats() {
  # One blank line between the records; that after the last one comes with the end of the statement.
  [ -z "${stats_begun:-}" ] || printf '\n'
  stats_begun=1
  printf "Domain: '%s'\n  state.state=%s\n  state.reason=%s\n" "$name" "$state" "$reason"
}

verb_metadata() {
  find_domain "$opt_domain" || return 1
  current_xml "${flag_config:+config}"
  if [ -n "$has_set" ] || [ -n "$flag_remove" ]; then
    lock
    awk -v uri="$opt_uri" -v key="${opt_key:-}" -v element="$opt_set" -f "$here/metadata.awk" "$xml" >"$xml.$$" &&
      mv "$xml.$$" "$xml"
    if [ -n "$flag_remove" ]; then say 'Metadata removed'; else say 'Metadata modified'; fi
    return 0
  fi
  awk -v uri="$opt_uri" -v show=1 -f "$here/metadata.awk" "$xml" ||
    { complain 'metadata not found: Requested metadata element is not present'; return 1; }
}
