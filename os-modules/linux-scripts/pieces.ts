/**
 * Pieces of shell that several stages use. POSIX sh for dash, bash and busybox ash; features are tested for, never
 * names of distributions.
 *
 * Rules for all text in this folder: it is constant, data comes as `$1 …` or on standard input; safe to run again from
 * its beginning wherever it was cut off; few processes, for each costs up to 40 ms on an emulated machine; short, for what
 * does not fit into a command (9000 bytes for dropbear) has to be read byte by byte.
 */

/** Shell as it stands, but without indentation and comments; its own `\${…}` is written with a backslash. */
export function sh(text: TemplateStringsArray, ...pieces: readonly string[]): string {
  const lines = String.raw(text, ...pieces)
    .replaceAll('\\${', '${')
    .split('\n');
  return (
    lines
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'))
      .join('\n') + '\n'
  );
}

/** `fail`, `have`, and where the marks of the image are kept. */
export const BASICS = String.raw`
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin
export PATH
umask 022
[ -n "$HOME" ] && [ "$HOME" != / ] || HOME=/root
tags=$HOME/currentimage.txt
fail() { echo "@@error $*"; exit 1; }
have() { command -v "$1" > /dev/null 2>&1; }
`;

/** `set_tag NAME VALUE`: replaces that line of currentimage.txt; an empty value removes it. */
export const TAGS = String.raw`
set_tag() {
  { grep -v "^$1=" "$tags" 2> /dev/null; [ -z "$2" ] || echo "$1=$2"; } > "$tags.part" && mv "$tags.part" "$tags"
}
`;

/** `service_do VERB NAME` by systemd or an init script; `service_is_there NAME`. */
export const SERVICES = String.raw`
with_systemd() { [ -d /run/systemd/system ] && have systemctl; }
service_is_there() {
  [ -x "/etc/init.d/$1" ] || { with_systemd && systemctl cat "$1" > /dev/null 2>&1; }
}
service_do() {
  if with_systemd; then systemctl "$1" "$2"; else "/etc/init.d/$2" "$1" < /dev/null; fi
}
stop_external_sshd() {
  service_is_there ext_sshd || return 0
  service_do stop ext_sshd > /dev/null 2>&1
  with_systemd && systemctl disable ext_sshd > /dev/null 2>&1
  return 0
}
`;

/**
 * `find_public MAC PRIVATE-IP SECONDS` sets `public`: the address of the interface with that MAC, else the first one
 * that is not the private address, else the private one. Waits that long for DHCP to answer.
 */
export const PUBLIC_ADDRESS = sh`
addresses() { ip -4 -o addr show 2> /dev/null | sed -n 's/^[0-9]*: *\([^ @:]*\).* inet \([0-9.]*\).*/\1 \2/p'; }
link_of_mac() {
  [ -n "$1" ] || return
  for link in /sys/class/net/*; do
    read -r mac < "$link/address" && [ "$mac" = "$1" ] && echo "\${link##*/}" && return
  done 2> /dev/null
}
find_public() {
  link=$(link_of_mac "$1")
  tries=$(($3 * 5))
  [ -n "$link" ] || [ "$(ls /sys/class/net | grep -vcx lo)" -gt 1 ] || tries=0
  while :; do
    public=$(ip -4 -o addr show 2> /dev/null | awk -v link="$link" -v private="$2" '
      { name = $2; sub(/[@:].*/, "", name); address = $4; sub("/.*", "", address) }
      $3 == "inet" && (link == "" ? name != "lo" && address != private : name == link) { print address; exit }')
    [ -n "$public" ] || [ "$tries" -le 0 ] && break
    tries=$((tries - 1))
    sleep 0.2
  done
  [ -n "$public" ] || public=$2
}
`;

/** `own_users`: accounts that we made, their first group is vcl. `added_users`: were in the image, and joined it. */
export const USERS = String.raw`
own_users() {
  awk -F: 'NR == FNR { if ($1 == "vcl") gid = $3; next } gid != "" && $4 == gid { print $1 }' /etc/group /etc/passwd
}
added_users() { awk -F: '$1 == "vcl" { gsub(",", " ", $4); print $4 }' /etc/group; }
`;

/** `remove_user LOGIN`: ends what it runs and deletes it with its home; `release_user`: what we gave is taken back. */
export const REMOVE_USERS = String.raw`
end_processes() {
  if have pkill; then pkill -KILL -u "$1"; return 0; fi
  for process in /proc/[0-9]*; do
    [ "$(stat -c %U "$process" 2> /dev/null)" = "$1" ] && kill -9 "$(basename "$process")"
  done
}
remove_user() {
  end_processes "$1" > /dev/null 2>&1
  if have userdel; then userdel -f -r "$1" > /dev/null 2>&1; else deluser --remove-home "$1" > /dev/null; fi
  grep -q "^$1:" /etc/passwd && fail "the account $1 could not be removed"
  echo "removed the account $1"
}
release_user() {
  end_processes "$1" > /dev/null 2>&1
  if have usermod; then usermod -L "$1"; else passwd -l "$1" > /dev/null; fi
  if have gpasswd; then gpasswd -d "$1" vcl > /dev/null; else delgroup "$1" vcl; fi
  su -s /bin/sh -c 'rm -f ~/.ssh/authorized_keys' "$1" < /dev/null
  echo "locked the account $1, which was in the image"
}
`;

/** `write_sudoers LOGIN…`: exactly these may become root. */
export const SUDOERS = String.raw`
write_sudoers() {
  if [ -d /etc/sudoers.d ]; then sudoers=/etc/sudoers.d/vcl
  elif [ -f /etc/sudoers ]; then sudoers=/etc/sudoers
  else
    [ $# -eq 0 ] || echo "@@warning the guest has no sudo: $* cannot become root"
    return 0
  fi
  [ $# -gt 0 ] || grep -q ' # vcl$' "$sudoers" 2> /dev/null || return 0
  {
    [ ! -f "$sudoers" ] || grep -v ' # vcl$' "$sudoers"
    for login in "$@"; do echo "$login ALL=(ALL) NOPASSWD: ALL # vcl"; done
  } > "$sudoers.part"
  chmod 440 "$sudoers.part" && mv "$sudoers.part" "$sudoers"
}
`;

/**
 * `set_ports FROM PORT/PROTOCOL…`: where a firewall is active, exactly these ports are open, to FROM (an address or
 * `any`); no ports: what we opened is closed. `let_in ADDRESS…`: these may reach everything, until the next load. A guest
 * that filters nothing is left alone.
 */
export const FIREWALL = sh`
opened=/var/lib/vcl-open-ports
set_ports() {
  from=$1
  shift
  if have ufw && ufw status 2> /dev/null | grep -q '^Status: active'; then close_ports ufw_rule; open_ports ufw_rule "$@"
  elif have firewall-cmd && firewall-cmd --state > /dev/null 2>&1; then
    close_ports firewalld_rule
    open_ports firewalld_rule "$@"
  elif have iptables && iptables -S INPUT 2> /dev/null | grep -q -v -e '^-P INPUT ACCEPT' -e vcl-reservation; then
    iptables_chain "$@"
  fi
}
let_in() {
  for peer in "$@"; do
    if have ufw && ufw status 2> /dev/null | grep -q '^Status: active'; then ufw allow from "$peer"
    elif have firewall-cmd && firewall-cmd --state > /dev/null 2>&1; then
      firewall-cmd --add-rich-rule="rule family=ipv4 source address=$peer accept"
    elif have iptables && iptables -S INPUT 2> /dev/null | grep -q -v -e '^-P INPUT ACCEPT' -e vcl-reservation; then
      iptables -w -C INPUT -s "$peer" -j ACCEPT 2> /dev/null || iptables -w -I INPUT -s "$peer" -j ACCEPT
    fi > /dev/null 2>&1 < /dev/null
  done
}
open_ports() {
  rule=$1
  shift
  for port in "$@"; do
    "$rule" add "$from" "$port" && echo "$from $port" >> "$opened"
  done
}
close_ports() {
  [ -f "$opened" ] || return 0
  while read -r was port; do "$1" remove "$was" "$port"; done < "$opened"
  rm -f "$opened"
}
split_port() { number=\${1%%/*} protocol=\${1#*/}; }
ufw_rule() {
  split_port "$3"
  set -- "$1" allow from "$2" to any port "$number" proto "$protocol"
  if [ "$1" = add ]; then shift; ufw "$@"; else shift; ufw delete "$@"; fi > /dev/null 2>&1 < /dev/null
}
firewalld_rule() {
  split_port "$3"
  source=
  [ "$2" = any ] || source="source address=$2"
  firewall-cmd "--$1-rich-rule=rule family=ipv4 $source port port=$number protocol=$protocol accept" > /dev/null 2>&1
}
iptables_chain() {
  iptables -w -N vcl-reservation 2> /dev/null || iptables -w -F vcl-reservation
  for port in "$@"; do
    split_port "$port"
    if [ "$from" = any ]; then set --; else set -- -s "$from"; fi
    iptables -w -A vcl-reservation "$@" -p "$protocol" --dport "$number" -j ACCEPT
  done
  iptables -w -C INPUT -j vcl-reservation 2> /dev/null || iptables -w -I INPUT -j vcl-reservation
}
`;

/**
 * `established PUBLIC PORT…` prints the addresses that have a connection to these TCP ports, from the kernel's own
 * tables (no net-tools needed); `listening PUBLIC PORT`: does something wait there?
 */
export const CONNECTIONS = String.raw`
sockets() {
  cat /proc/net/tcp /proc/net/tcp6 2> /dev/null | awk -v state="$1" -v address="$2" -v ports="$3" '
    function number(hex,  i, n) {
      for (i = 1; i <= length(hex); i++) n = n * 16 + index("0123456789ABCDEF", substr(hex, i, 1)) - 1
      return n
    }
    function dotted(hex) {
      hex = substr(hex, length(hex) - 7)
      return number(substr(hex, 7, 2)) "." number(substr(hex, 5, 2)) "." number(substr(hex, 3, 2)) "." number(substr(hex, 1, 2))
    }
    $4 == state {
      split($2, here, ":"); split($3, there, ":")
      at = dotted(here[1])
      if (index(ports, " " number(here[2]) " ") && (at == address || state == "0A" && at == "0.0.0.0")) print dotted(there[1])
    }'
}
established() { address=$1; shift; sockets 01 "$address" " $* "; }
listening() { [ -n "$(sockets 0A "$1" " $2 ")" ]; }
`;

/** `run_site_scripts STAGE` runs what the image's maker put there; sets `ran` when there was something. */
export const SITE_SCRIPTS = String.raw`
ran=
run_site_scripts() {
  output=$(mktemp) || fail "no room for a temporary file"
  for script in "/usr/local/vcl/vcl_$1" "/etc/init.d/vcl_$1"; do
    [ -f "$script" ] || continue
    [ -x "$script" ] || chmod u+x "$script"
    ran=1
    "$script" > "$output" 2>&1 < /dev/null || echo "@@warning $script ended with exit code $?"
    sed 's/^@@/ @@/' "$output"
  done
  rm -f "$output"
}
`;
