/**
 * What the daemon asks of the database, in words of the domain. No caller sees a table, a column or SQL.
 *
 * Rules for implementations (design: "Database rules"):
 * - An outage is not an empty answer: a failed query throws DATABASE_UNAVAILABLE or DATABASE_FAILED.
 * - Every write that decides something carries the lease's token and the claim's states in its WHERE and throws
 *   LEASE_LOST or CLAIM_LOST when it changed nothing.
 * - Times are compared in SQL with the database's clock.
 */
import type { BackgroundStore } from './background';
import type { Forecast } from '../model/forecast';
import type {
  FixedAddress,
  GroupMember,
  ManagementNodeFacts,
  NatForward,
  NatHost,
  RequestRow,
  Reservation,
  ServerFacts,
} from '../model/reservation';
import type { RequestClock } from '../model/timings';
import type { OperationStore } from './operation-store';
import type { CloneStore } from './clone-store';
import type { InstanceStore } from './instance-store';
import type { VolumeStore } from './volume-store';
import type { BaseRecords } from '../model/base-file';
import type { ImagePartner } from '../model/image-library';
import type { ComputerState, LogEnding, RequestState, StateName, WorkableState } from '../model/states';

export type { CallOutcome, DueBlock, MessageFacts, Parcel, Queue, QueuedCall, QueuedMessage } from './background';

export type { ChildOperation } from './clone-store';
export type { RevisionFacts, SizedVolume, Trash } from './volume-store';

export interface Lease {
  readonly managementNodeId: number;
  readonly holder: string;
  /** Grows by one with each new holder; every write of a state carries it. */
  readonly token: number;
}

/** A request that a state handler should look at; the timing rules decide whether it is really due. */
export interface DueRequest extends RequestClock {
  readonly requestId: number;
  /** Of the user: its own timings may hold. */
  readonly affiliation: string;
}

/** A request in our hands: `pending`, with the state we took it up in as its last state. */
export interface Claim {
  readonly requestId: number;
  readonly state: WorkableState;
  /** `laststate` before we took it up: reclaim decides by it, and `pending` overwrites it. Kept in `provisiond_job`. */
  readonly lastState: StateName;
  /** Names this piece of work across restarts: a resumed claim has the same one, a new claim a new one. */
  readonly loadId: string;
  readonly lease: Lease;
  /** Another management node took the request up, and moves its row; this one works its own reservations of it. */
  readonly isMember?: true;
}

export interface PollAnswer {
  readonly due: readonly DueRequest[];
  /** Requests that another management node has in hand, with reservations of this node that it has not ended yet. */
  readonly joinable: readonly number[];
  /** The present rows of the requests in hand; one that is missing was deleted by the front end. */
  readonly inHand: ReadonlyMap<number, RequestRow>;
}

/** How a claim ends; written in one transaction. */
export interface Transition {
  /** The next state of the request; `remove` deletes the request and all that hangs on it. */
  readonly request: RequestState | 'remove';
  /** Left out: the computer's state stays. Never overwrites `maintenance` or `deleted`, which an admin wrote. */
  readonly computer?: ComputerState;
  /** By `computer.id`, where the computers of a cluster differ; wins over `computer`. */
  readonly computers?: ReadonlyMap<number, ComputerState>;
  /** The attempt to load ahead of the start was made: `request.preload`. */
  readonly preloaded?: true;
  /** Of a request whose row is known to be gone: whether anything is left on its computers. */
  readonly unloaded?: boolean;
  /** `log.ending`, with `finalend` = now; left out: the log is not closed. */
  readonly ending?: LogEnding;
}

export type FinishOutcome = 'done' | 'overtaken' | 'gone';

/** One line of the story of a reservation. */
export interface StoryLine {
  readonly reservationId: number;
  readonly computerId: number;
  /** A name of `computerloadstate`; null: only for `provisiond_event`. */
  readonly loadState: string | null;
  readonly text: string;
  readonly event?: {
    readonly requestId: number;
    readonly loadId: string;
    readonly state: string;
    readonly step: string;
    readonly kind: 'begun' | 'skipped' | 'ended' | 'failed' | 'undone' | 'note';
    readonly milliseconds?: number;
    readonly errorCode?: string;
    readonly blame?: string;
    readonly hint?: string;
  };
}

/** So many requests of a node in a state and of an age. */
export interface Census {
  readonly state: StateName | 'unknown';
  readonly lastState: StateName | 'unknown';
  /** The band of age: 60, 600 …, Infinity; 0: its start is still to come. */
  readonly youngerThanSeconds: number;
  readonly requests: number;
  readonly oldestSeconds: number;
}

export interface Competitor {
  readonly requestId: number;
  readonly state: StateName;
  readonly lastState: StateName;
  readonly secondsToStart: number;
  readonly secondsToEnd: number;
  readonly imageRevisionId: number;
}

/** A reservation of a request as the others see it. */
export interface Sibling {
  readonly reservationId: number;
  readonly managementNodeId: number;
  readonly publicIp: string;
  /** The names of its loadlog rows. */
  readonly told: ReadonlySet<string>;
  /** The id of its newest loadlog row: it grows while the sibling gets on. */
  readonly newestLine: number;
}

/** What the database says of itself. */
export interface StoreFinding {
  readonly check: string;
  readonly problem: boolean;
  readonly text: string;
  /** The command that mends it; null: nothing is to be mended. */
  readonly mend: string | null;
}

export interface CapturedImage {
  /** The base name of its files. */
  readonly name: string;
  readonly sizeMiB: number;
  /** By VCL's `imagetype.name`. */
  readonly format: string;
  /** What becomes of the computer: loaded with the new image, or kept by its user (whose absence then counts no more). */
  readonly then: 'reload' | 'keep';
}

export type SchemaState = 'current' | 'missing' | 'older' | 'newer';

export interface Store extends BackgroundStore, OperationStore, VolumeStore, CloneStore, InstanceStore, BaseRecords {
  /** `sqlite:/path` or `mysql://user@host/name`, without any password. */
  readonly label: string;
  close(): Promise<void>;
  /** The database's clock, as VCL's columns hold times: zone-less, `YYYY-MM-DD HH:MM:SS`. */
  now(): Promise<string>;

  /** By the rows of the newest reservation that began at once; null: there is none. Another time zone shows here too. */
  frontEndSecondsAhead(): Promise<number | null>;

  // --- schema
  schemaState(): Promise<SchemaState>;
  /**
   * Creates or upgrades: VCL's part only where no VCL tables are, our `provisiond_…` tables always.
   * @returns what was done, a sentence each. @throws SCHEMA_NEWER
   */
  migrate(): Promise<string[]>;

  /** Grants, settings, integrity: for people. */
  examine(): Promise<StoreFinding[]>;

  // --- management node and lease
  /** The node whose `hostname` is that name or begins with it and a dot. @throws NOT_FOUND */
  managementNode(hostname: string): Promise<ManagementNodeFacts>;
  /** `managementnode.lastcheckin` = now: the front end allocates to nodes that checked in within 5 minutes. */
  checkIn(lease: Lease): Promise<void>;
  /**
   * @param dead a holder that is known to be dead: its lease is taken before it runs out
   * @returns null while another holder's lease lives
   */
  acquireLease(managementNodeId: number, holder: string, seconds: number, dead?: string): Promise<Lease | null>;
  /** Whose lease lives; null: nobody's. */
  leaseHolder(managementNodeId: number): Promise<string | null>;
  /** @throws LEASE_LOST */
  renewLease(lease: Lease, seconds: number): Promise<void>;
  releaseLease(lease: Lease): Promise<void>;

  // --- inbox
  /** What may be due on this node, and the present rows of the requests in hand, as few statements as can be. */
  poll(managementNodeId: number, inHand: readonly number[]): Promise<PollAnswer>;
  /** All requests of the node, counted. */
  census(managementNodeId: number): Promise<Census[]>;
  /** Takes a request up: `pending`, its state kept as last state. @returns null when it is not in that state any more */
  claim(lease: Lease, due: Pick<DueRequest, 'requestId' | 'state' | 'lastState'>): Promise<Claim | null>;
  /** Takes part in what another node took up. @returns null when it is over already */
  join(lease: Lease, requestId: number): Promise<Claim | null>;
  /** Every `pending` request of the node as a claim of ours: work that a predecessor left in the middle. */
  adoptOrphans(lease: Lease, except: readonly number[]): Promise<Claim[]>;
  /** The reservations of a claimed request, the parent (lowest id) first, each read once and frozen. */
  readReservations(claim: Claim): Promise<Reservation[]>;
  /** All rows of `variable` that hold numbers or text. */
  variables(): Promise<ReadonlyMap<string, string>>;
  /** Deletes a request that came to rest (complete, failed) and whose time is over. */
  removeAtRest(lease: Lease, requestId: number): Promise<void>;

  // --- while in hand
  /** Appends to `computerloadlog` and `provisiond_event`, all in one statement each. Text is cut to what fits. */
  tell(lines: readonly StoryLine[]): Promise<void>;
  /** Deletes loadlog rows by name, for example `acknowledgetimeout` once the user came. */
  untell(reservationId: number, loadStates: readonly string[]): Promise<void>;
  setComputerState(claim: Claim, computerId: number, state: ComputerState): Promise<void>;
  /** `currentimageid`, `imagerevisionid`; null: VCL's `noimage`. */
  setCurrentImage(claim: Claim, computerId: number, image: { id: number; revisionId: number } | null): Promise<void>;
  /** `computer.nextimageid`: what the computer is to get when it is free. */
  setNextImage(claim: Claim, computerId: number, imageId: number): Promise<void>;
  /** `computer.vmhostid` = null. */
  unassignComputer(claim: Claim, computerId: number): Promise<void>;
  /** The guest's ssh host key, recorded after a load; null: forget it, another load comes. */
  setGuestKey(claim: Claim, computerId: number, key: string | null): Promise<void>;
  setPublicIp(claim: Claim, reservation: Reservation, publicIp: string): Promise<void>;
  /** `reservation.pw`, and the owner's row of `reservationaccounts`; null: a federated account. */
  setPassword(claim: Claim, reservation: Reservation, password: string | null): Promise<void>;
  /** `log.loaded` = now, the first time only. */
  setLoaded(claim: Claim, reservation: Reservation): Promise<void>;
  setRemoteIp(claim: Claim, reservationId: number, remoteIp: string): Promise<void>;
  touchLastCheck(claim: Claim, reservationId: number): Promise<void>;
  /** Other live requests on the computer whose time overlaps. */
  competitors(computerId: number, requestId: number): Promise<Competitor[]>;
  /** Has another request the computer by now? Those that only wait for it do not count. */
  isHeldByOthers(computerId: number, requestId: number): Promise<boolean>;
  /** Sets another request complete, if it still is in that state. Used for leftovers that stand in the way. */
  completeCompetitor(claim: Claim, competitor: Competitor): Promise<void>;
  /**
   * A reload request for the computer, as user `vclreload`, from now for 30 minutes, `laststate` = `lastState`.
   * Does nothing when one is waiting already. @returns its request id
   */
  insertReload(claim: Claim, reservation: Reservation, image: { id: number; revisionId: number }): Promise<number>;

  /** What may be asked about the future of the reservation's computer. */
  forecast(reservation: Reservation): Forecast;
  /** `computer.nextimageid` = `noimage`, when it was that image: it has been ordered. */
  fulfilNextImage(claim: Claim, computerId: number, imageId: number): Promise<void>;

  /**
   * The reservation's revision becomes the one that users get; idle computers with another one are to be reloaded.
   * @returns how many reloads wait now
   */
  makeProduction(claim: Claim, reservation: Reservation): Promise<number>;

  /** Management nodes that images may be fetched from. */
  imagePartners(managementNodeId: number): Promise<ImagePartner[]>;
  // --- captures
  /** Image and revision of the reservation are there for users: not marked deleted. */
  isImageLive(reservation: Reservation): Promise<boolean>;
  /** The pretty name of another image, or of that of another revision, which has that file name; null: nobody has. */
  imageNamed(name: string, reservation: Reservation): Promise<string | null>;
  /**
   * The captured image becomes one that users get: names, size, dates, deleted flags, and the reload of the computer with
   * it, all or nothing. Written again it is the same. @throws CONFLICT for a name that is taken
   */
  recordCapture(claim: Claim, reservation: Reservation, captured: CapturedImage): Promise<void>;

  // --- clusters
  /** All reservations of a request, the parent first. */
  siblings(requestId: number): Promise<Sibling[]>;

  // --- NAT hosts
  /** Null: none. @throws REQUEST_INVALID: it is a machine that this node cannot reach */
  natHost(reservation: Reservation): Promise<NatHost | null>;
  /** A port of its own for each of the connect methods'; those that it has stay. @throws REQUEST_INVALID: none is free */
  reserveNatPorts(claim: Claim, reservation: Reservation, nat: NatHost, ranges: string): Promise<NatForward[]>;
  /** In VCL's history, once. */
  noteNatForwards(reservation: Reservation, nat: NatHost, forwards: readonly NatForward[]): Promise<void>;

  // --- server requests
  /** As it is now: the front end writes this row after the reservation. */
  serverFacts(requestId: number): Promise<ServerFacts | null>;
  /** The members of its groups without the owner. */
  groupMembers(reservation: Reservation, server: ServerFacts): Promise<GroupMember[]>;
  /** The rows of `reservationaccounts` but the owner's: exactly these. */
  setMembers(
    claim: Claim,
    reservation: Reservation,
    members: readonly { readonly userId: number; readonly password: string | null }[],
  ): Promise<void>;
  /** @returns null when it has none @throws REQUEST_INVALID */
  fixedAddress(server: ServerFacts): Promise<FixedAddress | null>;
  /** The name of another computer with that public address. */
  addressHolder(computerId: number, ip: string): Promise<string | null>;
  /** Writes down the computer's own address (`originalIPaddr_…`), once. */
  keepOriginalAddress(claim: Claim, reservation: Reservation): Promise<void>;
  /** The computer gets that address back; the variables of the fixed one go. Nothing there is success. */
  releaseFixedAddress(claim: Claim, reservation: Reservation): Promise<void>;
  /** What the maker of the request left for the guest. */
  userData(reservation: Reservation): Promise<string | null>;
  forgetUserData(claim: Claim, reservation: Reservation): Promise<void>;

  /**
   * Ends the claim: story, log, computer, request, in one transaction.
   * The front end may have written another state meanwhile: then the request is left as it is and 'overtaken' returned;
   * or deleted the row: then nothing is written and 'gone' returned, until the transition says that this is known.
   * Loadlog rows are removed as VCL does: only `begin` after new and reserved, else all; then `exited` is added.
   */
  finish(claim: Claim, reservations: readonly Reservation[], transition: Transition): Promise<FinishOutcome>;
}
