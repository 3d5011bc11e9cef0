/**
 * What VCL's web front end writes and reads, for the CLI: the same rows in the same order
 * (`addRequest`, `Connect`, `extend`, `end` of Apache VCL 2.5.1), and the inventory an admin enters there.
 */
import type { Blame } from '../errors';
import type { ImageUse } from '../model/base-file';
import type { BootParameters } from '../model/boot';
import type { PlanOwner, WantedVolume } from '../model/volume';
import type { HostFacts } from '../model/reservation';
import type { StateName } from '../model/states';
import type { PowerState } from '../model/vm-states';
import type { ApplianceFrontEnd } from './instance-store';
import type { VmFrontEnd } from './vm-front-end';

export interface NewReservation {
  readonly image: string;
  readonly user: string;
  /** `YYYY-MM-DD HH:MM[:SS]` in the database's time; null: now, floored to the quarter hour as the web does. */
  readonly start: string | null;
  readonly minutes: number;
  /** Take this computer instead of any free one. */
  readonly computer?: string;
}

export interface ReservationSummary {
  readonly requestId: number;
  readonly reservationId: number;
  readonly state: StateName;
  readonly lastState: StateName;
  /** What the front end would show: `loading`, `ready`, `failed`, `timedout`, `inuse`, `ending` … */
  readonly status: string;
  readonly user: string;
  readonly image: string;
  readonly computer: string;
  readonly host: string | null;
  readonly start: string;
  readonly end: string;
}

export interface TimelineEntry {
  readonly id: number;
  readonly time: string;
  readonly state: string;
  readonly step: string;
  readonly kind: string;
  readonly milliseconds: number | null;
  readonly loadState: string | null;
  readonly text: string;
  readonly errorCode: string | null;
  readonly blame: Blame | null;
  readonly hint: string | null;
}

/** What is known of the power of a reservation's machine (lib/operations/README.md). */
export interface MachinePower {
  readonly computer: string;
  readonly powerState: PowerState;
  /** virsh's words, or why nothing is known. */
  readonly reason: string;
  readonly guestSleeping: boolean;
  readonly fault: string | null;
}

export interface ReservationDetails extends ReservationSummary {
  /** Of each machine that something is known of. */
  readonly power: readonly MachinePower[];
  readonly address: string | null;
  readonly password: string | null;
  readonly port: number | null;
  readonly acknowledged: boolean;
  readonly timeline: readonly TimelineEntry[];
}

export interface ComputerSummary {
  readonly id: number;
  readonly name: string;
  readonly state: StateName;
  readonly host: string | null;
  readonly image: string;
  readonly privateIp: string | null;
  readonly publicIp: string;
}

export interface HostSummary {
  readonly computerId: number;
  readonly name: string;
  readonly address: string;
  readonly transport: 'ssh' | 'local';
  readonly port: number;
  readonly user: string;
  readonly hostKey: string | null;
  readonly driver: string | null;
  readonly profile: string;
  readonly computers: number;
  /** The same as a reservation on that host would see it: what is needed to connect and to look at its folders. */
  readonly facts: HostFacts;
}

export interface ImageSummary {
  readonly id: number;
  readonly revisionId: number;
  readonly name: string;
  readonly prettyName: string;
  readonly os: string;
  readonly sizeMiB: number;
  readonly production: boolean;
}

export interface NewHost {
  readonly name: string;
  readonly address: string;
  readonly transport: 'ssh' | 'local';
  readonly port: number;
  readonly user: string;
  readonly hostKey: string | null;
  readonly driver: string | null;
  readonly maxLoads: number | null;
  readonly datastorePath: string;
  readonly vmPath: string | null;
  readonly repositoryPath: string | null;
  readonly privateNetwork: string;
  readonly publicNetwork: string;
  readonly ramMiB: number;
  readonly cpus: number;
}

export interface NewComputer {
  readonly name: string;
  readonly host: string;
  readonly privateIp: string;
  readonly publicIp: string | null;
  /** Null: derived from the computer's id. */
  readonly privateMac: string | null;
  readonly publicMac: string | null;
  readonly ramMiB: number;
  readonly cpus: number;
  /** What becomes of it after a reservation: unload it, or reload the same or the next image. */
  readonly afterwards: 'unload' | 'reload';
}

export interface NewImage {
  readonly prettyName: string;
  /** `OS.name`, for example `vmwarelinux`. */
  readonly os: string;
  readonly ramMiB: number;
  readonly cpus: number;
  readonly sizeMiB: number;
  readonly owner: string;
}

/** A module that images or computers of the site need. */
export interface ModuleUse {
  /** Null: the OS has none, and its images cannot be reserved. */
  readonly perlPackage: string | null;
  readonly name: string;
  readonly uses: number;
}

export type BootOwner = 'computer' | 'image' | 'profile';

export interface BootEntry {
  readonly kind: BootOwner;
  readonly name: string;
  readonly parameters: BootParameters;
}

export interface OwnerComputer {
  readonly computerId: number;
  readonly shortName: string;
  readonly state: StateName;
  readonly hostComputerId: number | null;
  /** What it is kept loaded with; null: nothing. */
  readonly currentRevisionId: number | null;
  /** A request that is not at rest has it. */
  readonly isBusy: boolean;
}

/** What the rows own on the hosts. */
export interface Ownership {
  readonly computers: readonly OwnerComputer[];
  readonly requestIds: readonly number[];
  readonly imageRevisionIds: readonly number[];
}

export type RecoveryKind = 'retry' | 'fail' | 'release';

export interface Recovery {
  readonly requestId: number;
  readonly kind: RecoveryKind;
  readonly from: { readonly state: StateName; readonly lastState: StateName };
  /** Null: nothing has to be written. */
  readonly to: { readonly state: StateName; readonly lastState: StateName } | null;
  readonly computer: 'failed' | 'available' | 'inuse' | null;
  /** What comes of it, for people. */
  readonly says: string;
}

export interface FrontEnd extends VmFrontEnd, ApplianceFrontEnd {
  /** All of it as it was at one moment. */
  ownership(): Promise<Ownership>;
  /**
   * The operator's way out, in every state of a request. @param options dryRun: only says what it would do
   * @throws REQUEST_NOT_FOUND; CONFLICT when a living daemon works it, or it is over; CLAIM_LOST when it changed meanwhile
   */
  recover(requestId: number, kind: RecoveryKind, options: { readonly dryRun: boolean }): Promise<Recovery>;
  /** @throws NOT_FOUND (image, user), CONFLICT when no computer is free for that image and time (says why for each) */
  addReservation(wanted: NewReservation): Promise<{ requestId: number; reservationId: number }>;
  /** The Connect button: `remoteIP`, changelog, loadlog `initialconnecttimeout`. @throws REQUEST_NOT_FOUND, CONFLICT */
  connect(requestId: number, fromIp: string): Promise<ReservationDetails>;
  /** @returns the new end. @throws REQUEST_NOT_FOUND, CONFLICT */
  extend(requestId: number, minutes: number): Promise<string>;
  /** As the web does: a request that has not started is deleted, any other gets state `deleted`. */
  end(requestId: number): Promise<'deleted' | 'ending'>;
  listReservations(): Promise<ReservationSummary[]>;
  /** @throws REQUEST_NOT_FOUND. A request whose rows are gone is shown from its events. */
  show(requestId: number, sinceEventId?: number): Promise<ReservationDetails>;
  listComputers(): Promise<ComputerSummary[]>;
  listHosts(): Promise<HostSummary[]>;
  listImages(): Promise<ImageSummary[]>;
  modulesInUse(): Promise<{ os: ModuleUse[]; predictive: ModuleUse[] }>;
  /** All revisions, the deleted ones as well, and who still needs their files. */
  listImageUse(): Promise<ImageUse[]>;
  /** The row of this management node, made when it is missing. @returns its id */
  ensureManagementNode(hostname: string, address: string, keyFiles: readonly string[]): Promise<number>;
  ensureUser(login: string): Promise<number>;
  /** Makes or changes the host of that name with its computer, vmhost, vmprofile, resource and provisiond_host rows. */
  putHost(host: NewHost, managementNodeId: number): Promise<number>;
  putComputer(computer: NewComputer, managementNodeId: number): Promise<number>;
  /** @returns the new revision's ids and its file base name, `<OS>-<pretty name><id>-v<revision>` */
  /**
   * How guests boot: of a computer before that of its image, and that before that of the VM profile of its host.
   * @param parameters null: as if nobody had said anything
   * @throws NOT_FOUND
   */
  putBoot(kind: BootOwner, name: string, parameters: BootParameters | null): Promise<void>;
  /** A volume that later loads make. @throws NOT_FOUND; CONFLICT for a data volume that is not a computer's */
  planVolume(kind: PlanOwner, owner: string, volume: WantedVolume): Promise<void>;
  /** @throws NOT_FOUND */
  unplanVolume(kind: PlanOwner, owner: string, name: string): Promise<void>;
  listPlannedVolumes(): Promise<(WantedVolume & { readonly kind: PlanOwner; readonly owner: string })[]>;
  listBoot(): Promise<BootEntry[]>;
  addImage(image: NewImage): Promise<{ imageId: number; revisionId: number; fileName: string }>;
}
