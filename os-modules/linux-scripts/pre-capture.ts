import { BASICS, FIREWALL, REMOVE_USERS, SERVICES, SITE_SCRIPTS, SUDOERS, USERS } from './pieces';

/** What users mounted, and the lines of fstab that VCL added. */
const MOUNTS = String.raw`
unmount_shares() {
  awk '$3 ~ /^(nfs|cifs|smb)/ { print $2 }' /proc/mounts | while IFS= read -r folder; do
    umount -f -l "$(printf '%b' "$folder")" || echo "@@warning $folder could not be unmounted"
  done
  [ ! -f /etc/fstab ] || ! grep -q 'Added by VCL' /etc/fstab || edit /etc/fstab '/Added by VCL/d'
}
edit() { sed "$2" "$1" > "$1.part" && cat "$1.part" > "$1"; rm -f "$1.part"; }
`;

/** What `set-fixed-address` wrote, and what names this one machine: all interfaces ask DHCP again. */
const NETWORK = String.raw`
forget_network() {
  rm -f /etc/netplan/99-vcl.yaml /etc/systemd/network/01-vcl.network /etc/udev/rules.d/*-persistent-net.rules \
    /etc/sysconfig/network-scripts/route-eth* /etc/cluster_info
  if have nmcli && nmcli -t general > /dev/null 2>&1; then nmcli connection delete vcl-public > /dev/null 2>&1; fi
  for file in /etc/sysconfig/network-scripts/ifcfg-e*; do
    [ -f "$file" ] || continue
    printf '%s\n' "DEVICE=$(basename "$file" | cut -d - -f 2-)" BOOTPROTO=dhcp ONBOOT=yes > "$file"
  done
  [ ! -f /etc/sysconfig/network ] || edit /etc/sysconfig/network '/^HOSTNAME=/d; /^GATEWAY=/d'
  if [ -f /etc/network/interfaces ] && grep -q '^iface e.* inet static' /etc/network/interfaces; then
    awk '/^iface e/ && / inet static/ { print $1, $2, $3, "dhcp"; skip = 1; next }
      /^[^ \t#]/ { skip = 0 } !skip' /etc/network/interfaces > /etc/network/interfaces.part &&
      mv /etc/network/interfaces.part /etc/network/interfaces
  fi
  awk '$1 != "127.0.1.1"' /etc/hosts > /etc/hosts.part && cat /etc/hosts.part > /etc/hosts
  rm -f /etc/hosts.part
  [ ! -s /etc/machine-id ] || : > /etc/machine-id
  [ -L /var/lib/dbus/machine-id ] || rm -f /var/lib/dbus/machine-id
}
`;

/** Keys, traces and logs. Log files stay, empty, with their owners; what was rotated goes. */
const TRACES = String.raw`
forget_keys() {
  stop_external_sshd
  rm -f /etc/ssh/external_sshd_config /etc/ssh/ext*ssh*_key* "$HOME"/.ssh/id_* "$HOME"/.ssh/known_hosts
  if [ -f /etc/ssh/sshd_config ] && grep -qxF -e "ListenAddress $1" /etc/ssh/sshd_config; then
    edit /etc/ssh/sshd_config "/^ListenAddress $1\$/d"
  fi
}
forget_traces() {
  rm -rf "$HOME/.vclcontrol" "$HOME"/.*_history
  find /var/log -type f \( -name '*.gz' -o -name '*.xz' -o -name '*.old' -o -name '*.[0-9]' -o -name '*-[0-9]*' -o -name '*.journal' \) \
    -exec rm -f {} + 2> /dev/null
  find /var/log -type f -size +0 2> /dev/null | while IFS= read -r file; do : > "$file"; done
}
`;

/**
 * Makes of a user's machine what everybody may get a copy of; the guest is shut down next.
 * $1 private address; input: root's new password, then the lines of currentimage.txt, which is written last.
 */
export const PRE_CAPTURE = String.raw`${BASICS}${SERVICES}${USERS}${REMOVE_USERS}${SUDOERS}${FIREWALL}${SITE_SCRIPTS}${MOUNTS}${NETWORK}${TRACES}
IFS= read -r password && [ -n "$password" ] || fail "no password for root came"
cat > "$tags.new" || fail "$tags cannot be written"
run_site_scripts pre_capture
unmount_shares
for login in $(own_users); do remove_user "$login"; done
for login in $(added_users); do release_user "$login"; done
write_sudoers
set_ports any
printf 'root:%s\n' "$password" | chpasswd || fail "root's password could not be set"
forget_keys "$1"
forget_network
forget_traces
mv "$tags.new" "$tags" && sync
`;
