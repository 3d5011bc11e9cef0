import { BASICS, FIREWALL, SERVICES, SITE_SCRIPTS, SUDOERS } from './pieces';

/**
 * First set-up after a load.
 * $1 short name, $2 full name of the computer, $3 `yes`: set the host name, $4 seconds since 1970 at the management node;
 * input: root's new password, then the lines of currentimage.txt. The mark of success is written last.
 */
export const POST_LOAD = String.raw`${BASICS}${SERVICES}${SUDOERS}${FIREWALL}${SITE_SCRIPTS}
set_hostname() {
  [ "$(hostname)" = "$1" ] || hostname "$1" || fail "the host name could not be set to $1"
  echo "$1" > /etc/hostname
  [ ! -f /etc/sysconfig/network ] || sed -i "/^HOSTNAME=/d" /etc/sysconfig/network
  names="$2 $1"
  [ "$1" = "$2" ] && names=$1
  awk -v line="127.0.1.1 $names" '$1 != "127.0.1.1" { print } END { print line }' /etc/hosts > /etc/hosts.part &&
    cat /etc/hosts.part > /etc/hosts && rm -f /etc/hosts.part
}
step_clock() {
  off=$(($1 - $(date +%s)))
  [ "$off" -lt -60 ] || [ "$off" -gt 60 ] || return 0
  date -s "@$1" > /dev/null && echo "@@clock $off"
}

IFS= read -r password && [ -n "$password" ] || fail "no password for root came"
cat > "$tags.new" || fail "$tags cannot be written"
step_clock "$4"
[ "$3" != yes ] || set_hostname "$1" "$2"
printf 'root:%s\n' "$password" | chpasswd || fail "root's password could not be set"
rm -f "$HOME"/.ssh/id_rsa*
stop_external_sshd
write_sudoers
set_ports any
run_site_scripts post_load
echo "vcld_post_load=success ($(date))" >> "$tags.new"
mv "$tags.new" "$tags" && sync
`;
