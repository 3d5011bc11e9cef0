/**
 * What a kind of operation is: a file with its arguments and its list of steps. `index.ts` is the registry; a kind that is
 * in it can be asked for by a row of `provisiond_operation`, is resumed, cancelled and told like any other.
 */
import { z } from 'zod';
import type { Config } from '../config/config';
import { ProvisiondError } from '../errors';
import type { Host } from '../host/host';
import type { Vm } from '../libvirt/vm';
import type { VmSight } from '../libvirt/vm-sight';
import type { Log } from '../log';
import type { Appliance } from '../model/instance';
import type { HostFacts } from '../model/reservation';
import type { UnderWay } from '../model/vm-rules';
import type { Condition } from '../model/vm-states';
import type { Step } from '../steps/step';
import type { Operation, VmComputer } from '../store/operation-store';
import type { Lease, Store } from '../store/store';
import type { Captured, CapturePlan } from './instances/plan';
import type { ChangePlan } from './volumes/plan';

/** What every operation works with. */
export interface OperationJob<A = unknown> {
  readonly operation: Operation;
  readonly arguments: A;
  readonly lease: Lease;
  readonly store: Store;
  readonly config: Config;
  readonly hosts: { get(facts: HostFacts): Host };
  readonly log: Log;
  readonly signal: AbortSignal;
  /** What the checks found when they passed; null: they have not passed yet. Outlives this process. */
  readonly journal: Journal | null;
  keepJournal(journal: Journal): Promise<void>;
  /** A line of its story, for people. */
  tell(text: string): void;
  /** What the row's `result` is to say, in the end; later values are added to earlier ones. */
  readonly result: Record<string, unknown>;
}

/** Written before anything is changed, so that who resumes the work knows what it was begun on. */
export interface Journal {
  readonly from: Condition;
  readonly domainId: string | null;
  /** Of operations that change what a VM is made of. */
  readonly plan?: ChangePlan;
  /** What was there before is being removed: there is no way back any more. */
  readonly settled?: true;
  /** Of one VM of several: the operation that its own change counts as; the UUID of its domain when it was undeployed. */
  readonly operationId?: number;
  readonly undeployed?: string;
  /** Of operations on several VMs: what each of them has of its own, by `computer.id`. */
  readonly members?: Readonly<Record<string, Journal>>;
  /** Of captures of appliances: what is to be made, and what was reached, by `computer.id`. */
  readonly capture?: CapturePlan;
  readonly captured?: Readonly<Record<string, Captured>>;
}

/** The job of an operation on a VM. */
export interface VmJob<A = unknown> extends OperationJob<A> {
  readonly computer: VmComputer;
  readonly vm: Vm;
  /** Operations on the VM that were taken up before this one, and are not over. */
  readonly underWay: () => readonly UnderWay[];
  /** Ends or waits for what is under way, as the rules say. @throws the signal's reason */
  makeRoom(): Promise<void>;
}

/** The job of an operation on all VMs of an appliance: each has a job of its own, with a journal of its own in the common one. */
export interface ApplianceJob<A = unknown> extends OperationJob<A> {
  readonly appliance: Appliance;
  readonly members: readonly VmJob[];
}

/** An end that is no failure: nobody wanted more than to know. */
export type Ending = 'looked';

export type VmStep<A = unknown> = Step<VmJob<A>, Ending>;

interface KindBase<A> {
  readonly name: string;
  /** One line for people. */
  readonly about: string;
  readonly arguments: z.ZodType<A>;
  /** For documents, `--help` and tests. */
  readonly example: A;
}

/** Moves a VM: the job has its computer and its domain. */
export interface VmKind<A = unknown> extends KindBase<A> {
  readonly subject: 'vm';
  readonly steps: readonly VmStep<A>[];
}

/** Concerns no single VM. */
export interface FreeKind<A = unknown> extends KindBase<A> {
  readonly subject: 'none';
  readonly steps: readonly Step<OperationJob<A>, Ending>[];
}

/** Moves the VMs of an appliance, which its arguments name. */
export interface ApplianceKind<A = unknown> extends KindBase<A> {
  readonly subject: 'appliance';
  readonly steps: readonly Step<ApplianceJob<A>, Ending>[];
}

export type ApplianceStep<A = unknown> = Step<ApplianceJob<A>, Ending>;

export type OperationKind<A = unknown> = VmKind<A> | FreeKind<A> | ApplianceKind<A>;

/** Steps see the arguments as their schema has made them; the registry need not know which. */
export function vmKind<A>(kind: Omit<VmKind<A>, 'subject'>): VmKind {
  return { subject: 'vm', ...kind } as unknown as VmKind;
}

export function applianceKind<A extends { readonly appliance: string }>(
  kind: Omit<ApplianceKind<A>, 'subject'>,
): ApplianceKind {
  return { subject: 'appliance', ...kind } as unknown as ApplianceKind;
}

export function freeKind<A>(kind: Omit<FreeKind<A>, 'subject'>): FreeKind {
  return { subject: 'none', ...kind } as unknown as FreeKind;
}

/** For kinds that need none. What is not known is refused: a mistyped name must not be ignored. */
export const NO_ARGUMENTS = z.strictObject({});

/** @throws OPERATION_INVALID saying which argument is wrong */
export function readArguments<A>(kind: KindBase<A>, json: string | null): A {
  const refuse = (why: string, cause?: unknown) =>
    new ProvisiondError('OPERATION_INVALID', `the arguments of '${kind.name}': ${why}`, {
      cause,
      hint: `For example: ${JSON.stringify(kind.example)}`,
    });
  let value: unknown;
  try {
    value = json === null || json.trim() === '' ? {} : JSON.parse(json);
  } catch (error) {
    throw refuse('they are no JSON', error);
  }
  const parsed = kind.arguments.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => [path.join('.'), message].filter(Boolean).join(': '));
  throw refuse(problems.join('; '));
}

/** The VM's domain. @throws DOMAIN_NOT_FOUND */
export async function requireDomain(job: VmJob): Promise<VmSight> {
  const sight = await job.vm.look(job.signal);
  if (sight) return sight;
  const { shortName } = job.computer;
  throw new ProvisiondError('DOMAIN_NOT_FOUND', `computer ${shortName} has no domain on host ${job.vm.host.name}`);
}
