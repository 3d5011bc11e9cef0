/**
 * The one error class and the catalogue of everything that can go wrong.
 *
 * A message says what we were doing, to what, where. It never repeats its cause: the log prints the chain.
 * `blame` says who must act, and decides what becomes of the request and of the computer (`lib/states/outcome.ts`).
 * Codes are stable; `lib/README.md` documents them and a test holds it to this table.
 */
import { types } from 'node:util';

/** Who must act. */
export type Blame = 'host' | 'computer' | 'image' | 'request' | 'plugin' | 'config' | 'daemon';

interface CatalogueEntry {
  readonly blame: Blame;
  /** Whether the same work may well succeed when it is done again a little later. */
  readonly retryable: boolean;
  /** What a person can do about it. */
  readonly hint: string;
}

function entry(blame: Blame, retryable: boolean, hint: string): CatalogueEntry {
  return { blame, retryable, hint };
}

export const CATALOGUE = {
  // Hosts and the way to them
  HOST_UNREACHABLE: entry('host', true, 'Check that the host is up and its sshd answers: ssh -p PORT USER@HOST true'),
  HOST_KEY_MISMATCH: entry(
    'host',
    false,
    'The host answered with another key than the pinned one. If it was reinstalled, pin the new key: provisiond host add',
  ),
  HOST_KEY_UNKNOWN: entry('config', false, 'Pin the key of the host: provisiond host add HOST shows its fingerprint'),
  HOST_LOGIN_REFUSED: entry(
    'config',
    false,
    'ssh-copy-id -i KEY.pub USER@HOST puts the public key of this node into authorized_keys of the account on the host',
  ),
  COMMAND_FAILED: entry('host', false, 'Run the command on the host by hand to see more'),
  COMMAND_TIMEOUT: entry('host', true, 'Look at what hangs on the host: libvirtd, its storage, its load'),
  OUTCOME_UNKNOWN: entry('host', true, 'The connection broke during a command; it is looked up when the work resumes'),
  HOST_DISK_FULL: entry('host', false, 'Free space on the host in the folder named'),
  LIBVIRT_FAILED: entry('host', true, 'See the log of libvirtd on the host'),
  BOOT_INVALID: entry('config', false, 'Mend the boot parameters: provisiond boot show'),
  BOOT_UNSUPPORTED: entry(
    'config',
    false,
    'Choose boot parameters that the hypervisor of the host has, or another host',
  ),
  NETWORK_NOT_FOUND: entry(
    'config',
    false,
    'Name a libvirt network (virsh net-list) or a bridge (ip link) of the host in the VM profile',
  ),
  NETWORK_INACTIVE: entry('host', false, 'Start it: virsh net-start NETWORK; virsh net-autostart NETWORK'),
  DOMAIN_REJECTED: entry('plugin', false, 'libvirt refused the domain XML; see the message and the XML file named'),
  DOMAIN_START_FAILED: entry('host', true, 'See the logs of the hypervisor on the host, in /var/log/libvirt'),
  DOMAIN_NOT_FOUND: entry('computer', false, 'The computer has no domain on its host; reload it'),
  DOMAIN_NOT_OURS: entry(
    'computer',
    false,
    'A domain that provisiond did not make stands in the way; rename or remove it, provisiond never touches it',
  ),
  ADDRESS_TAKEN: entry(
    'computer',
    false,
    'Give the computer a MAC and an address that no other entry of the network has',
  ),
  // Guests
  GUEST_NO_ANSWER: entry(
    'computer',
    false,
    'The message says how far the guest came; its console lines show why: provisiond show REQUEST',
  ),
  GUEST_LOGIN_REFUSED: entry('image', false, "The image must hold the management node's public key for root"),
  GUEST_COMMAND_FAILED: entry('computer', false, 'See the output of the stage in the log'),
  GUEST_KEY_CHANGED: entry('computer', false, 'Another machine answers at the address of the computer; find out which'),
  // Images
  IMAGE_NOT_FOUND: entry(
    'image',
    false,
    'Put the image file into the datastore or the repository: provisiond image add',
  ),
  IMAGE_AMBIGUOUS: entry('image', false, 'Keep one file of that name in the datastore'),
  IMAGE_UNTRUSTED: entry('image', false, 'The file is not what it claims to be; make it again with qemu-img convert'),
  IMAGE_COPY_FAILED: entry('image', true, 'Check the repository and the space on the host'),
  // Plugins
  DRIVER_NOT_FOUND: entry('config', false, 'Install a hypervisor on the host, or add a driver: drivers/README.md'),
  DRIVER_AMBIGUOUS: entry('config', false, 'Pin one: provisiond host add HOST --driver NAME'),
  OS_MODULE_NOT_FOUND: entry(
    'config',
    false,
    'Map the module in osModules of the configuration, or add a file: os-modules/README.md',
  ),
  PREDICTIVE_MODULE_NOT_FOUND: entry(
    'config',
    false,
    'Map the module in predictiveModules of the configuration, or add a file: lib/predictive/README.md',
  ),
  PLUGIN_REJECTED: entry('plugin', false, 'provisiond plugins shows every file and its verdict'),
  PLUGIN_FAILED: entry('plugin', false, 'Mend the plugin named; provisiond plugins --test FILE checks it'),
  PLUGIN_TIMEOUT: entry('plugin', false, 'The plugin named took longer than hookTimeoutMs'),
  // Rows
  REQUEST_NOT_FOUND: entry('request', false, 'provisiond list reservations shows what there is'),
  REQUEST_INVALID: entry('request', false, 'The row holds a value that cannot be used; the message names it'),
  COMPUTER_NOT_AVAILABLE: entry('request', false, 'Another reservation has the computer; the message names it'),
  COMPUTER_NOT_ASSIGNED: entry(
    'config',
    false,
    'Assign the computer to a VM host: provisiond computer add, or the web front end',
  ),
  SIBLING_FAILED: entry(
    'request',
    false,
    'All reservations of a cluster are needed; the story of the one named says why it failed',
  ),
  ROWS_COMPLETED: entry('daemon', false, 'The front end completed the rows of the request; it is read again'),
  NOT_FOUND: entry('request', false, 'provisiond list shows what there is'),
  CONFLICT: entry('request', false, 'Look at the present state first: provisiond show, provisiond list'),
  // Operations on VMs
  OPERATION_INVALID: entry('request', false, 'lib/operations/README.md has an example row for each kind'),
  OPERATION_BLOCKED: entry('request', false, 'Whoever blocked it gave the reason; provisiond vm unblock takes it back'),
  VM_BAD_POWER_STATE: entry('request', false, 'provisiond vm show COMPUTER lists what is allowed now'),
  OTHER_OPERATION_IN_PROGRESS: entry('request', false, 'Wait for it, cancel it, or ask for a harder one'),
  VM_LACKS_FEATURE: entry('request', false, 'The message says what the VM lacks'),
  VM_SHUTDOWN_TIMEOUT: entry('computer', false, 'The guest ignores its power button: provisiond vm hard_shutdown'),
  VM_REBOOT_TIMEOUT: entry('computer', false, 'The guest ignores its power button: provisiond vm hard_reboot'),
  VM_RESUME_FAILED: entry(
    'computer',
    false,
    'The saved memory is kept: try again, or discard it: provisiond vm hard_shutdown',
  ),
  DOMAIN_EXISTS: entry('request', false, 'The VM is there and runs; nothing has to be reset'),
  HOST_IS_LIVE: entry('request', false, 'The host lives: look at its libvirtd'),
  SNAPSHOT_NOT_FOUND: entry('request', false, 'provisiond vm show COMPUTER lists its snapshots'),
  OPERATION_CANCELLED: entry('request', false, 'Somebody asked for that, or for something harder'),
  // Database
  DATABASE_UNAVAILABLE: entry(
    'daemon',
    true,
    'Check that the database runs and that the configured account may log in',
  ),
  DATABASE_FAILED: entry('daemon', false, 'See the cause; nothing was changed by the failed statement'),
  SCHEMA_MISSING: entry('config', false, 'Create the tables: provisiond init'),
  SCHEMA_NEWER: entry('config', false, 'The database was made by a newer provisiond: run that version'),
  LEASE_LOST: entry('daemon', false, 'Another provisiond works for this management node now'),
  CLAIM_LOST: entry('daemon', false, 'The row was changed by somebody else; it will be looked at again'),
  // Daemon
  FRONT_END_UNREACHABLE: entry(
    'config',
    true,
    'Check that the web front end is up, and that xmlrpc.url is its address',
  ),
  FRONT_END_REFUSED: entry(
    'config',
    false,
    'The words are those of the front end; check xmlrpc.user, its password and its privileges',
  ),
  MAIL_NOT_SENT: entry(
    'config',
    true,
    'Check mail.transport and what belongs to it; messages are tried again for mail.giveUpMs',
  ),
  CONFIG_INVALID: entry(
    'config',
    false,
    'conf/provisiond.yaml documents every key; provisiond check lists all problems',
  ),
  UNDO_INCOMPLETE: entry('daemon', false, 'Something was left behind on the host; the message lists it'),
  INTERNAL: entry('daemon', false, 'This is a defect of provisiond; please report it with the log'),
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof CATALOGUE;

export interface ErrorOptions {
  readonly cause?: unknown;
  /** Replaces the hint of the catalogue where more is known. */
  readonly hint?: string;
  /** Replaces the blame of the catalogue where the caller knows better whom it concerns. */
  readonly blame?: Blame;
  readonly retryable?: boolean;
  /** What a log line or `--json` should carry beside the message. Never secrets. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export class ProvisiondError extends Error {
  override readonly name = 'ProvisiondError';
  readonly code: ErrorCode;
  readonly blame: Blame;
  readonly retryable: boolean;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    const known = CATALOGUE[code];
    this.code = code;
    this.blame = options.blame ?? known.blame;
    this.retryable = options.retryable ?? known.retryable;
    this.hint = options.hint ?? known.hint;
    this.details = options.details ?? {};
  }
}

/** Wraps whatever was thrown; what is a ProvisiondError already stays as it is. */
export function asProvisiondError(thrown: unknown, doing: string): ProvisiondError {
  if (thrown instanceof ProvisiondError) return thrown;
  return new ProvisiondError('INTERNAL', doing, { cause: thrown });
}

/** Also an error of another realm, such as Node's own under a test runner or those of a plugin in a context of its own. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value);
}

/** The chain of messages from the outermost to the root cause, for people. */
export function describeError(thrown: unknown): string {
  const messages: string[] = [];
  let error = thrown;
  while (isError(error) && messages.length < 10) {
    messages.push(error.message);
    error = error.cause;
  }
  if (!isError(error) && error !== undefined) {
    messages.push(typeof error === 'string' ? error : JSON.stringify(error));
  }
  return messages.join(': ');
}

/** The first ProvisiondError of that code in the chain of causes. */
export function findError(thrown: unknown, code: ErrorCode): ProvisiondError | undefined {
  for (let error = thrown, depth = 0; error instanceof Error && depth < 10; error = error.cause, depth++) {
    if (error instanceof ProvisiondError && error.code === code) return error;
  }
  return undefined;
}
