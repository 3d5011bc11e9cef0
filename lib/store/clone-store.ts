/** Bases and clones, in words of the domain. */
import type { Clone, VmBase } from '../model/vm-base';
import type { OperationState } from './operation-store';
import type { Lease } from './store';

/** An operation that another one asked for. */
export interface ChildOperation {
  readonly id: number;
  readonly computerId: number;
  readonly state: OperationState;
  readonly error: string | null;
}

/** An operation that does what another one asks for. */
export interface TwinOperation {
  readonly id: number;
  readonly state: OperationState;
  /** JSON */
  readonly result: string | null;
}

export interface CloneStore {
  vmBases(): Promise<VmBase[]>;
  /** Written again it is the same. @throws LEASE_LOST */
  putVmBase(lease: Lease, base: VmBase): Promise<void>;
  /** Only what that operation prepared. */
  forgetVmBase(lease: Lease, base: Pick<VmBase, 'computerId' | 'operationId'>): Promise<void>;
  /** @param baseComputerId null: of none */
  setCloneOf(lease: Lease, computerId: number, baseComputerId: number | null): Promise<void>;
  clonesOf(baseComputerId: number): Promise<Clone[]>;
  /**
   * The operation of the same kind, on the same computer, with the same arguments, that was asked for before that one and was not
   * over by then; the latest.
   */
  twinOf(operationId: number): Promise<TwinOperation | null>;
  /** Operations whose idempotency key begins so, the oldest first. */
  operationsKeyed(prefix: string): Promise<ChildOperation[]>;
}
