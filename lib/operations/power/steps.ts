/** Steps that the operations on power have in common: the checks at the beginning, and the proof at the end. */
import { ProvisiondError } from '../../errors';
import { type Guard, RUNNING } from '../../libvirt/vm';
import { isActive, powerOf, type VmSight } from '../../libvirt/vm-sight';
import { ALL_FEATURES, checkOperation, type VmFacts } from '../../model/vm-rules';
import { type Condition, conditionOf, type Deed, type PowerKind, type PowerState } from '../../model/vm-states';
import { requireDomain, type VmJob, type VmStep } from '../kind';

/** How long the hypervisor may take to show what it has done. */
const SETTLE_MS = 15_000;

/** virsh's words for each of our states. */
export const WORDS: Readonly<Record<Exclude<PowerState, 'Unknown'>, readonly string[]>> = {
  Halted: ['shut off'],
  Suspended: ['shut off'],
  Running: RUNNING,
  Paused: ['paused'],
  Crashed: ['crashed'],
};

/** virsh's words for what the table tells apart. */
export const GUARDS: Readonly<Record<Condition, Guard>> = {
  Halted: { states: WORDS.Halted, saved: 'no' },
  Suspended: { states: WORDS.Suspended, saved: 'yes' },
  Running: { states: WORDS.Running },
  Paused: { states: WORDS.Paused },
  Crashed: { states: WORDS.Crashed },
  Asleep: { states: ['pmsuspended'] },
};

export async function conditionNow(job: VmJob): Promise<{ sight: VmSight; condition: Condition }> {
  const sight = await requireDomain(job);
  return { sight, condition: conditionOf(powerOf(sight)) };
}

/** Whether the domain is in the condition already. */
export const isNow =
  (...wanted: Condition[]) =>
  async (job: VmJob): Promise<boolean> =>
    wanted.includes((await conditionNow(job)).condition);

/**
 * Asks whether the operation may be begun, makes room for it, and writes down what it is begun on. Whoever resumes it
 * finds that, and does not ask again: the VM may be half way by then.
 * @param also checks of the kind's own; throws
 */
export function checkStep<A>(
  kind: PowerKind,
  deedOf: (args: A) => Deed,
  also: (job: VmJob<A>, sight: VmSight) => Promise<void> | void = () => {},
): VmStep<A> {
  return {
    name: 'check that it is allowed',
    done: (job) => job.journal !== null,
    run: async (job) => {
      const sight = await requireDomain(job);
      requireAllowed(job, kind, deedOf(job.arguments), { power: powerOf(sight), features: sight.features });
      await also(job, sight);
      await job.makeRoom();
      const now = await requireDomain(job);
      await job.keepJournal({ from: conditionOf(powerOf(now)), domainId: now.domainId });
    },
  };
}

/** @throws the first reason against it */
export function requireAllowed(
  job: VmJob,
  kind: PowerKind,
  deed: Deed,
  { power, features = ALL_FEATURES }: Pick<VmFacts, 'power'> & Partial<Pick<VmFacts, 'features'>>,
): void {
  const { shortName, blocked, inHand } = job.computer;
  const busy = inHand && `request ${inHand.requestId} (${inHand.state}) is at work on the computer`;
  const facts = { power, features, blocked, underWay: job.underWay(), inHand: busy };
  const verdict = checkOperation(kind, deed, facts);
  if (verdict.allowed) return;
  const details = { vm: shortName, ...verdict.details };
  throw new ProvisiondError(verdict.code, `${kind} of ${shortName}: ${verdict.why}`, { details });
}

/** Proves that the VM is where the operation was to bring it. @throws LIBVIRT_FAILED */
export function confirmStep<A>(wanted: (args: A) => Exclude<PowerState, 'Unknown'>): VmStep<A> {
  return {
    name: 'confirm the power state',
    run: async (job) => {
      const state = wanted(job.arguments);
      const sight = await requireDomain(job);
      if (powerOf(sight).state !== state) await settle(job, sight, state);
      const after = powerOf(await requireDomain(job));
      job.result.powerState = after.state;
      if (after.state === state) return;
      const message = `${job.operation.kind} of ${job.computer.shortName} went well, but it is ${after.reason} now`;
      throw new ProvisiondError('LIBVIRT_FAILED', message, { retryable: false });
    },
  };
}

async function settle(job: VmJob, sight: VmSight, state: Exclude<PowerState, 'Unknown'>): Promise<void> {
  await job.vm.waitFor(sight, WORDS[state], SETTLE_MS, job.signal);
}

/** One verb of virsh, unless the VM is in the wanted condition already. */
export function verbStep(
  name: string,
  doing: string,
  [from, to]: readonly [Condition, Condition],
  ...virsh: readonly string[]
): VmStep {
  return {
    name,
    done: isNow(to),
    run: async (job) => {
      const { sight } = await conditionNow(job);
      const [verb, ...flags] = virsh as [string, ...string[]];
      await job.vm.act(doing, sight, GUARDS[from], verb, sight.uuid, ...flags);
    },
  };
}

export const switchOffStep: VmStep = {
  name: 'switch the domain off',
  done: isNow('Halted'),
  run: async (job) => {
    const { sight } = await conditionNow(job);
    await job.vm.switchOff(sight);
  },
};

/** Whether the domain is still up since before the operation was begun. */
export const isStillThatRun = async (job: VmJob): Promise<boolean> => {
  const sight = await requireDomain(job);
  return isActive(sight) && sight.domainId === job.journal?.domainId;
};
