/** What database rows become before a script sees it. A web page wrote them: what is odd is refused, not repaired. */
import { isIPv4 } from 'node:net';
import type { ClusterMember, GuestAccount, OsContext, OsModule } from '../../lib/plugins/api';

type FixedAddress = Parameters<NonNullable<OsModule['setFixedAddress']>>[0]['address'];
type ConnectMethod = OsContext['reservation']['connectMethods'][number];

/** Names that every useradd takes and no shell, sudoers or sshd_config reads as anything else. */
const LOGIN = /^(?!\d+$)[A-Za-z0-9_][A-Za-z0-9._-]{0,31}$/;
const HOST_NAME = /^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$/;
const SERVICE = /^[A-Za-z0-9@_.:-]{0,64}$/;
const CONTROL = /\p{Cc}/u;

/** An error whose code says that the row is to blame, not this module. */
function invalid(message: string): Error {
  return Object.assign(new Error(message), { code: 'REQUEST_INVALID' });
}

/** @throws REQUEST_INVALID for what `hostname` or /etc/hosts would take for something else */
export function hostName(name: string): string {
  if (HOST_NAME.test(name)) return name;
  throw invalid(`'${plainText(name)}' cannot be a host name: letters, digits, dots and hyphens`);
}

/** One line without control characters. */
export function plainText(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ');
}

/** The lines of `reserve`: login, uid, role, `set` or `keep`, password, number of keys, keys. @throws REQUEST_INVALID */
export function accountLines(accounts: readonly GuestAccount[]): string {
  return accounts
    .flatMap(({ login, uid, root, password, keepsPassword, sshPublicKeys }) => {
      if (!LOGIN.test(login)) {
        throw invalid(
          `'${plainText(login)}' cannot be an account: letters, digits, dot, hyphen, underscore, 32 at most`,
        );
      }
      if (login === 'root') throw invalid('nobody gets the account root; an image may give users root access by sudo');
      if (password !== null && CONTROL.test(password)) {
        throw invalid(`the password of ${login} has a control character in it`);
      }
      const keys = sshPublicKeys.map(plainText).filter((key) => key.trim() !== '');
      const how = keepsPassword ? 'keep' : 'set';
      return [login, uid ?? '', root ? 'root' : 'user', how, password ?? '', keys.length, ...keys];
    })
    .map((line) => `${line}\n`)
    .join('');
}

/** The lines of `grantAccess`: service, start-up script, ports. @throws REQUEST_INVALID */
export function methodLines(methods: readonly ConnectMethod[]): string {
  return methods
    .flatMap((method) => {
      const { name, serviceName, startupScript } = method;
      if (!SERVICE.test(serviceName)) {
        throw invalid(`connect method ${plainText(name)}: '${plainText(serviceName)}' cannot be a service`);
      }
      return [serviceName, plainText(startupScript ?? ''), openPorts([method]).join(' ')];
    })
    .map((line) => `${line}\n`)
    .join('');
}

/** `22/tcp` and so on. */
export function openPorts(methods: readonly ConnectMethod[]): string[] {
  return methods.flatMap(({ ports }) => ports.map(({ port, protocol }) => `${port}/${protocol.toLowerCase()}`));
}

export function tcpPorts(methods: readonly ConnectMethod[]): number[] {
  return methods.flatMap(({ ports }) => ports.filter(({ protocol }) => protocol === 'TCP').map(({ port }) => port));
}

/** The MAC of the public interface, where the database knows it; empty: the guest finds the interface itself. */
export function publicMac({ reservation: { host, computer, server } }: OsContext): string {
  const known = server?.fixedMac ?? (host?.profile.generatePublicMac ? null : computer.publicMac);
  return known !== null && /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(known) ? known.toLowerCase() : '';
}

/** The user's address as the front end wrote it; null when it wrote none that firewall rules can hold. */
export function userAddress(remoteIp: string | null): string | null {
  return remoteIp !== null && /^\d{1,3}(\.\d{1,3}){3}$/.test(remoteIp) ? remoteIp : null;
}

/** Address, bits of its netmask, router, name servers. @throws REQUEST_INVALID */
export function addressArguments({ ip, netmask, router, dnsServers }: FixedAddress): (string | number)[] {
  for (const address of [ip, ...(router === null ? [] : [router]), ...dnsServers]) {
    if (!isIPv4(address)) throw invalid(`'${plainText(address)}' is no IPv4 address`);
  }
  return [ip, maskBits(netmask ?? ''), router ?? '', ...dnsServers];
}

/** `255.255.255.0` or `24`. @throws REQUEST_INVALID */
function maskBits(netmask: string): number {
  if (/^\d{1,2}$/.test(netmask) && Number(netmask) <= 32) return Number(netmask);
  const octets = isIPv4(netmask) ? netmask.split('.').map(Number) : [];
  const bits = octets.map((octet) => octet.toString(2).padStart(8, '0')).join('');
  if (!/^1+0*$/.test(bits))
    throw invalid(`a fixed address needs a netmask such as 255.255.255.0, not '${plainText(netmask)}'`);
  return bits.indexOf('0') === -1 ? 32 : bits.indexOf('0');
}

/** `parent= ADDRESS`, `child= ADDRESS`. */
export function memberLines(members: readonly ClusterMember[]): string {
  return members.map(({ address, isParent }) => `${isParent ? 'parent' : 'child'}= ${plainText(address)}\n`).join('');
}
