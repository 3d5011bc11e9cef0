/**
 * Linux guests, whatever their distribution: OpenSSH or dropbear, systemd or init scripts. A stage is one script
 * (linux-scripts/), sent over the connection that is open already. Rules: VCL's `OS/Linux.pm`, stage by stage.
 */
import { randomBytes } from 'node:crypto';
import type { OsContext, OsModule, ReserveContext, StageResults } from '../lib/plugins/api';
import { UPDATE_CLUSTER } from './linux-scripts/cluster';
import { GO_DOWN, POST_RESERVATION, SANITIZE } from './linux-scripts/ending';
import { SET_FIXED_ADDRESS } from './linux-scripts/fixed-address';
import { GRANT_ACCESS } from './linux-scripts/grant-access';
import {
  IS_USER_CONNECTED,
  NOTIFY_USER,
  POST_INITIAL_CONNECTION,
  POST_RESERVE,
  RUN_SCRIPT,
} from './linux-scripts/in-use';
import { POST_LOAD } from './linux-scripts/post-load';
import { PRE_CAPTURE } from './linux-scripts/pre-capture';
import { RESERVE } from './linux-scripts/reserve';
import { readMarks } from './exchange/marks';
import {
  accountLines,
  addressArguments,
  hostName,
  memberLines,
  methodLines,
  openPorts,
  plainText,
  publicMac,
  tcpPorts,
  userAddress,
} from './exchange/rows';
import { STATUS } from './linux-scripts/status';

/** How long the public address may take: DHCP is asked in the background while the guest boots. */
const PUBLIC_ADDRESS_SECONDS = 15;

const linux: OsModule = {
  apiVersion: 1,
  name: 'linux',
  description: 'Linux guests with OpenSSH or dropbear, systemd or init scripts',

  async status({ guest }) {
    return readMarks(await guest.script('status', STATUS));
  },

  async postLoad(context) {
    const { image, computer } = context.reservation;
    const setHostname = image.setHostname ? 'yes' : 'no';
    const args = [
      hostName(computer.shortName),
      hostName(computer.hostname),
      setHostname,
      Math.round(Date.now() / 1000),
    ];
    const input = [randomPassword(), ...imageLines(context)].join('\n');
    warn(context, await context.guest.script('post-load', POST_LOAD, args, `${input}\n`));
  },

  async reserve(context) {
    const { computer, managementNode } = context.reservation;
    const asksDhcp = managementNode.publicIpConfiguration === 'dynamicDHCP';
    const args = [publicMac(context), computer.privateIp ?? '', asksDhcp ? PUBLIC_ADDRESS_SECONDS : 0];
    const found = await context.guest.script('reserve', RESERVE, args, accountLines(context.accounts));
    warn(context, found);
    const publicIp = found.public_address ?? '';
    return asksDhcp && publicIp !== '' && publicIp !== computer.publicIp ? { publicIp } : {};
  },

  async grantAccess(context) {
    const { reservation, remoteIp, guest } = context;
    const from = userAddress(remoteIp) ?? 'any';
    const args = [publicMac(context), reservation.computer.privateIp ?? '', PUBLIC_ADDRESS_SECONDS, from];
    warn(context, await guest.script('grant-access', GRANT_ACCESS, args, methodLines(reservation.connectMethods)));
  },

  async setFixedAddress(context) {
    const { reservation, address, guest } = context;
    const args = [publicMac(context), reservation.computer.privateIp ?? '', ...addressArguments(address)];
    warn(context, await guest.script('set-fixed-address', SET_FIXED_ADDRESS, args));
  },

  async updateCluster({ members, guest }) {
    await guest.script('update-cluster', UPDATE_CLUSTER, [], memberLines(members));
  },

  async postReserve(context) {
    const { guest, userData } = context;
    const kind = userData === null ? 'none' : 'data';
    warn(context, await guest.script('post-reserve', POST_RESERVE, [kind], userData ?? ''));
  },

  async isUserConnected(context) {
    const { reservation, remoteIp, ignoredAddresses, guest } = context;
    const ports = tcpPorts(reservation.connectMethods);
    const ignored = ignoredAddresses.filter((address) => userAddress(address) !== null).join(' ');
    const known = [publicMac(context), reservation.computer.privateIp ?? '', userAddress(remoteIp) ?? '', ignored];
    const args = [...known, ...ports];
    const found = await guest.script('is-user-connected', IS_USER_CONNECTED, args);
    return found.remote_address === undefined ? null : { remoteIp: found.remote_address };
  },

  async postInitialConnection({ reservation, remoteIp, guest }) {
    const args = [userAddress(remoteIp) ?? 'any', ...openPorts(reservation.connectMethods)];
    await guest.script('post-initial-connection', POST_INITIAL_CONNECTION, args);
  },

  async sanitize(context: ReserveContext) {
    const { connectMethods, computer } = context.reservation;
    const args = [publicMac(context), computer.privateIp ?? '', tcpPorts(connectMethods).join(' ')];
    const services = connectMethods.map(({ serviceName }) => `${plainText(serviceName)}\n`).join('');
    warn(context, await context.guest.script('sanitize', SANITIZE, args, services));
  },

  async postReservation(context) {
    warn(context, await context.guest.script('post-reservation', POST_RESERVATION));
  },

  async preCapture(context) {
    const { computer } = context.reservation;
    const input = [randomPassword(), ...imageLines(context, context.imageName)].join('\n');
    warn(context, await context.guest.script('pre-capture', PRE_CAPTURE, [computer.privateIp ?? ''], `${input}\n`));
  },

  async notifyUser({ guest, reservation, message }) {
    await guest.script('notify-user', NOTIFY_USER, [reservation.user.login], `${plainText(message)}\n`);
  },

  async runScript({ guest, script, log }) {
    const { name, content, taints, timeoutMs } = script;
    const args = [Math.ceil(timeoutMs / 1000), taints ? 'taints' : ''];
    const { output } = await guest.script(`script ${name}`, RUN_SCRIPT, args, content);
    for (const line of (output ?? '').split('\u0001').filter((text) => text.trim() !== ''))
      log.info(`${name}: ${line}`);
  },

  async reboot({ guest }) {
    await guest.script('reboot', GO_DOWN, ['reboot']);
  },

  async shutdown({ guest }) {
    await guest.script('shutdown', GO_DOWN, ['poweroff']);
  },
};

export default linux;

const randomPassword = (): string => randomBytes(18).toString('base64url');

/** `currentimage.txt` in VCL's order of lines; the script adds the mark of the post-load. */
function imageLines({ reservation: { image, computer } }: OsContext, imageName = image.name): string[] {
  return [
    plainText(imageName),
    `id=${image.id}`,
    `prettyname=${plainText(image.prettyName)}`,
    `imagerevision_id=${image.revisionId}`,
    `imagerevision_datecreated=${plainText(image.revisionCreated)}`,
    `computer_id=${computer.id}`,
    `computer_hostname=${plainText(computer.hostname)}`,
  ];
}

function warn({ log }: OsContext, { warning, clock }: StageResults): void {
  if (warning !== undefined) log.warn(warning);
  if (clock !== undefined) log.info(`the guest's clock was ${clock} s off and was set`);
}
