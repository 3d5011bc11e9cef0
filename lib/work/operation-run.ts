/** One operation from its row to its end: read, checked, worked step by step, and told. */
import type { Config } from '../config/config';
import { asProvisiondError, findError, ProvisiondError } from '../errors';
import { pause } from '../host/deadline';
import type { Host } from '../host/host';
import { Vm } from '../libvirt/vm';
import type { Log } from '../log';
import type { HostFacts } from '../model/reservation';
import type { UnderWay } from '../model/vm-rules';
import { kindNamed } from '../operations';
import {
  type ApplianceJob,
  type Ending,
  type Journal,
  type OperationJob,
  type OperationKind,
  readArguments,
  type VmJob,
} from '../operations/kind';
import type { VmRecords } from '../operations/vm-records';
import { type RunOutcome, runSteps, type Step, undoSteps } from '../steps/step';
import type { Operation, OperationEnd, VmComputer } from '../store/operation-store';
import type { Lease, Store } from '../store/store';
import { prepareAppliance } from './appliance-job';
import { OperationEvents } from './operation-events';
import { isOvertaken } from './part';

/** Why an operation was told to stop for good. */
export class Cancelled {
  constructor(readonly why: string) {}

  toString(): string {
    return this.why;
  }
}

export interface OperationParts {
  readonly store: Store;
  readonly config: Config;
  readonly hosts: { get(facts: HostFacts): Host };
  readonly records: VmRecords;
}

/** One row in hand. */
export interface OperationRun {
  readonly row: Operation;
  readonly lease: Lease;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** On the same computer, or on that one of several, taken up before this one, and not over. */
  readonly underWay: (computerId?: number) => readonly UnderWay[];
  readonly allUnderWay: (computerId?: number) => readonly UnderWay[];
  readonly makeRoom: () => Promise<void>;
}

const LONGEST_DATABASE_PAUSE_MS = 2000;
/** Operations that begin a new life of the guest. */
const STARTING = ['start', 'hard_reboot', 'clean_reboot'];

/** @returns null: it goes on with whoever comes next */
export async function runOperation(parts: OperationParts, run: OperationRun): Promise<OperationEnd | null> {
  const { row, log, signal } = run;
  let job: OperationJob;
  let kind: OperationKind;
  try {
    kind = kindNamed(row.kind);
    job = await prepareOperation(parts, run, kind);
  } catch (thrown) {
    const error = asProvisiondError(thrown, `reading operation ${row.id}`);
    if (signal.aborted || isOvertaken(error) || findError(error, 'DATABASE_UNAVAILABLE')) return abandon(error, log);
    return failed(error);
  }
  const steps = kind.steps as readonly Step<OperationJob, Ending>[];
  const events = new OperationEvents(parts.store, run.lease, row, steps.length, log);
  const told = Object.assign(job, { tell: (text: string) => events.tell(text) });
  await recordVm(parts, run, told, 'begins');
  const outcome = await runAgain(steps, told, events, parts.config);
  const end = await conclude(steps, told, outcome, events);
  if (end === null) return null;
  await recordVm(parts, run, told, end);
  await events.flush();
  const result = JSON.stringify(job.result);
  await parts.store.noteOperation(run.lease, row.id, { result }).catch((error: unknown) => abandon(error, log));
  return end;
}

function abandon(error: unknown, log: Log): null {
  log.warn('the row is left as it is', { error });
  return null;
}

/** What the steps of a row work with. @throws OPERATION_INVALID, COMPUTER_NOT_ASSIGNED */
export async function prepareOperation(
  parts: OperationParts,
  run: OperationRun,
  kind: OperationKind,
): Promise<OperationJob> {
  const { row, lease, log, signal } = run;
  const { store, config, hosts } = parts;
  const job = {
    operation: row,
    arguments: readArguments(kind, row.arguments),
    lease,
    store,
    config,
    hosts,
    log,
    signal,
    journal: readJournal(row.journal),
    keepJournal: async (journal: Journal) => {
      await store.noteOperation(lease, row.id, { journal: JSON.stringify(journal) });
      job.journal = journal;
    },
    tell: () => {},
    result: {},
  };
  if (kind.subject === 'none') return job;
  if (kind.subject === 'appliance') return prepareAppliance(run, job);
  const { computer, vm } = await prepareVm(parts, run, row.computerId);
  const { underWay, makeRoom } = run;
  return Object.assign(job, { computer, vm, underWay, makeRoom }) satisfies VmJob;
}

/**
 * The computer is read again after the fence has its turn: a request that is taken up after that has a later one, and
 * wins; one that was taken up before is seen.
 */
export async function prepareVm(
  { store, config, hosts }: Pick<OperationParts, 'store' | 'config' | 'hosts'>,
  { row, lease }: Pick<OperationRun, 'row' | 'lease'>,
  id: number | null,
) {
  const computer = id === null ? null : await store.vmComputer(id);
  if (id === null || computer === null) {
    const which = id === null ? 'it names no computer' : `there is no virtual machine ${id}`;
    throw new ProvisiondError('OPERATION_INVALID', `'${row.kind}' is for a virtual machine, and ${which}`);
  }
  const { host } = computer;
  if (host === null) {
    throw new ProvisiondError('COMPUTER_NOT_ASSIGNED', `computer ${computer.shortName} is assigned to no VM host`);
  }
  const vm = new Vm({
    computer,
    hostFacts: host,
    host: hosts.get(host),
    managementNodeId: lease.managementNodeId,
    token: lease.token,
    longTimeoutMs: config.imageTimeoutMs,
  });
  return { vm, computer: (await store.vmComputer(computer.id)) ?? computer };
}

/** What somebody scribbled over is as good as none: the checks are done again. */
function readJournal(json: string | null): Journal | null {
  try {
    const value = JSON.parse(json ?? 'null') as Journal | null;
    return value !== null && typeof value === 'object' && typeof value.from === 'string' ? value : null;
  } catch {
    return null;
  }
}

/** From the top again while what failed may well succeed a little later. */
async function runAgain(
  steps: readonly Step<OperationJob, Ending>[],
  job: OperationJob,
  events: OperationEvents,
  { retryAttempts, retryDelayMs }: Config,
): Promise<RunOutcome<Ending>> {
  for (let attempt = 1; ; attempt++) {
    const isAway = (error: ProvisiondError) => findError(error, 'DATABASE_UNAVAILABLE') !== undefined;
    const again = (error: ProvisiondError) => isAway(error) || (error.retryable && attempt < retryAttempts);
    const outcome = await runSteps(steps, job, {
      signal: job.signal,
      observe: events.observe,
      keepOnFailure: (error) => again(error) || isOvertaken(error),
    });
    if (outcome.kind !== 'failed' || !again(outcome.error)) return outcome;
    const delayMs = retryDelayMs * 2 ** Math.min(attempt - 1, 5);
    events.tell(`step '${outcome.step}' failed, and is tried again: ${outcome.error.message}`);
    events.again();
    try {
      await pause(isAway(outcome.error) ? Math.min(delayMs, LONGEST_DATABASE_PAUSE_MS) : delayMs, job.signal);
    } catch (reason) {
      return { kind: 'aborted', reason };
    }
  }
}

async function conclude(
  steps: readonly Step<OperationJob, Ending>[],
  job: OperationJob,
  outcome: RunOutcome<Ending>,
  events: OperationEvents,
): Promise<OperationEnd | null> {
  switch (outcome.kind) {
    case 'done':
    case 'ended':
      return { state: 'done' };
    case 'aborted': {
      if (!(outcome.reason instanceof Cancelled)) return null;
      // What a cancelled operation made is taken back; what it did to the power of the VM is not.
      const left = await undoSteps(steps, job, events.observe);
      const { id, kind } = job.operation;
      const message = [`operation ${id} (${kind}): ${outcome.reason.why}`, ...left].join('; left behind: ');
      return { ...failed(new ProvisiondError('OPERATION_CANCELLED', message)), state: 'cancelled' };
    }
    case 'failed': {
      // Of the lease: whoever holds it now resumes it. Of the fence: newer work has the computer.
      if (findError(outcome.error, 'LEASE_LOST')) return null;
      if (outcome.leftovers.length === 0) return failed(outcome.error);
      return failed(outcome.error, `; left behind: ${outcome.leftovers.join('; ')}`);
    }
  }
}

function failed({ code, blame, message, hint }: ProvisiondError, more = ''): OperationEnd {
  return { state: 'failed', error: { code, blame, message: `${message}${more}`, hint } };
}

/** The row of the VM, true before anybody reads that the operation is over. A host that cannot be asked says nothing. */
async function recordVm(parts: OperationParts, run: OperationRun, job: OperationJob, at: 'begins' | OperationEnd) {
  if ('members' in job) {
    for (const member of (job as ApplianceJob).members) await recordVm(parts, run, member, at);
    return;
  }
  if (!('vm' in job)) return;
  const { vm, computer } = job as VmJob;
  const { store, records } = parts;
  try {
    const fresh: VmComputer = (await store.vmComputer(computer.id)) ?? computer;
    const isOver = at !== 'begins';
    const reset = isOver && at.state === 'done' && job.result.reset === true;
    const seen = reset ? 'silent' : await vm.look(run.signal.aborted ? undefined : run.signal);
    const others = run.allUnderWay(computer.id);
    await records.record(run.lease, fresh, seen, {
      underWay: isOver ? others.filter(({ id }) => id !== run.row.id) : others,
      reset,
      resumeFailed: isOver && at.error?.code === 'VM_RESUME_FAILED',
      operationId: run.row.id,
      ...(isOver && at.state === 'done' && STARTING.includes(run.row.kind) && { started: true }),
    });
  } catch (error) {
    run.log.debug('the row of the VM could not be kept', { error });
  }
}
