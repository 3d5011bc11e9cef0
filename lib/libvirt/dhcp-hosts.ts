/** Fixed addresses in a libvirt network: what entries there are, and which one is the computer's. */
import { childrenOf, parseXml } from '../xml';

export interface DhcpHost {
  readonly mac: string;
  readonly ip: string;
  readonly name: string | undefined;
}

/** @returns the entries of `net-dumpxml`; null when the network gives no addresses */
export function readDhcpHosts(networkXml: string): DhcpHost[] | null {
  const { network } = parseXml(networkXml, 'the XML of the private network');
  const dhcp = childrenOf(network, 'ip').flatMap((ip) => childrenOf(ip, 'dhcp'));
  if (dhcp.length === 0) return null;
  return dhcp.flatMap((element) =>
    childrenOf(element, 'host').map((host) => ({
      mac: (host.$?.mac ?? '').toLowerCase(),
      ip: host.$?.ip ?? '',
      name: host.$?.name,
    })),
  );
}
