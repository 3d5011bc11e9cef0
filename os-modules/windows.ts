/** Windows guests with OpenSSH: version 10, Server 2016 and later, as VCL's `OS/Windows.pm`. A stage is one script of PowerShell. */
import { randomBytes } from 'node:crypto';
import type { GuestAccount, OsContext, OsModule, StageResults } from '../lib/plugins/api';
import { readMarks } from './exchange/marks';
import { hostName, openPorts, plainText, tcpPorts, userAddress } from './exchange/rows';
import {
  GO_DOWN,
  GRANT_ACCESS,
  IS_USER_CONNECTED,
  NOTIFY_USER,
  POST_INITIAL_CONNECTION,
  POST_LOAD,
  PRE_CAPTURE,
  RESERVE,
  SANITIZE,
  STATUS,
} from './windows-scripts/stages';

const windows: OsModule = {
  apiVersion: 1,
  name: 'windows',
  description: 'Windows guests with OpenSSH and PowerShell 5.1',
  loginUser: 'Administrator',
  shell: 'powershell',

  async status({ guest }) {
    return readMarks(await guest.script('status', STATUS));
  },

  async postLoad(context) {
    const { image, computer } = context.reservation;
    const args = [hostName(computer.shortName), image.setHostname ? 'yes' : 'no', Math.round(Date.now() / 1000)];
    warn(context, await context.guest.script('post-load', POST_LOAD, args, imageLines(context, image.name)));
  },

  async reserve({ guest, accounts }) {
    await guest.script('reserve', RESERVE, [], JSON.stringify(accounts.map(accountOf)));
    return {};
  },

  async grantAccess({ reservation, remoteIp, guest }) {
    const from = userAddress(remoteIp) ?? 'Any';
    await guest.script('grant-access', GRANT_ACCESS, [from, ...openPorts(reservation.connectMethods)]);
  },

  async isUserConnected({ reservation, remoteIp, ignoredAddresses, guest }) {
    const ignored = ignoredAddresses.filter((address) => userAddress(address) !== null).join(' ');
    const args = [userAddress(remoteIp) ?? '', ignored, ...tcpPorts(reservation.connectMethods)];
    const found = await guest.script('is-user-connected', IS_USER_CONNECTED, args);
    return found.remote_address === undefined ? null : { remoteIp: found.remote_address };
  },

  async postInitialConnection({ remoteIp, guest }) {
    await guest.script('post-initial-connection', POST_INITIAL_CONNECTION, [userAddress(remoteIp) ?? 'Any']);
  },

  async sanitize({ guest }) {
    await guest.script('sanitize', SANITIZE);
  },

  async preCapture(context) {
    await context.guest.script('pre-capture', PRE_CAPTURE, [], imageLines(context, context.imageName));
  },

  async notifyUser({ guest, reservation, message }) {
    await guest.script('notify-user', NOTIFY_USER, [reservation.user.login], plainText(message));
  },

  async reboot({ guest }) {
    await guest.script('reboot', GO_DOWN, ['/r']);
  },

  async shutdown({ guest }) {
    await guest.script('shutdown', GO_DOWN, ['/s']);
  },
};

export default windows;

/** Windows takes 20 characters, and none that its own tools read as anything else. @throws REQUEST_INVALID */
function accountOf({ login, password, root, keepsPassword }: GuestAccount) {
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,19}$/.test(login) || /^(administrator|guest)$/i.test(login)) {
    const message = `'${plainText(login)}' cannot be an account of Windows: letters, digits, dot, hyphen, underscore, 20 at most`;
    throw Object.assign(new Error(message), { code: 'REQUEST_INVALID' });
  }
  return { login, password, root, keep: keepsPassword ?? false };
}

/** The administrator's new password, of all kinds of characters that Windows may ask for; then `currentimage.txt` in VCL's order. */
function imageLines({ reservation: { image, computer } }: OsContext, imageName: string): string {
  return [
    `${randomBytes(18).toString('base64url')}aA1!`,
    plainText(imageName),
    `id=${image.id}`,
    `prettyname=${plainText(image.prettyName)}`,
    `imagerevision_id=${image.revisionId}`,
    `imagerevision_datecreated=${plainText(image.revisionCreated)}`,
    `computer_id=${computer.id}`,
    `computer_hostname=${plainText(computer.hostname)}`,
  ].join('\n');
}

function warn({ log }: OsContext, { warning }: StageResults): void {
  if (warning !== undefined) log.warn(warning);
}
