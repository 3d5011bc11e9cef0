/**
 * Ports of a NAT host that lead to a guest, by iptables: one chain a reservation in each of the tables, so that making them
 * again and taking them away are whole. The chain has vcld's name: what it left is found and removed. The guest's way back
 * must lead over the NAT host, as in VCL; its user's address stays what it is.
 */
import { isIPv4 } from 'node:net';
import { ProvisiondError } from '../errors';
import type { NatForward } from '../model/reservation';
import { type Host, script } from './host';

/** $1 chain, $2 `add` or `remove`, $3 public address, $4 the guest's; input: lines `tcp PUBLIC-PORT PORT`. */
const FORWARD = String.raw`
PATH=$PATH:/usr/sbin:/sbin
chain=$1
rule() { iptables -w 30 "$@"; }
hook() { rule -t "$1" -C "$2" -j "$chain" 2> /dev/null || rule -t "$1" -I "$2" -j "$chain"; }
unhook() {
  while rule -t "$1" -D "$2" -j "$chain" 2> /dev/null; do :; done
  rule -t "$1" -F "$chain" 2> /dev/null && rule -t "$1" -X "$chain"
  ! rule -t "$1" -S "$chain" > /dev/null 2>&1
}
if [ "$2" = remove ]; then
  command -v iptables > /dev/null || exit 0
  unhook nat PREROUTING && unhook filter FORWARD
  exit
fi
set -e
for table in nat filter; do rule -t $table -N "$chain" 2> /dev/null || rule -t $table -F "$chain"; done
while read -r protocol from to; do
  rule -t nat -A "$chain" -d "$3" -p "$protocol" --dport "$from" -j DNAT --to-destination "$4:$to"
  rule -t filter -A "$chain" -d "$4" -p "$protocol" --dport "$to" -j ACCEPT
done
rule -t filter -A "$chain" -s "$4" -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
hook nat PREROUTING
hook filter FORWARD
echo 1 > /proc/sys/net/ipv4/ip_forward
`;

const chainOf = (reservationId: number): string => `vcld-${reservationId}`;

/** Exactly these ports lead to the guest; safe to repeat. @throws REQUEST_INVALID, COMMAND_FAILED */
export async function forwardPorts(
  nat: Host,
  reservationId: number,
  way: { readonly publicIp: string; readonly guestIp: string; readonly forwards: readonly NatForward[] },
  signal: AbortSignal,
): Promise<void> {
  for (const address of [way.publicIp, way.guestIp]) {
    if (!isIPv4(address))
      throw new ProvisiondError(
        'REQUEST_INVALID',
        `'${address}' is no address that ports of ${nat.name} could lead to`,
      );
  }
  const lines = way.forwards.map(
    ({ protocol, publicPort, port }) => `${protocol.toLowerCase()} ${publicPort} ${port}\n`,
  );
  const argv = script(FORWARD, chainOf(reservationId), 'add', way.publicIp, way.guestIp);
  await nat.run(argv, { stdin: lines.join(''), signal });
}

/** None leads there any more; nothing there is success. @throws COMMAND_FAILED */
export async function closePorts(nat: Host, reservationId: number, signal: AbortSignal): Promise<void> {
  await nat.run(script(FORWARD, chainOf(reservationId), 'remove'), { signal });
}
