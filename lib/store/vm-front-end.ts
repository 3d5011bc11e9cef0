/** Operations and VMs as a front end or the command line sees them: it inserts rows, and watches what becomes of them. */
import type { CrashPolicy } from '../model/vm-rules';
import type { VmRecord } from './operation-store';
import type { SizedVolume } from './volume-store';

export interface OperationDetails {
  readonly id: number;
  readonly kind: string;
  readonly computer: string | null;
  readonly arguments: unknown;
  readonly requestedBy: string;
  readonly state: string;
  readonly percent: number;
  readonly step: string | null;
  readonly result: unknown;
  readonly error: {
    readonly code: string;
    readonly blame: string | null;
    readonly message: string;
    readonly hint: string | null;
  } | null;
  readonly created: string | null;
  readonly started: string | null;
  readonly ended: string | null;
  readonly attempts: number;
}

export interface VmHistoryEntry {
  readonly time: string;
  readonly operationId: number | null;
  readonly kind: string;
  readonly text: string;
  readonly milliseconds: number | null;
}

export interface VmSummary extends VmRecord {
  readonly computerId: number;
  readonly computer: string;
  readonly host: string | null;
  readonly lastExitTime: string | null;
  readonly changed: string | null;
}

export interface VmVolume extends SizedVolume {
  /** Not: a data volume that is kept although no domain has it. */
  readonly attached: boolean;
}

/** A change that `undo` would take back. */
export interface Undoable {
  readonly operationId: number;
  readonly created: string;
  readonly secondsLeft: number;
}

export interface VmDetails extends VmSummary {
  readonly volumes: readonly VmVolume[];
  /** The newest first. */
  readonly undoable: readonly Undoable[];
  readonly afterCrash: CrashPolicy;
  /** Operations that somebody blocked, with his reasons. */
  readonly blocked: Readonly<Record<string, string>>;
  readonly operations: readonly OperationDetails[];
  readonly history: readonly VmHistoryEntry[];
}

export interface NewOperation {
  readonly kind: string;
  /** Its name; null: the operation concerns none. */
  readonly computer: string | null;
  readonly arguments: object;
  readonly requestedBy: string;
  readonly idempotencyKey?: string;
}

export interface VmFrontEnd {
  /** With a key that was used already: the row that is there. @throws NOT_FOUND (computer) */
  addOperation(operation: NewOperation): Promise<OperationDetails>;
  /** @throws NOT_FOUND */
  showOperation(id: number): Promise<OperationDetails>;
  /** Asks for its end; one that is over stays as it is. @throws NOT_FOUND */
  cancelOperation(id: number): Promise<OperationDetails>;
  /** The newest first. */
  listOperations(limit: number): Promise<OperationDetails[]>;
  /** What was told of an operation, in order. */
  operationStory(id: number): Promise<VmHistoryEntry[]>;
  listVms(): Promise<VmSummary[]>;
  /** @throws NOT_FOUND */
  showVm(computer: string): Promise<VmDetails>;
  /** @param reason null: it is not blocked any more */
  blockOperation(computer: string, operation: string, reason: string | null): Promise<void>;
  setAfterCrash(computer: string, policy: CrashPolicy): Promise<void>;
}
