# Networks: a folder each, networks/NAME, with uuid, bridge, config.xml (without host entries), active, autostart,
# hosts.config and hosts.live (`mac|name|ip` a line), leases (`seconds|mac|ip/prefix|hostname|client id` a line).

find_network() {
  network=$1 net=$FAKE_WORLD/networks/$1
  case $1 in '' | */* | .*) ;; *) [ ! -d "$net" ] || return 0 ;; esac
  for each in "$FAKE_WORLD"/networks/*/; do
    read -r net_uuid 2>/dev/null <"${each}uuid" || continue
    [ "$net_uuid" != "$1" ] || { net=${each%/} network=${net##*/}; return 0; }
  done
  complain "failed to get network '$1'" "Network not found: no network with matching name '$1'"
  return 1
}

verb_net_list() {
  rows="Name|State|Autostart|Persistent$newline"
  for each in "$FAKE_WORLD"/networks/*/; do
    [ -d "$each" ] || continue
    net=${each%/} network=${net##*/}
    if [ -f "$net/active" ]; then [ -z "$flag_inactive" ] || continue
    else [ -n "$flag_all$flag_inactive" ] || continue; fi
    [ -z "$flag_transient" ] || continue
    [ -z "$flag_autostart" ] || [ -f "$net/autostart" ] || continue
    if [ -n "$flag_name" ]; then printf '%s\n' "$network"
    elif [ -n "$flag_uuid" ]; then cat "$net/uuid"
    else rows="$rows$network|$([ -f "$net/active" ] && echo active || echo inactive)|$(yes_if -f "$net/autostart")|yes$newline"; fi
  done
  [ -n "$flag_name$flag_uuid" ] || table "$rows"
}

verb_net_info() {
  find_network "$opt_network" || return 1
  printf '%-15s %s\n' Name: "$network" UUID: "$(cat "$net/uuid")" Active: "$(yes_if -f "$net/active")" Persistent: yes \
    Autostart: "$(yes_if -f "$net/autostart")" Bridge: "$(cat "$net/bridge")"
}

verb_net_uuid() { find_network "$opt_network" && cat "$net/uuid"; }

verb_net_dumpxml() {
  find_network "$opt_network" || return 1
  hosts=$net/hosts.live connections=0
  if [ -n "$flag_inactive" ] || [ ! -f "$net/active" ]; then hosts=$net/hosts.config; else count_connections; fi
  while IFS= read -r line; do
    case $line in
    '<network>') [ "$connections" -eq 0 ] || line="<network connections='$connections'>" ;;
    *'</dhcp>'*) print_hosts "$hosts" ;;
    esac
    printf '%s\n' "$line"
  done <"$net/config.xml"
}

count_connections() {
  for each in "$FAKE_WORLD"/domains/*/live.xml; do
    [ -f "$each" ] || continue
    connections=$((connections + $(grep -c "^nic|network|$network|" "${each%/*}/facts")))
  done
}

print_hosts() {
  while IFS='|' read -r mac host_name ip; do
    printf "      <host%s%s%s/>\n" "${mac:+ mac='$mac'}" "${host_name:+ name='$host_name'}" "${ip:+ ip='$ip'}"
  done <"$1"
}

# The value of an attribute of $opt_xml
host_attribute() {
  value=
  case $opt_xml in
  *[[:space:]]"$1='"*) value=${opt_xml#*[[:space:]]"$1='"} value=${value%%\'*} ;;
  *[[:space:]]"$1=\""*) value=${opt_xml#*[[:space:]]"$1=\""} value=${value%%\"*} ;;
  esac
}

verb_net_update() {
  lock
  find_network "$opt_network" || return 1
  refused="Failed to update network $network"
  if [ "$opt_section" != ip-dhcp-host ]; then
    complain "fake virsh: not in this world: net-update of $opt_section"
    return 1
  fi
  host_attribute mac; mac=$value
  host_attribute name; host_name=$value
  host_attribute ip; ip=$value
  if [ -z "$flag_live$flag_config" ]; then
    if [ -f "$net/active" ]; then flag_live=1; else flag_config=1; fi
  fi
  if [ -n "$flag_live" ] && [ ! -f "$net/active" ]; then
    complain "$refused" 'Requested operation is not valid: network is not running'
    return 1
  fi
  [ -z "$flag_config" ] || update_hosts "$net/hosts.config" || return 1
  [ -z "$flag_live" ] || update_hosts "$net/hosts.live" || return 1
  case ${flag_live:-0}${flag_config:-0} in
  11) say_bare "Updated network $network persistent config and live state" ;;
  10) say_bare "Updated network $network live state" ;;
  *) say_bare "Updated network $network persistent config" ;;
  esac
}

# Applies the update to one list of entries
update_hosts() {
  found= kept=
  while IFS='|' read -r old_mac old_name old_ip; do
    old=$old_mac'|'$old_name'|'$old_ip
    if [ -z "$found" ] && matches; then
      found=1
      [ "$opt_command" != modify ] || kept="$kept$mac|$host_name|$ip$newline"
    else kept=$kept$old$newline; fi
  done <"$1"
  case $opt_command:$found in
  add:1 | add-last:1 | add-first:1)
    complain "$refused" "Requested operation is not valid: there is an existing dhcp host entry in network '$network' that matches \"<host mac='${mac:-unknown}' name='${host_name:-(null)}' ip='${ip:-unknown}'/>\""
    return 1 ;;
  add-first:) kept="$mac|$host_name|$ip$newline$kept" ;;
  add: | add-last:) kept="$kept$mac|$host_name|$ip$newline" ;;
  modify:)
    complain "$refused" "Requested operation is not valid: couldn't locate an existing dhcp host entry with \"mac='$mac'\" \"name='${host_name:-(null)}'\" \"ip='${ip:-unknown}'\" in network '$network'"
    return 1 ;;
  delete:)
    complain "$refused" "Requested operation is not valid: couldn't locate a matching dhcp host entry in network '$network'"
    return 1 ;;
  modify:1 | delete:1) ;;
  *) complain "$refused" "invalid argument: unrecognized network update command code $opt_command"; return 1 ;;
  esac
  put "$1" "$kept"
}

matches() {
  case $opt_command in
  delete)
    [ -z "$mac" ] || [ "$mac" = "$old_mac" ] || return 1
    [ -z "$host_name" ] || [ "$host_name" = "$old_name" ] || return 1
    [ -z "$ip" ] || [ "$ip" = "$old_ip" ] ;;
  modify) same "$mac" "$old_mac" || same "$ip" "$old_ip" ;;
  *) same "$mac" "$old_mac" || same "$host_name" "$old_name" || same "$ip" "$old_ip" ;;
  esac
}

same() { [ -n "$1" ] && [ "$1" = "$2" ]; }

verb_net_start() {
  lock
  find_network "$opt_network" || return 1
  [ ! -f "$net/active" ] ||
    { complain "Failed to start network $network" 'Requested operation is not valid: network is already active'; return 1; }
  cp "$net/hosts.config" "$net/hosts.live.$$" && mv "$net/hosts.live.$$" "$net/hosts.live"
  : >"$net/active"
  say "Network $network started"
}

verb_net_destroy() {
  lock
  find_network "$opt_network" || return 1
  [ -f "$net/active" ] ||
    { complain "Failed to destroy network $network" "Requested operation is not valid: network '$network' is not active"; return 1; }
  rm -f "$net/active"
  say "Network $network destroyed"
}

verb_net_autostart() {
  lock
  find_network "$opt_network" || return 1
  if [ -n "$flag_disable" ]; then rm -f "$net/autostart"; say "Network $network unmarked as autostarted"
  else : >"$net/autostart"; say "Network $network marked as autostarted"; fi
}

verb_net_dhcp_leases() {
  find_network "$opt_network" || return 1
  rows="Expiry Time|MAC address|Protocol|IP address|Hostname|Client ID or DUID$newline"
  [ ! -f "$net/leases" ] || while IFS='|' read -r seconds mac ip host_name client; do
    [ -z "$opt_mac" ] || [ "$mac" = "$opt_mac" ] || continue
    rows="$rows$(date -d "@$seconds" '+%F %T')|$mac|ipv4|$ip|${host_name:--}|${client:--}$newline"
  done <"$net/leases"
  table "$rows"
}
