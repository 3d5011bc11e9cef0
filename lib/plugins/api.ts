/**
 * The contract of plugins: types only, so that a plugin needs nothing of us at run time.
 *
 * A plugin is a file in `drivers/`, `os-modules/` or `predictive/` that exports an object literal (`export default` or
 * `module.exports =`). It is loaded with `require`, checked, and used from the next reservation on.
 *
 * THE LIFE OF A HYPERVISOR DRIVER: the calls for one reservation, in their order.
 *
 *  0. The file is read, judged and run once a version (drivers/README.md). What a reservation began with it keeps to its
 *     end, whatever becomes of the file; a daemon that was started anew uses what is there then.
 *  1. `probe(host)`          once a host and version of the file, however many reservations ask; not when the host pins a
 *                            driver. Changes nothing. One yes: that driver drives the host. None, or two: the reservation
 *                            fails with what each said. A probe that throws is a no.
 *  2. `diskFormats`, `bootMethods`, `defaultBoot(reservation)`: what the VM profile and the boot parameters ask for and the
 *                            driver does not have is refused here, before anything is changed on the host.
 *  3. `removeDisks(context)` after the domains that the computer had were removed, if it had any. Success when nothing is there.
 *  4. `domainType(host)`     where it is a function; then the core builds the default tree with it.
 *  5. `extendDomainXml(xml, context)` pure and at once: gets a deep copy, and what it returns is defined. The same question
 *                            gets the same answer: it is asked any number of times.
 *  6. `preDefine(context)`   makes the disks. Skipped when this very load has defined its domain already. Killed half way,
 *                            it is called again from the top: what is there already MUST be left as it is, what is half
 *                            done be made whole. After it the core writes the XML file and defines the domain.
 *  7. `preStart(context)`    before each start of the domain, the later ones too. MUST be safe to repeat. The core starts.
 *  8. `consoleLog(name)`     when the guest does not answer, and when a domain is removed. Pure.
 *  9. `removeDisks(context)` again when the computer is unloaded, and when the load failed: then all is undone in reverse,
 *                            6 before 3. What it throws then is logged as left behind, and the computer is not handed out.
 *
 * AT THE SAME TIME: for one computer one call at a time; for different computers, of one host too, any number. What a
 * driver shares among them (a folder, a volume group) it locks on the host (`flock`), not in its own variables: after a
 * failure another management node may do the same work.
 * TIME: each call has `hookTimeoutMs` (`probe` and `domainType` a minute at most) and 5 s without an `await`. Then, and when
 * the daemon stops or the user ends the reservation, `context.signal` is aborted and the hook has 2 s to come to an end.
 *
 * THE LIFE OF AN OS MODULE: `postLoad` after the guest answered; then, each at most once at a time, `reserve`,
 * `setFixedAddress`, `grantAccess`, `updateCluster`, `postReserve`, `isUserConnected` (repeatedly), `postInitialConnection`; at the end either
 * `sanitize` (the machine is handed out again) or `postReservation` (it is reloaded). `reboot` on demand; `preCapture`
 * and `shutdown` when the machine becomes an image. Every stage
 * is optional and MUST be safe to repeat from its beginning.
 *
 * THE LIFE OF A PREDICTIVE MODULE: `decide` once a reservation is over and its machine was used. It only asks.
 *
 * ERRORS: what a hook throws is blamed on the plugin, but errors of the verbs of its context pass as they are. A plugin
 * that knows better whom its error concerns gives it a code of the catalogue in lib/errors.ts:
 * `throw Object.assign(new Error('…'), { code: 'REQUEST_INVALID' })`.
 */
import type { Host } from '../host/host';
import type { Forecast, ImageChoice } from '../model/forecast';
import type { BootloaderBoot, BootMethod, BootPlan } from '../model/boot';
import type { FixedAddress, Reservation } from '../model/reservation';
import type { DomainIdentity } from '../model/identity';

export type { BootloaderBoot, BootPlan };

export const API_VERSION = 1;

/** XML as xml2js reads it: `$` attributes, `_` text, every child an array. */
export interface XmlNode {
  $?: Record<string, string>;
  _?: string;
  [child: string]: XmlNode[] | Record<string, string> | string | undefined;
}

/** `{ domain: … }` */
export interface DomainXml {
  domain: XmlNode;
}

export interface PluginLogger {
  debug(message: string, details?: object): void;
  info(message: string, details?: object): void;
  warn(message: string, details?: object): void;
  error(message: string, details?: object): void;
}

export interface Plugin {
  readonly apiVersion: typeof API_VERSION;
  /** Lower case letters, digits and hyphens; unique among its kind. */
  readonly name: string;
  /** One line for `provisiond plugins`. */
  readonly description?: string;
}

// ---------------------------------------------------------------------------------------------- hypervisor drivers

export interface ProbeVerdict {
  readonly usable: boolean;
  /** Why (not), for people: it appears in `provisiond check` and in errors. */
  readonly reason: string;
}

/** What `probe` and the hooks may ask of a host; one look answered it all. */
export interface HostFactsForDriver {
  readonly host: Host;
  /** `virsh capabilities` as a tree. */
  readonly capabilities: XmlNode;
  /** Domain types that libvirt offers for the host's own architecture: `kvm`, `qemu`, `xen` … */
  readonly domainTypes: readonly string[];
  /** Whether KVM really runs a guest: something was booted with it, the device file alone proves nothing. */
  kvmWorks(): Promise<boolean>;
}

export interface DriverContext {
  readonly reservation: Reservation;
  readonly identity: DomainIdentity;
  readonly host: HostFactsForDriver;
  /** How the guest is to boot, one of the driver's `bootMethods`; the tree says so already in libvirt's words. */
  readonly boot: BootPlan;
  /** Files of this load. */
  readonly disk: { readonly path: string; readonly format: string };
  readonly images: ImageVerbs;
  readonly log: PluginLogger;
  readonly signal: AbortSignal;
}

/** What a driver may do with images, without knowing how. All are safe to repeat. */
export interface ImageVerbs {
  /**
   * Makes sure the reservation's base image is on the host in the given format, copied from the repository when it is
   * not (once, however many ask).
   * @returns where it is and its real format
   * @throws IMAGE_NOT_FOUND, IMAGE_AMBIGUOUS, IMAGE_UNTRUSTED, IMAGE_COPY_FAILED, HOST_DISK_FULL
   */
  ensureBase(format: string): Promise<{ path: string; format: string; virtualSizeBytes: number }>;
  /** Makes the copy-on-write disk of this load on the base; nothing when it is there. @throws HOST_DISK_FULL */
  createOverlay(base: { path: string; format: string }, disk: { path: string; format: string }): Promise<void>;
  /** Makes an independent copy of the base as the disk of this load. */
  copyBase(base: { path: string; format: string }, disk: { path: string; format: string }): Promise<void>;
}

export interface HypervisorDriver extends Plugin {
  /** `<domain type=…>`: a word, or what a host makes of it. */
  readonly domainType: string | ((host: HostFactsForDriver) => Promise<string> | string);
  /** `<driver name=…>` of disks. */
  readonly diskDriverName: string;
  /** Disk formats it can run from, the preferred first. */
  readonly diskFormats: readonly string[];
  /** Ways of booting that it has; default: `firmware`. What is not here is refused before anything is changed. */
  readonly bootMethods?: readonly BootMethod[];
  /** How a guest boots of which nobody said anything. Default: from its first disk, by a BIOS. Pure. */
  defaultBoot?(reservation: Reservation): BootPlan;
  /** File on the host with what the guest says, where the hypervisor itself writes it (append-only, by name). Pure. */
  consoleLog?(domainName: string): string;
  /** Can this driver drive that host? */
  probe(host: HostFactsForDriver): Promise<ProbeVerdict> | ProbeVerdict;
  extendDomainXml?(xml: DomainXml, context: DriverContext): DomainXml;
  preDefine?(context: DriverContext): Promise<void>;
  preStart?(context: DriverContext): Promise<void>;
  removeDisks?(context: DriverContext): Promise<void>;
}

// ---------------------------------------------------------------------------------------------------- OS modules

/** A line that a stage script printed as `@@name value`. */
export type StageResults = Readonly<Record<string, string>>;

export interface Guest {
  /** The address that answers, for messages. */
  readonly address: string;
  /**
   * Runs one script in the guest (POSIX sh, on the connection that is already open).
   * @param name  of the stage, for the log
   * @param text  constant program text; data comes as `$1 …`
   * @param args  positional parameters; visible in the guest's process list, so no secrets
   * @param input lines for standard input: secrets go here
   * @returns what the script printed as `@@name value` lines; other output goes to the log
   * @throws GUEST_COMMAND_FAILED (with the script's `@@error message` line when it printed one)
   */
  script(name: string, text: string, args?: readonly (string | number)[], input?: string): Promise<StageResults>;
}

export interface OsContext {
  readonly reservation: Reservation;
  readonly guest: Guest;
  readonly log: PluginLogger;
  readonly signal: AbortSignal;
}

export interface ReserveContext extends OsContext {
  /** The accounts that the guest is to have. */
  readonly accounts: readonly GuestAccount[];
}

export interface GuestAccount {
  readonly login: string;
  readonly uid: number | null;
  /** Null: the account has no password of ours (federated log-in). */
  readonly password: string | null;
  readonly sshPublicKeys: readonly string[];
  readonly root: boolean;
  /** The user may have changed it: the password is only set when the account has to be made. */
  readonly keepsPassword?: boolean;
}

/** A machine of a cluster, as the others reach it. */
export interface ClusterMember {
  readonly address: string;
  readonly isParent: boolean;
}

export interface GuestStatus {
  /** `imagerevision_id` of `currentimage.txt`; null: no such file or line. */
  readonly imageRevisionId: number | null;
  readonly postLoadDone: boolean;
  /** A user was on it since the load: it must be reloaded before another gets it. */
  readonly tainted: boolean;
  /** Another one after each start of the guest; left out: the module cannot tell. */
  readonly bootId?: string;
}

export interface SiteScript {
  /** Stage and file, for the log. */
  readonly name: string;
  readonly content: string;
  /** Does things for this user: the machine must be reloaded before another gets it. */
  readonly taints: boolean;
  readonly timeoutMs: number;
}

export interface OsModule extends Plugin {
  /** The log-in for provisiond's key. Default `root`. */
  readonly loginUser?: string;
  /** What its scripts are written in: POSIX sh (default), or PowerShell 5.1 that begins with `param($a, $in)`. */
  readonly shell?: 'sh' | 'powershell';
  /** What `currentimage.txt` says. */
  status?(context: OsContext): Promise<GuestStatus>;
  /** First set-up after a load: host name, passwords, host keys, clock, `currentimage.txt` with the post-load mark. */
  postLoad?(context: OsContext): Promise<void>;
  /** Makes the accounts. @returns the address users connect to, where the guest knows better than the database */
  reserve?(context: ReserveContext): Promise<{ publicIp?: string }>;
  /** The user acknowledged: start the services and open the ports of the connect methods (to `remoteIp` once known). */
  grantAccess?(context: OsContext & { readonly remoteIp: string }): Promise<void>;
  /** The public address that a server request is to have; without this stage such requests fail. */
  setFixedAddress?(context: OsContext & { readonly address: FixedAddress }): Promise<void>;
  /** The machines of a cluster, the parent first: tells the guest of them and lets them in. */
  updateCluster?(context: OsContext & { readonly members: readonly ClusterMember[] }): Promise<void>;
  /** @param context with what the maker of a server request left for the guest; null: nothing */
  postReserve?(context: OsContext & { readonly userData: string | null }): Promise<void>;
  /** Is a user of the reservation logged in or connected? @returns the address seen, null when nobody is */
  isUserConnected?(
    context: OsContext & { readonly remoteIp: string; readonly ignoredAddresses: readonly string[] },
  ): Promise<{ remoteIp: string } | null>;
  /** A user was on it: marks the machine tainted, narrows the ports to the user's address. */
  postInitialConnection?(context: OsContext & { readonly remoteIp: string }): Promise<void>;
  /** Removes what a reservation that nobody used left. @throws when it cannot: the machine is then reloaded */
  sanitize?(context: ReserveContext): Promise<void>;
  /** Last stage before the machine is reloaded or removed. */
  postReservation?(context: OsContext): Promise<void>;
  /**
   * The machine becomes an image: nothing of its user and of this one computer may stay in it. Only called on a disk that
   * can be thrown away or given back; the guest is shut down next.
   * @param context with the name that the image gets; `currentimage.txt` is to hold it
   */
  preCapture?(context: OsContext & { readonly imageName: string }): Promise<void>;
  /** Shows a line on the terminals or the desktop of the reservation's user, if he is there. */
  notifyUser?(context: OsContext & { readonly message: string }): Promise<void>;
  /**
   * Runs a script of the site in the guest, as the maker of the guest's OS would: a file with its own interpreter.
   * @throws when it failed, or took longer than its time
   */
  runScript?(context: OsContext & { readonly script: SiteScript }): Promise<void>;
  reboot?(context: OsContext): Promise<void>;
  shutdown?(context: OsContext): Promise<void>;
}

// ---------------------------------------------------------------------------------------------- predictive modules

export interface PredictiveContext {
  /** The reservation that is over. */
  readonly reservation: Reservation;
  readonly forecast: Forecast;
  readonly log: PluginLogger;
  readonly signal: AbortSignal;
}

export type PredictiveDecision =
  { readonly action: 'reload'; readonly image: ImageChoice } | { readonly action: 'unload' };

export interface PredictiveModule extends Plugin {
  /** What the computer is to hold until somebody reserves it. An error is told in the log and means the same image. */
  decide(context: PredictiveContext): Promise<PredictiveDecision> | PredictiveDecision;
}
