/**
 * What a cloud image is told at its first start, on a small volume that is attached to it: cloud-init's NoCloud data source. It gets
 * no more than what makes it answer, its addresses and provisiond's keys; all else is the OS module's, as in any other guest.
 */
import { isoVolume } from './iso9660';

export interface CloudSeed {
  /** Another one for each load: cloud-init does its work once for each. */
  readonly instanceId: string;
  readonly hostName: string;
  /** Of the interfaces, in small letters; each asks DHCP. */
  readonly macs: readonly string[];
  /** Lines for root's `authorized_keys`. */
  readonly publicKeys: readonly string[];
}

/** By which cloud-init finds the volume. */
const LABEL = 'cidata';

/** The files of the volume. JSON is YAML, and quotes whatever a row may hold. */
export function seedFiles({ instanceId, hostName, macs, publicKeys }: CloudSeed): Record<string, string> {
  const ethernets = macs.map((macaddress, index): [string, object] => [
    `nic${index}`,
    { match: { macaddress }, dhcp4: true, 'dhcp-identifier': 'mac', optional: index > 0 },
  ]);
  const cloudConfig = {
    // No account of the image's maker: the OS module makes those of the reservation.
    users: [],
    disable_root: false,
    ssh_authorized_keys: publicKeys,
  };
  return {
    'meta-data': json({ 'instance-id': instanceId, 'local-hostname': hostName }),
    'user-data': `#cloud-config\n${json(cloudConfig)}`,
    'network-config': json({ version: 2, ethernets: Object.fromEntries(ethernets) }),
  };
}

export function seedVolume(seed: CloudSeed): Buffer {
  return isoVolume(LABEL, seedFiles(seed), new Date(0));
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
