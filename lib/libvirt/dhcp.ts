/**
 * The guest's fixed private address in a libvirt network that gives addresses. Other networks are the site's own
 * business, as they are with VCL.
 */
import { ProvisiondError } from '../errors';
import type { DhcpHost } from './dhcp-hosts';
import type { HostedComputer } from './hosted-computer';
import type { HostLook } from './look';
import { virshError } from './virsh';
import { buildXml } from '../xml';

/**
 * `$1` network `$2` entry to add `$3` `persistent` or not `$4` MAC `$5` address of the entry, then entries to take away
 * before. dnsmasq keeps an address from its new owner for as long as the lease of another MAC runs. A lease that no
 * running guest holds is released where there is a tool for it; else it is told (exit code 4).
 */
const RESERVE = `
set -u
fence
network=$1 entry=$2 config=--config mac=$4 ip=$5
[ "$3" = persistent ] || config=
shift 5
lease_of_others() {
  virsh -q net-dhcp-leases "$network" | awk -v ip="$ip/" -v mac="$mac" \\
    'index($5, ip) == 1 && $3 != mac { print $3, "until", $1, $2; exit }'
}
if [ -n "$entry" ]; then
  holder=$(lease_of_others)
  if [ -n "$holder" ] && command -v dhcp_release >/dev/null && ! grep -qs "\${holder%% *}" /run/libvirt/*/*.xml; then
    bridge=$(virsh -q net-info "$network" | awk '$1 == "Bridge:" { print $2 }')
    dhcp_release "$bridge" "$ip" "\${holder%% *}" && sleep 0.2
    holder=$(lease_of_others)
  fi
  [ -z "$holder" ] || { echo "$holder"; exit 4; }
fi
for stale; do
  virsh -q net-update "$network" delete ip-dhcp-host "$stale" --live $config || true
done
[ -z "$entry" ] || virsh -q net-update "$network" add ip-dhcp-host "$entry" --live $config
`;

const LEASED = 4;

/** The entry that the computer should have; null: the network gives no addresses, or the computer has none. */
function wantedEntry(computer: HostedComputer, look: HostLook): DhcpHost | null {
  const ip = computer.reservation.computer.privateIp;
  if (look.dhcpHosts === null || ip === null) return null;
  return { mac: computer.privateMac, ip, name: computer.names.shortName };
}

function isSame(a: DhcpHost, b: DhcpHost): boolean {
  return a.mac === b.mac && a.ip === b.ip;
}

export function hasAddress(computer: HostedComputer, look: HostLook): boolean {
  const wanted = wantedEntry(computer, look);
  return wanted === null || look.dhcpHosts!.some((host) => isSame(host, wanted));
}

/**
 * Reserves the computer's private address for its MAC. An entry under the computer's own name that shares its MAC or
 * address is an older one of its own and is replaced.
 * @throws ADDRESS_TAKEN (names who has it), LIBVIRT_FAILED
 */
export async function reserveAddress(computer: HostedComputer): Promise<void> {
  const look = await computer.view.current();
  const wanted = wantedEntry(computer, look);
  if (wanted === null || hasAddress(computer, look)) return;
  const { shortName } = computer.names;
  const inTheWay = look.dhcpHosts!.filter(({ mac, ip }) => mac === wanted.mac || ip === wanted.ip);
  const taken = inTheWay.find(({ name }) => name !== shortName);
  if (taken) {
    const has = `${taken.name ?? 'an entry without a name'} has MAC ${taken.mac} and address ${taken.ip}`;
    throw new ProvisiondError(
      'ADDRESS_TAKEN',
      `${wanted.ip} for MAC ${wanted.mac} of computer ${shortName} in network ${computer.profile.privateNetwork} ` +
        `of host ${computer.host.name}: ${has}`,
    );
  }
  // libvirt refuses a second entry of the same name.
  const nameInUse = look.dhcpHosts!.some((host) => host.name === shortName && !inTheWay.includes(host));
  const entry = { ...wanted, name: nameInUse ? undefined : shortName };
  await updateEntries(computer, entry, inTheWay);
}

/** Gives the address back. Only the entry with exactly the computer's MAC and address; none is success. */
export async function releaseAddress(computer: HostedComputer): Promise<void> {
  const look = await computer.view.current();
  const wanted = wantedEntry(computer, look);
  if (wanted === null) return;
  const own = look.dhcpHosts!.filter(
    (host) => isSame(host, wanted) && (host.name === undefined || host.name === wanted.name),
  );
  if (own.length > 0) await updateEntries(computer, null, own);
}

async function updateEntries(computer: HostedComputer, add: DhcpHost | null, remove: readonly DhcpHost[]) {
  const { privateNetwork } = computer.profile;
  await computer.view.change(
    async (look) => {
      const persistent = look.networks.find(({ name }) => name === privateNetwork)?.persistent ? 'persistent' : '';
      const added = add ? [entryXml(add), persistent, add.mac, add.ip] : ['', persistent, '', ''];
      const args = [privateNetwork, ...added, ...remove.map(entryXml)];
      const doing = `changing the addresses of network ${privateNetwork} on host ${computer.host.name}`;
      const result = await computer.runScript(RESERVE, args, doing);
      if (result.exitCode === 0) return;
      if (add && result.exitCode === LEASED) throw leased(computer, add, result.stdout.trim());
      throw virshError('LIBVIRT_FAILED', doing, result);
    },
    (look) => ({
      ...look,
      dhcpHosts: [...look.dhcpHosts!.filter((host) => !remove.includes(host)), ...(add ? [add] : [])],
    }),
  );
}

function leased(computer: HostedComputer, { ip, mac }: DhcpHost, holder: string): ProvisiondError {
  const { names, profile, host } = computer;
  const where = `in network ${profile.privateNetwork} of host ${host.name}`;
  return new ProvisiondError(
    'ADDRESS_TAKEN',
    `${ip} for MAC ${mac} of computer ${names.shortName} ${where}: it is leased to MAC ${holder}`,
    {
      hint: `Wait for the end of the lease, or install dnsmasq-utils on the host: leases of guests that are gone are then released`,
    },
  );
}

function entryXml({ mac, ip, name }: DhcpHost): string {
  return buildXml({ host: { $: { mac, ...(name === undefined ? {} : { name }), ip } } }).trim();
}
