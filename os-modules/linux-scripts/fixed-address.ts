import { BASICS, PUBLIC_ADDRESS } from './pieces';

/**
 * Gives the public interface a fixed address, now and after a reboot, in whatever way the guest keeps its network.
 * $1 MAC of the public interface, $2 private address, $3 the address, $4 bits of its netmask, $5 router (may be empty),
 * then name servers. An address that somebody else answers at is refused.
 */
export const SET_FIXED_ADDRESS = String.raw`${BASICS}${PUBLIC_ADDRESS}
public_link() {
  link=$(link_of_mac "$1")
  [ -n "$link" ] || link=$(addresses | awk -v private="$2" '$1 != "lo" && $2 != private { print $1; exit }')
  [ -n "$link" ] || fail "the guest has no public interface"
}
has_address() { ip -4 -o addr show dev "$link" | grep -q " inet $1/"; }
end_dhcp() {
  for process in /proc/[0-9]*; do
    grep -q "^\(udhcpc\|dhclient\|dhcpcd\)" "$process/comm" 2> /dev/null || continue
    tr '\0' ' ' < "$process/cmdline" | grep -qw -e "$link" && kill "$(basename "$process")"
  done 2> /dev/null
}
keep_settings() {
  if [ -d /etc/netplan ] && have netplan; then
    {
      echo "network: {version: 2, ethernets: {$link: {dhcp4: false, addresses: [$ip/$bits]$(
        [ -z "$router" ] || echo ", routes: [{to: 0.0.0.0/0, via: $router}]")$(
        [ $# -eq 0 ] || echo ", nameservers: {addresses: [$(echo "$*" | tr ' ' ,)]}")}}}"
    } > /etc/netplan/99-vcl.yaml && chmod 600 /etc/netplan/99-vcl.yaml
  elif have nmcli && nmcli -t general > /dev/null 2>&1; then
    nmcli connection delete vcl-public > /dev/null 2>&1
    nmcli connection add type ethernet con-name vcl-public ifname "$link" ipv4.method manual \
      ipv4.addresses "$ip/$bits" ipv4.gateway "$router" ipv4.dns "$(echo "$*" | tr ' ' ,)" > /dev/null
  elif [ -d /etc/sysconfig/network-scripts ]; then
    {
      printf '%s\n' "DEVICE=$link" BOOTPROTO=static ONBOOT=yes "IPADDR=$ip" "PREFIX=$bits"
      [ -z "$router" ] || echo "GATEWAY=$router"
      number=0
      for server in "$@"; do echo "DNS$((number += 1))=$server"; done
    } > "/etc/sysconfig/network-scripts/ifcfg-$link"
  elif [ -d /etc/systemd/network ] && [ -d /run/systemd/netif ]; then
    {
      printf '%s\n' '[Match]' "Name=$link" '[Network]' "Address=$ip/$bits"
      [ -z "$router" ] || echo "Gateway=$router"
      for server in "$@"; do echo "DNS=$server"; done
    } > /etc/systemd/network/01-vcl.network
  elif [ -f /etc/network/interfaces ]; then
    {
      awk -v link="$link" '/^[^ \t#]/ { skip = ($1 == "iface" && $2 == link) } !skip' /etc/network/interfaces
      printf '%s\n' "iface $link inet static" "  address $ip/$bits"
      [ -z "$router" ] || echo "  gateway $router"
    } > /etc/network/interfaces.part && mv /etc/network/interfaces.part /etc/network/interfaces
  else echo "@@warning the guest does not keep its network in a way that is known: the address $ip holds until it reboots"; fi
}

public_link "$1" "$2"
ip=$3 bits=$4 router=$5
shift 5
if ! has_address "$ip"; then
  ! ping -c 1 -W 1 "$ip" > /dev/null 2>&1 || fail "another machine answers at $ip already"
  end_dhcp
  ip -4 addr flush dev "$link" && ip addr add "$ip/$bits" dev "$link" && ip link set "$link" up ||
    fail "$link could not be given the address $ip/$bits"
fi
[ -z "$router" ] || ip route replace default via "$router" || fail "$router cannot be reached from $ip/$bits"
[ $# -eq 0 ] || [ -L /etc/resolv.conf ] || for server in "$@"; do echo "nameserver $server"; done > /etc/resolv.conf
keep_settings "$@"
`;
