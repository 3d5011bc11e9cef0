/** How far a guest that does not answer has come, as its host sees it. */
import { script } from '../host/host';
import type { HostedComputer } from './hosted-computer';
import type { GuestDiagnosis } from './provisioner';
import { SECTION, drawMark, splitSections } from './sections';
import { parseLease } from './virsh';

/** `$1` mark `$2` UUID `$3` network or empty `$4` MAC `$5` address or empty `$6` console log `$7` domain `$8` the hypervisor's
 * own log of the console, or empty. */
const DIAGNOSE = `
set -u
mark=$1 uuid=$2 network=$3 mac=$4 address=$5 console=$6 domain=$7
[ ! -s "$8" ] || console=$8
${SECTION}
section state
virsh -q domstate "$uuid" --reason 2>/dev/null
section lease
lease=$([ -z "$network" ] || virsh -q net-dhcp-leases "$network" --mac "$mac" 2>/dev/null)
printf '%s\\n' "$lease"
section lease-seconds-left
expiry=$(printf '%s\\n' "$lease" | sed -n 's/^ *\\([0-9-]* [0-9:]*\\) .*/\\1/p' | head -n 1)
[ -z "$expiry" ] || echo $(($(date -d "$expiry" +%s) - $(date +%s)))
section seconds-up
pid=$(cat /run/libvirt/*/"$domain".pid 2>/dev/null) && ps -o etimes= -p "$pid"
section ping
[ -z "$address" ] || ! ping -c 1 -W 1 "$address" >/dev/null 2>&1 || echo yes
section port
if [ -n "$address" ]; then
  if command -v bash >/dev/null; then timeout 1 bash -c ': </dev/tcp/$0/22' "$address" 2>/dev/null && echo yes
  else timeout 1 nc -z -w 1 "$address" 22 2>/dev/null && echo yes
  fi
fi
section console
# What a panicking kernel says first says most; the last lines of others do.
tail -n 200 "$console" 2>/dev/null | awk '/Kernel panic/ { panic = NR } { line[NR] = $0 }
  END { first = panic ? panic : NR - 19; if (first < 1) first = 1; for (n = first; n <= NR && n < first + 20; n++) print line[n] }' | tail -c 4000
exit 0
`;

/**
 * Never says less than it can: what could not be asked is as good as not reached.
 * @param ownLog file in which the hypervisor itself keeps what the guest says
 */
export async function diagnoseGuest(
  computer: HostedComputer,
  uuid: string,
  ownLog: string | undefined,
): Promise<GuestDiagnosis> {
  const mark = drawMark();
  const { profile, reservation, names } = computer;
  const look = await computer.view.current();
  const network = look.networks.some(({ name }) => name === profile.privateNetwork) ? profile.privateNetwork : '';
  const address = reservation.computer.privateIp ?? '';
  const args = [mark, uuid, network, computer.privateMac, address, names.consoleLog, names.domain, ownLog ?? ''];
  const result = await computer.run(script(DIAGNOSE, ...args), { expect: 'any' });
  const sections = splitSections(result.stdout, mark);
  const part = (name: string) => (sections.get(name) ?? []).join('\n').trim();
  return {
    domainState: part('state') || 'gone',
    dhcpLease: isOld(part('lease-seconds-left'), part('seconds-up')) ? null : parseLease(`${part('lease')} `),
    answersPing: part('ping') === 'yes',
    sshPortOpen: part('port') === 'yes',
    consoleTail: printable(part('console')),
  };
}

/** What dnsmasq, and so libvirt, hands a lease out for. */
const LEASE_SECONDS = 3600;

/** A lease that an earlier guest of the same MAC took says nothing about this one. */
function isOld(secondsLeft: string, secondsUp: string): boolean {
  if (secondsLeft === '' || secondsUp === '') return false;
  return Number(secondsLeft) < LEASE_SECONDS - Number(secondsUp) - 5;
}

/** Consoles are full of control sequences, and what a guest prints must not steer an operator's terminal. */
function printable(text: string): string {
  return (
    text
      // eslint-disable-next-line no-control-regex
      .replace(/\u001b(\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])/g, '')
      // eslint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '')
  );
}
