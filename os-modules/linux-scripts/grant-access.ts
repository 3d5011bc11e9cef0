import { BASICS, CONNECTIONS, FIREWALL, PUBLIC_ADDRESS, SERVICES, USERS, sh } from './pieces';

/**
 * The external sshd, where the guest has OpenSSH and two addresses: users log in on the public address, with password or
 * key, never as root. The guest's own sshd is for provisiond; it must leave the public address free.
 */
const EXTERNAL_SSHD = sh`
config=/etc/ssh/external_sshd_config
has_openssh() { [ "$public" != "$private" ] && sshd=$(command -v sshd) && [ -f /etc/ssh/sshd_config ]; }
write_config() {
  {
    echo "# Written anew for every reservation."
    for number in $1; do echo "Port $number"; done
    echo "ListenAddress $public"
    echo "PidFile /run/ext_sshd.pid"
    echo "PermitRootLogin no"
    echo "PasswordAuthentication yes"
    echo "UsePAM yes"
    echo "X11Forwarding yes"
    echo "Subsystem sftp internal-sftp"
    echo "AllowUsers $(echo $(own_users) $(added_users))"
  } > "$config.part" && chmod 600 "$config.part" && mv "$config.part" "$config"
}
# An address that is not there yet at boot must not keep an sshd from starting: hence ip_nonlocal_bind.
free_public_address() {
  for number in $1; do sockets 0A 0.0.0.0 " $number "; done | grep -q . || return 0
  echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind
  [ ! -d /etc/sysctl.d ] || echo net.ipv4.ip_nonlocal_bind=1 > /etc/sysctl.d/60-vcl.conf
  { echo "ListenAddress $private"; grep -v -i '^[[:space:]]*ListenAddress' /etc/ssh/sshd_config; } > /etc/ssh/sshd_config.part
  cat /etc/ssh/sshd_config.part > /etc/ssh/sshd_config && rm -f /etc/ssh/sshd_config.part
  for name in ssh.socket ssh sshd; do
    with_systemd && systemctl daemon-reload && systemctl is-active "$name" > /dev/null && systemctl restart "$name" && return
  done
  for pidfile in /run/sshd.pid /var/run/sshd.pid; do [ ! -s "$pidfile" ] || { kill -HUP "$(cat "$pidfile")"; return; }; done
}
make_service() {
  if with_systemd; then
    printf '%s\n' '[Unit]' 'Description=sshd for users' 'After=network-online.target' '[Service]' \
      'ExecStartPre=/bin/mkdir -p /run/sshd' "ExecStart=$sshd -D -f $config" KillMode=process Restart=on-failure \
      '[Install]' WantedBy=multi-user.target > /etc/systemd/system/ext_sshd.service
    systemctl daemon-reload && systemctl enable ext_sshd > /dev/null 2>&1
  else
    printf '%s\n' '#!/bin/sh' '# sshd for users.' 'pid=$(cat /run/ext_sshd.pid 2> /dev/null)' 'case $1 in' \
      "start) mkdir -p /run/sshd; kill -0 \$pid 2> /dev/null || exec $sshd -f $config ;;" \
      'stop) [ -z "$pid" ] || kill $pid 2> /dev/null; rm -f /run/ext_sshd.pid ;;' \
      'restart) $0 stop; sleep 1; exec $0 start ;;' 'status) kill -0 $pid 2> /dev/null ;;' 'esac' > /etc/init.d/ext_sshd
    chmod 755 /etc/init.d/ext_sshd
  fi
}
start_external_sshd() {
  numbers=
  for port in $1; do numbers="$numbers \${port%%/*}"; done
  numbers=\${numbers# }
  verb=start
  if has_openssh; then
    write_config "$numbers" && make_service || fail "the external sshd could not be set up"
    free_public_address "$numbers"
    verb=restart
  fi
  service_is_there ext_sshd || return
  service_do $verb ext_sshd || fail "ext_sshd could not be started"
  tries=50
  until listening "$public" "\${numbers%% *}"; do
    [ $((tries -= 1)) -gt 0 ] || fail "ext_sshd does not listen on $public"
    sleep 0.1
  done
}
`;

/**
 * Starts what the connect methods need, and opens their ports.
 * $1 MAC of the public interface, $2 private address, $3 seconds to wait for a public address, $4 the user's address or
 * `any`; input: for each connect method the lines service, start-up script, and ports as `22/tcp 80/tcp`.
 */
export const GRANT_ACCESS = sh`${BASICS}${SERVICES}${PUBLIC_ADDRESS}${USERS}${CONNECTIONS}${EXTERNAL_SSHD}${FIREWALL}
start_method() {
  if [ "$1" = ext_sshd ]; then start_external_sshd "$3" && return
  elif [ -n "$1" ] && service_is_there "$1"; then service_do start "$1" && return || fail "$1 could not be started"; fi
  # Words, not program text: the row's script is run, but no shell reads it.
  set -f
  set -- $2
  [ -n "$1" ] && [ -x "$1" ] && { "$@" < /dev/null && return || fail "$1 failed"; }
}

private=$2
find_public "$1" "$2" "$3"
started= ports=
while IFS= read -r service; do
  IFS= read -r startup && IFS= read -r opens || fail "the list of connect methods was cut off"
  if start_method "$service" "$startup" "$opens"; then started=1
  else echo "@@warning the guest has neither a service $service nor a start-up script for it"; fi
  ports="$ports $opens"
done
[ -z "$ports" ] || [ -n "$started" ] || [ "$public" = "$private" ] || fail "the guest offers none of the connect methods"
set_ports "$4" $ports
`;
