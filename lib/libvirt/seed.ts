/** The seed of a load of a cloud image, beside its disk: written before its domain is defined, removed with it. */
import { ProvisiondError } from '../errors';
import { privateKeyFiles } from '../config/credentials';
import { atExit } from '../host/at-exit';
import { publicKeysOf } from '../host/public-keys';
import { seedVolume } from '../images/cloud-seed';
import { isDiskFull } from '../images/qemu-img';
import type { HostedComputer } from './hosted-computer';
import { virshError } from './virsh';

/** `$1` file `$2` unfinished file `$3` bytes; the content comes by stdin. */
const WRITE_SEED = `
set -eu
file=$1 part=$2 bytes=$3
mkdir -p "\${file%/*}"
${atExit('rm -f "$part"')}
cat >"$part"
[ "$(wc -c <"$part")" -eq "$bytes" ] || { echo 'error: the content was cut off' >&2; exit 1; }
chmod 0644 "$part"
fence
mv "$part" "$file"
`;

/**
 * @throws CONFIG_INVALID when no key of this management node can be read: nobody could log in to such a guest
 */
export async function writeSeed(computer: HostedComputer): Promise<void> {
  const { names, host, identity, reservation, settings } = computer;
  const files = privateKeyFiles(reservation.managementNode.keyFiles, settings.sshKeyFiles ?? []);
  const publicKeys = publicKeysOf(files);
  if (publicKeys.length === 0) {
    const message = `the cloud image ${reservation.image.name} cannot be told a key: none of ${files.join(', ') || 'sshKeyFiles'} can be read`;
    throw new ProvisiondError('CONFIG_INVALID', message, { hint: 'Make one: ssh-keygen; provisiond doctor' });
  }
  const volume = seedVolume({
    instanceId: `${identity.managementNodeId}-${identity.requestId}-${identity.loadId}`,
    hostName: names.shortName,
    macs: [computer.privateMac, computer.publicMac],
    publicKeys,
  });
  const doing = `writing ${names.seed} on host ${host.name}`;
  const args = [names.seed, computer.unfinished(names.seed), volume.length];
  const result = await computer.runScript(WRITE_SEED, args, doing, { stdin: volume });
  if (result.exitCode === 0) return;
  throw virshError(isDiskFull(result.stderr) ? 'HOST_DISK_FULL' : 'COMMAND_FAILED', doing, result);
}
