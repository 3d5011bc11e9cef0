/** The part of the port for what goes on beside the requests: block allocations, and what is delivered later. */
import type { Lease } from './store';

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
export interface BackgroundStore {
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
}
