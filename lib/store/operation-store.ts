/** The second inbox and the VMs, in words of the domain: what the daemon asks of the database beside VCL's requests. */
import type { CrashPolicy } from '../model/vm-rules';
import type { ExitReason, PowerState } from '../model/vm-states';
import type { HostFacts } from '../model/reservation';
import type { StateName } from '../model/states';
import type { Lease } from './store';

export const OPERATION_STATES = ['queued', 'working', 'done', 'failed', 'cancelled'] as const;
export type OperationState = (typeof OPERATION_STATES)[number];

/** A row as it was inserted, and as the daemon has marked it. Every column of a front end is hostile input. */
export interface Operation {
  readonly id: number;
  readonly kind: string;
  readonly computerId: number | null;
  /** JSON, not looked at yet. */
  readonly arguments: string | null;
  readonly requestedBy: string;
  readonly state: OperationState;
  readonly cancelWanted: boolean;
  /** How often it was taken up. */
  readonly attempts: number;
  /** Of the lease that it was taken up under. */
  readonly token: number;
  readonly journal: string | null;
}

export interface OperationError {
  readonly code: string;
  readonly blame: string;
  readonly message: string;
  readonly hint: string;
}

/** What of a row changes while it is worked; what is left out stays. */
export interface OperationProgress {
  readonly percent?: number;
  readonly step?: string;
  readonly journal?: string;
  readonly result?: string;
}

export interface OperationEnd {
  readonly state: 'done' | 'failed' | 'cancelled';
  readonly error?: OperationError;
}

/** A line of the history of a VM or of an operation. */
export interface VmEvent {
  readonly computerId: number | null;
  readonly operationId: number | null;
  readonly kind: 'state' | 'begun' | 'skipped' | 'ended' | 'failed' | 'undone' | 'note';
  readonly text: string;
  readonly milliseconds?: number;
}

/** A computer that operations may be asked for. */
export interface VmComputer {
  readonly id: number;
  readonly hostname: string;
  readonly shortName: string;
  readonly state: StateName;
  readonly host: HostFacts | null;
  /** Operations that are blocked, with the reasons. */
  readonly blocked: ReadonlyMap<string, string>;
  readonly afterCrash: CrashPolicy;
  /** A request that loads, reboots or clears the computer at this moment: its id and state. */
  readonly inHand: { readonly requestId: number; readonly state: StateName } | null;
  /** What was known of its power last; null: nothing yet. */
  readonly known: VmRecord | null;
}

/** The row of a VM. */
export interface VmRecord {
  readonly hostComputerId: number | null;
  readonly domain: string | null;
  readonly uuid: string | null;
  readonly powerState: PowerState;
  readonly lastPowerState: PowerState | null;
  readonly reason: string;
  readonly fault: string | null;
  readonly guestSleeping: boolean;
  readonly lastExit: ExitReason | null;
  /** Since its last start, by the database's clock. */
  readonly secondsUp: number | null;
  readonly allowed: readonly string[];
}

export interface VmWrite extends Omit<VmRecord, 'secondsUp'> {
  /** It was started anew: `startedat` = now. `gone`: it is not up any more. Left out: as it was. */
  readonly up?: 'started' | 'gone';
  /** `lastexit` was observed at this moment. */
  readonly exited?: true;
}

/** A line of the history of a VM: its state became another. */
export type VmChange = Pick<VmEvent, 'operationId' | 'text'>;

export interface OperationStore {
  /** Rows of this node that wait or are in somebody's hands, the oldest first. */
  pollOperations(lease: Lease): Promise<Operation[]>;
  /** Takes a row up, a predecessor's too. @returns null when somebody else has it, or it is over @throws LEASE_LOST */
  claimOperation(lease: Lease, id: number): Promise<Operation | null>;
  /** @throws LEASE_LOST, CLAIM_LOST */
  noteOperation(lease: Lease, id: number, progress: OperationProgress): Promise<void>;
  /** The end of a row, in hand or still queued. Nothing to do when it is over. @throws LEASE_LOST */
  endOperation(lease: Lease, id: number, end: OperationEnd): Promise<void>;
  /** Asks for an operation, as a front end does. @returns null when there is a row with that key already */
  askForOperation(wish: OperationWish): Promise<number | null>;
  /** Deletes rows and events that ended that long ago. @returns how many operations */
  pruneOperations(lease: Lease, olderThanDays: number): Promise<number>;
  tellVmEvents(events: readonly VmEvent[]): Promise<void>;

  /** Null: there is no virtual machine of that id. */
  vmComputer(computerId: number): Promise<VmComputer | null>;
  /** The virtual machines of this node that are assigned to a host. @param hostId the host's computer; left out: any */
  vmComputers(managementNodeId: number, hostId?: number): Promise<VmComputer[]>;
  /** With a line of its history, where it has one: who reads the new state finds its reason. @throws LEASE_LOST */
  writeVm(lease: Lease, computerId: number, vm: VmWrite, change?: VmChange): Promise<void>;
}

export interface OperationWish {
  readonly kind: string;
  readonly computerId: number | null;
  readonly arguments?: object;
  readonly requestedBy: string;
  readonly idempotencyKey?: string;
}
