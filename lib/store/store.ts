/**
 * What the daemon asks of the database, in words of the domain. No caller sees a table, a column or SQL.
 *
 * Rules for implementations (design: "Database rules"):
 * - An outage is not an empty answer: a failed query throws DATABASE_UNAVAILABLE or DATABASE_FAILED.
 * - Every write that decides something carries the lease's token and the claim's states in its WHERE and throws
 *   LEASE_LOST or CLAIM_LOST when it changed nothing.
 * - Times are compared in SQL with the database's clock.
 */
import type { Forecast } from '../model/forecast';
import type { Reservation, ManagementNodeFacts, RequestRow } from '../model/reservation';
import type { RequestClock } from '../model/timings';
import type { ComputerState, LogEnding, RequestState, StateName, WorkableState } from '../model/states';

export interface Lease {
  readonly managementNodeId: number;
  readonly holder: string;
  /** Grows by one with each new holder; every write of a state carries it. */
  readonly token: number;
}

/** A request that a state handler should look at; the timing rules decide whether it is really due. */
export interface DueRequest extends RequestClock {
  readonly requestId: number;
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
}

export interface PollAnswer {
  readonly due: readonly DueRequest[];
  /** The present rows of the requests in hand; one that is missing was deleted by the front end. */
  readonly inHand: ReadonlyMap<number, RequestRow>;
}

/** How a claim ends; written in one transaction. */
export interface Transition {
  /** The next state of the request; `remove` deletes the request and all that hangs on it. */
  readonly request: RequestState | 'remove';
  /** Left out: the computer's state stays. Never overwrites `maintenance` or `deleted`, which an admin wrote. */
  readonly computer?: ComputerState;
  /** `log.ending`, with `finalend` = now; left out: the log is not closed. */
  readonly ending?: LogEnding;
}

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

export interface Competitor {
  readonly requestId: number;
  readonly state: StateName;
  readonly lastState: StateName;
  readonly secondsToStart: number;
  readonly secondsToEnd: number;
  readonly imageRevisionId: number;
}

/** Something that waits to be delivered, and is tried again until it was. */
export interface Parcel {
  readonly id: number;
  /** How often it was tried before. */
  readonly attempts: number;
  readonly ageSeconds: number;
}

export interface QueuedMessage extends Parcel {
  readonly recipient: string;
  /** Null: the configured one. */
  readonly sender: string | null;
  readonly copy: string | null;
  readonly subject: string;
  readonly body: string;
}

export interface QueuedCall extends Parcel {
  readonly method: string;
  readonly parameters: readonly unknown[];
}

/** The sender's side of a queue. */
export interface Queue<P extends Parcel> {
  /** What may be tried now, the oldest first; few at a time. */
  due(managementNodeId: number): Promise<P[]>;
  /** It was delivered (`answer` is what came back), or never will be (`error` says why). @throws LEASE_LOST */
  settle(lease: Lease, id: number, outcome: { readonly answer: unknown } | { readonly error: string }): Promise<void>;
  /** @throws LEASE_LOST */
  postpone(lease: Lease, id: number, seconds: number, error: string): Promise<void>;
  /** Removes what was settled long ago. */
  prune(lease: Lease, days: number): Promise<void>;
}

/** A time of a block allocation that begins soon and for which no computers were chosen yet. */
export interface DueBlock {
  readonly blockId: number;
  readonly blockTimeId: number;
  readonly name: string;
  readonly machines: number;
  readonly start: string;
  readonly end: string;
  readonly image: string;
  readonly userGroup: string | null;
  readonly ownerEmail: string | null;
  readonly helpAddress: string | null;
}

export type CallOutcome =
  | { readonly state: 'waiting'; readonly error: string | null }
  | { readonly state: 'done'; readonly answer: unknown }
  | { readonly state: 'refused'; readonly error: string };

/** Of a reservation, for messages about it: a text for every `[identifier]` of VCL's templates, and the addresses. */
export interface MessageFacts {
  readonly substitutions: Readonly<Record<string, string>>;
  readonly affiliation: string;
  readonly userEmail: string;
  /** The user wants mail: `user.emailnotices`. */
  readonly userWantsMail: boolean;
  /** `affiliation.helpaddress`: the sender of messages to users. */
  readonly helpAddress: string | null;
  /** `managementnode.sysadminEmailAddress` and `sharedMailBox`. */
  readonly adminEmail: string | null;
  readonly sharedMailbox: string | null;
}

export type SchemaState = 'current' | 'missing' | 'older' | 'newer';

export interface Store {
  /** `sqlite:/path` or `mysql://user@host/name`, without any password. */
  readonly label: string;
  close(): Promise<void>;
  /** The database's clock, as VCL's columns hold times: zone-less, `YYYY-MM-DD HH:MM:SS`. */
  now(): Promise<string>;

  // --- schema
  schemaState(): Promise<SchemaState>;
  /**
   * Creates or upgrades: VCL's part only where no VCL tables are, our `provisiond_…` tables always.
   * @returns what was done, a sentence each. @throws SCHEMA_NEWER
   */
  migrate(): Promise<string[]>;

  // --- management node and lease
  /** The node whose `hostname` is that name or begins with it and a dot. @throws NOT_FOUND */
  managementNode(hostname: string): Promise<ManagementNodeFacts>;
  /** `managementnode.lastcheckin` = now: the front end allocates to nodes that checked in within 5 minutes. */
  checkIn(lease: Lease): Promise<void>;
  /** @returns null while another holder's lease lives */
  acquireLease(managementNodeId: number, holder: string, seconds: number): Promise<Lease | null>;
  /** @throws LEASE_LOST */
  renewLease(lease: Lease, seconds: number): Promise<void>;
  releaseLease(lease: Lease): Promise<void>;

  // --- inbox
  /** What may be due on this node, and the present rows of the requests in hand, as few statements as can be. */
  poll(managementNodeId: number, inHand: readonly number[]): Promise<PollAnswer>;
  /** Takes a request up: `pending`, its state kept as last state. @returns null when it is not in that state any more */
  claim(lease: Lease, due: Pick<DueRequest, 'requestId' | 'state' | 'lastState'>): Promise<Claim | null>;
  /** Every `pending` request of the node as a claim of ours: work that a predecessor left in the middle. */
  adoptOrphans(lease: Lease, except: readonly number[]): Promise<Claim[]>;
  /** The reservations of a claimed request, the parent (lowest id) first, each read once and frozen. */
  readReservations(claim: Claim): Promise<Reservation[]>;
  /** All rows of `variable` that hold numbers or text; `name|affiliation` wins over `name`. */
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
  /** The guest's ssh host key, recorded after a load; null: forget it, another load comes. */
  setGuestKey(claim: Claim, computerId: number, key: string | null): Promise<void>;
  setPublicIp(claim: Claim, reservation: Reservation, publicIp: string): Promise<void>;
  /** `reservation.pw`, and the owner's row of `reservationaccounts`. */
  setPassword(claim: Claim, reservation: Reservation, password: string): Promise<void>;
  /** `log.loaded` = now, the first time only. */
  setLoaded(claim: Claim, reservation: Reservation): Promise<void>;
  setRemoteIp(claim: Claim, reservationId: number, remoteIp: string): Promise<void>;
  touchLastCheck(claim: Claim, reservationId: number): Promise<void>;
  /** Other live requests on the computer whose time overlaps. */
  competitors(computerId: number, requestId: number): Promise<Competitor[]>;
  /** Sets another request complete, if it still is in that state. Used for leftovers that stand in the way. */
  completeCompetitor(claim: Claim, competitor: Competitor): Promise<void>;
  /**
   * A reload request for the computer, as user `vclreload`, from now for 30 minutes, `laststate` = `lastState`.
   * Does nothing when one is waiting already. @returns its request id
   */
  insertReload(claim: Claim, reservation: Reservation, image: { id: number; revisionId: number }): Promise<number>;

  // --- block allocations
  /** Of that node, accepted, and to begin within six hours. */
  dueBlocks(managementNodeId: number): Promise<DueBlock[]>;
  /** `blockRequest.processing`: the front end lets nobody change it meanwhile. */
  setBlockProcessing(lease: Lease, blockId: number, processing: boolean): Promise<void>;
  setBlockTimeProcessed(lease: Lease, blockTimeId: number): Promise<void>;
  /** Removes the times of the node's accepted blocks that are over; blocks that expired are completed. */
  endBlocks(lease: Lease): Promise<{ readonly times: number; readonly blocks: number }>;

  // --- what is delivered later
  readonly messages: Queue<QueuedMessage>;
  readonly calls: Queue<QueuedCall>;
  /** @param occasion names it: the same one again changes nothing */
  queueMessage(lease: Lease, occasion: string, message: Omit<QueuedMessage, keyof Parcel>): Promise<void>;
  queueCall(lease: Lease, occasion: string, call: Omit<QueuedCall, keyof Parcel>): Promise<void>;
  /** @returns null when there is no such call */
  callOutcome(occasion: string): Promise<CallOutcome | null>;
  /** Null: the reservation is gone. */
  messageFacts(reservationId: number): Promise<MessageFacts | null>;
  /** The first of these rows of `variable`, as it stands there (YAML). */
  firstVariable(names: readonly string[]): Promise<string | null>;

  /** What may be asked about the future of the reservation's computer. */
  forecast(reservation: Reservation): Forecast;
  /** `computer.nextimageid` = `noimage`, when it was that image: it has been ordered. */
  fulfilNextImage(claim: Claim, computerId: number, imageId: number): Promise<void>;

  /**
   * Ends the claim: story, log, computer, request, in one transaction.
   * The front end may have written another state meanwhile: then the request is left as it is and 'overtaken' returned.
   * Loadlog rows are removed as VCL does: only `begin` after new and reserved, else all; then `exited` is added.
   */
  finish(claim: Claim, reservations: readonly Reservation[], transition: Transition): Promise<'done' | 'overtaken'>;
}
