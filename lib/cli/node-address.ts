/** Addresses of this machine, without sending anything. */
import dgram from 'node:dgram';
import os from 'node:os';

/** The first IPv4 address that others may reach; 127.0.0.1 when there is none. */
export function nodeAddress(): string {
  const addresses = Object.values(os.networkInterfaces()).flat();
  return addresses.find((entry) => entry?.family === 'IPv4' && !entry.internal)?.address ?? '127.0.0.1';
}

/**
 * The address of ours from which the other one is reached: what it will see of us.
 * @returns {@link nodeAddress} where there is no route
 */
export function addressTowards(other: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = dgram.createSocket('udp4');
    const answer = (address: string) => {
      socket.close();
      resolve(address);
    };
    socket.once('error', () => answer(nodeAddress()));
    // Connecting a datagram socket only chooses the route.
    socket.connect(22, other, () => answer(socket.address().address));
  });
}
