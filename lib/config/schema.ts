/** The one table of settings: everything else about them (file, environment, documentation) is derived from it. */
import path from 'node:path';
import type { Config } from './config';
import type { Kind } from './kinds';
import {
  databaseUrl,
  filePath,
  filePaths,
  hostName,
  listenAddress,
  oneOf,
  optionalFilePath,
  optionalText,
  optionalWebUrl,
  remotePath,
  text,
  wholeNumber,
  wordMap,
} from './kinds';

/** Keys that stand together in the file, under a name of their own. */
type Group = 'log' | 'xmlrpc' | 'mail' | 'scripts';
type KeyInGroup = { [G in Group]: `${G}.${keyof Config[G] & string}` }[Group];

/** Keys as they stand in the file, groups with a dot; `databasePasswordFile` only completes `database`. */
export type SettingKey = Exclude<keyof Config, Group> | KeyInGroup | 'databasePasswordFile';

export type SettingValue<K extends SettingKey> = K extends `${infer G extends Group}.${infer L}`
  ? L extends keyof Config[G]
    ? Config[G][L]
    : never
  : K extends keyof Config
    ? Config[K]
    : string | null;

/** What some defaults depend on. */
export interface Surroundings {
  readonly hostname: string;
  readonly stateDir: string;
}

export interface Setting<T> extends Kind<T> {
  /** One line for people. */
  readonly about: string;
  readonly default: T | ((surroundings: Surroundings) => T);
  /** May hold a secret: never shown, and `PROVISIOND_…_FILE` may name a file that holds the value. */
  readonly secret?: true;
  /** Entries are added to those of the default instead of taking their place. */
  readonly merged?: true;
}

const setting = <T>(
  kind: Kind<T>,
  about: string,
  byDefault: Setting<T>['default'],
  more: Partial<Setting<T>> = {},
) => ({
  ...kind,
  about,
  default: byDefault,
  ...more,
});

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** In the order of the documentation. */
export const SETTINGS: { readonly [K in SettingKey]: Setting<SettingValue<K>> } = {
  stateDir: setting(filePath, 'Folder of the embedded database and of what provisiond keeps.', '/var/lib/provisiond'),
  database: setting(
    databaseUrl,
    'The database: sqlite:PATH or mysql://USER@HOST/NAME.',
    ({ stateDir }: Surroundings) => `sqlite:${path.join(stateDir, 'provisiond.db')}`,
    { secret: true },
  ),
  databasePasswordFile: setting(optionalFilePath, 'File that holds the password of a mysql:// database.', null),
  managementNode: setting(
    hostName,
    "This node's name in the managementnode table.",
    ({ hostname }: Surroundings) => hostname,
  ),
  pluginDirs: setting(filePaths, 'More folders with drivers/, os-modules/ and predictive/ in them.', []),
  osModules: setting(
    wordMap,
    'Which OS module serves which module of the VCL database; yours are added to these.',
    {
      'VCL::Module::OS::Linux': 'linux',
      'VCL::Module::OS::Linux::Ubuntu': 'linux',
      'VCL::Module::OS::Windows': 'windows',
    },
    { merged: true },
  ),
  predictiveModules: setting(
    wordMap,
    'Which predictive module serves which module of the VCL database; yours are added to these.',
    {
      'VCL::Module::Predictive::Level_0': 'level-0',
      'VCL::Module::Predictive::Level_1': 'level-1',
      'VCL::Module::Predictive::Level_2': 'level-2',
    },
    { merged: true },
  ),

  pollIntervalMs: setting(wholeNumber(10, MINUTE, 'milliseconds'), 'How often the database is asked for work.', 250),
  maxLoads: setting(wholeNumber(1, 1000), 'How many reservations are worked at once, on all hosts together.', 10),
  maxLoadsPerHost: setting(wholeNumber(1, 1000), 'How many of them on one host, unless the host says otherwise.', 4),
  leaseSeconds: setting(
    wholeNumber(2, 3600, 'seconds'),
    'After how long without a sign of life another daemon takes over.',
    30,
  ),
  retryAttempts: setting(wholeNumber(0, 100), 'How often work is tried again after a fault that may pass.', 3),
  retryDelayMs: setting(
    wholeNumber(0, HOUR, 'milliseconds'),
    'Pause before the first new try; doubles each time.',
    5 * SECOND,
  ),
  userPasswordLength: setting(
    wholeNumber(6, 64, 'characters'),
    'Length of the passwords that users get, where VCL has no variable user_password_length.',
    12,
  ),

  xmlDirectory: setting(remotePath, 'Folder on the hosts for domain XML files.', '/tmp/vcl'),
  sshKeyFiles: setting(filePaths, 'Private keys for hosts and guests; those that exist are tried in this order.', [
    '/etc/provisiond/ssh-key',
    '/etc/vcl/vcl.key',
    '~/.ssh/id_ed25519',
    '~/.ssh/id_ecdsa',
    '~/.ssh/id_rsa',
  ]),
  sshMaxChannels: setting(
    wholeNumber(1, 100),
    'Commands at once on one connection; below MaxSessions of sshd (10 by default).',
    8,
  ),
  sshConnectTimeoutMs: setting(
    wholeNumber(100, 10 * MINUTE, 'milliseconds'),
    'How long a connection to a host may take.',
    10 * SECOND,
  ),
  commandTimeoutMs: setting(wholeNumber(100, DAY, 'milliseconds'), 'How long a command on a host may take.', MINUTE),
  imageTimeoutMs: setting(wholeNumber(1000, DAY, 'milliseconds'), 'How long the copy of an image may take.', HOUR),
  imageCheckAtUse: setting(
    oneOf('stamp', 'checksum'),
    'What of a base image is compared before each use: size and time of its last change, or all of it.',
    'stamp',
  ),
  hookTimeoutMs: setting(
    wholeNumber(100, DAY, 'milliseconds'),
    'How long a hook of a plugin may take; longer than imageTimeoutMs, for a driver may copy an image.',
    HOUR + 5 * MINUTE,
  ),
  guestBootTimeoutMs: setting(
    wholeNumber(1000, DAY, 'milliseconds'),
    'How long a guest may take from its start until it answers by ssh.',
    10 * MINUTE,
  ),
  guestCommandTimeoutMs: setting(
    wholeNumber(100, DAY, 'milliseconds'),
    'How long a stage of an OS module may take in the guest.',
    5 * MINUTE,
  ),
  guestShutdownTimeoutMs: setting(
    wholeNumber(1000, DAY, 'milliseconds'),
    'How long a guest may take to obey its power button; where it must go down, its power is cut then.',
    3 * MINUTE,
  ),
  vmWatchIntervalMs: setting(
    wholeNumber(200, HOUR, 'milliseconds'),
    'How often hosts are asked for the power of all VMs, beside what libvirt tells as it happens.',
    MINUTE,
  ),
  operationRetentionDays: setting(
    wholeNumber(1, 3650, 'days'),
    'How long operations that are over, and the history of VMs, are kept.',
    30,
  ),
  startProofMs: setting(
    wholeNumber(0, HOUR, 'milliseconds'),
    'How long a VM must have run on new disks before its old ones are put aside; when it does not, it gets them back.',
    10_000,
  ),
  trashDays: setting(
    wholeNumber(0, 3650, 'days'),
    'How long disks that were replaced are kept, so that the change can be undone.',
    7,
  ),
  volumeQuotaMiB: setting(
    wholeNumber(0, 2 ** 30, 'MiB'),
    'What the volumes of one VM may add up to when an operation makes it larger; 0: there is no limit.',
    0,
  ),

  metrics: setting(
    listenAddress,
    'Where /metrics, /healthz and /readyz are told; by default nowhere. Next start.',
    null,
  ),
  http: setting(listenAddress, 'Where the page to look at is; by default nowhere. Next start.', null),

  'xmlrpc.url': setting(
    optionalWebUrl,
    'Where the web front end takes calls, such as https://vcl.example.org/vcl/index.php?mode=xmlrpccall.',
    null,
  ),
  'xmlrpc.user': setting(text, 'Account for these calls, with its affiliation.', 'vclsystem@Local'),
  'xmlrpc.password': setting(optionalText, 'Its password.', null, { secret: true }),
  'xmlrpc.caFile': setting(optionalFilePath, 'Certificates to trust instead of those of the system (PEM).', null),
  'xmlrpc.timeoutMs': setting(
    wholeNumber(1000, HOUR, 'milliseconds'),
    'How long a call may take; a block allocation keeps the front end busy for a while.',
    2 * MINUTE,
  ),

  'mail.transport': setting(oneOf('off', 'sendmail', 'smtp'), 'How messages to users and admins are sent.', 'off'),
  'mail.from': setting(
    optionalText,
    'Sender of messages where the affiliation of the user has no help address; by default vcl@ this management node.',
    null,
  ),
  'mail.returnPath': setting(optionalText, 'Where undeliverable messages are returned to.', null),
  'mail.sendmailPath': setting(filePath, 'The sendmail program.', '/usr/sbin/sendmail'),
  'mail.smtpHost': setting(hostName, 'The SMTP server.', 'localhost'),
  'mail.smtpPort': setting(wholeNumber(1, 65_535), 'Its port.', 25),
  'mail.smtpSecurity': setting(
    oneOf('starttls', 'tls', 'none'),
    'TLS after the greeting, from the start, or none; without it no password is sent.',
    'starttls',
  ),
  'mail.smtpUser': setting(optionalText, 'Account on the SMTP server.', null),
  'mail.smtpPassword': setting(optionalText, 'Its password.', null, { secret: true }),
  'mail.caFile': setting(optionalFilePath, 'Certificates to trust instead of those of the system (PEM).', null),
  'mail.giveUpMs': setting(
    wholeNumber(0, 30 * DAY, 'milliseconds'),
    'After how long a message that cannot be sent is given up.',
    DAY,
  ),

  'scripts.onNode': setting(filePaths, 'Folders with STAGE/* in them: scripts that run on this node.', [
    '/etc/provisiond/scripts/node',
  ]),
  'scripts.inGuest': setting(filePaths, 'Folders with STAGE/* in them: scripts that run in guests.', [
    '/etc/provisiond/scripts/guest',
  ]),
  'scripts.timeoutMs': setting(wholeNumber(1000, DAY, 'milliseconds'), 'How long such a script may take.', 5 * MINUTE),

  'log.level': setting(oneOf('debug', 'info', 'warn', 'error'), 'The least important lines to log.', 'info'),
  'log.format': setting(oneOf('human', 'json'), 'Lines for people, or a JSON object a line.', 'human'),
  'log.file': setting(optionalFilePath, 'File to log to; by default the standard error output.', null),
};

export const SETTING_KEYS = Object.keys(SETTINGS) as SettingKey[];

/** `log.level` → `PROVISIOND_LOG_LEVEL`, `maxLoadsPerHost` → `PROVISIOND_MAX_LOADS_PER_HOST`; a unit stays one word */
export function environmentName(key: SettingKey): string {
  return `PROVISIOND_${key
    .replace(/([a-z])(MiB|[A-Z])/g, '$1_$2')
    .replace('.', '_')
    .toUpperCase()}`;
}

/** The default value of a setting as it stands in the documentation. */
export function documentedDefault<K extends SettingKey>(key: K, surroundings: Surroundings): SettingValue<K> {
  const byDefault = SETTINGS[key].default;
  return typeof byDefault === 'function' ? byDefault(surroundings) : byDefault;
}

/** The default value of a setting, with its paths made absolute. */
export function defaultValue<K extends SettingKey>(key: K, surroundings: Surroundings): SettingValue<K> {
  const { locate } = SETTINGS[key] as Setting<unknown>;
  const value = documentedDefault(key, surroundings);
  return locate ? (locate(value, '/') as SettingValue<K>) : value;
}
