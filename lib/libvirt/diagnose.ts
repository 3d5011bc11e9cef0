/** How far a guest that does not answer has come, as its host sees it. */
import type { HostedComputer } from './hosted-computer';
import type { GuestDiagnosis } from './provisioner';
import { SECTION, drawMark, splitSections } from './sections';
import { parseLease } from './virsh';

/** `$1` mark `$2` UUID `$3` network or empty `$4` MAC `$5` address or empty `$6` console log. */
const DIAGNOSE = `
set -u
mark=$1 uuid=$2 network=$3 mac=$4 address=$5 console=$6
${SECTION}
section state
virsh -q domstate "$uuid" --reason 2>/dev/null
section lease
[ -z "$network" ] || virsh -q net-dhcp-leases "$network" --mac "$mac" 2>/dev/null
section ping
[ -z "$address" ] || ! ping -c 1 -W 1 "$address" >/dev/null 2>&1 || echo yes
section port
if [ -n "$address" ]; then
  if command -v bash >/dev/null; then timeout 1 bash -c ': </dev/tcp/$0/22' "$address" 2>/dev/null && echo yes
  else timeout 1 nc -z -w 1 "$address" 22 2>/dev/null && echo yes
  fi
fi
section console
tail -n 20 "$console" 2>/dev/null | tail -c 4000
exit 0
`;

/** Never says less than it can: what could not be asked is as good as not reached. */
export async function diagnoseGuest(computer: HostedComputer, uuid: string): Promise<GuestDiagnosis> {
  const mark = drawMark();
  const { profile, reservation, names } = computer;
  const look = await computer.view.current();
  const network = look.networks.some(({ name }) => name === profile.privateNetwork) ? profile.privateNetwork : '';
  const address = reservation.computer.privateIp ?? '';
  const args = [mark, uuid, network, computer.privateMac, address, names.consoleLog];
  const result = await computer.runScript(DIAGNOSE, args);
  const sections = splitSections(result.stdout, mark);
  const part = (name: string) => (sections.get(name) ?? []).join('\n').trim();
  return {
    domainState: part('state') || 'gone',
    dhcpLease: parseLease(`${part('lease')} `),
    answersPing: part('ping') === 'yes',
    sshPortOpen: part('port') === 'yes',
    consoleTail: printable(part('console')),
  };
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
