/**
 * The steps of every change of what a VM is made of: what is new is made and looked at while the guest still runs; then it is
 * stopped, one definition carries all that is new, it is started and watched for a while; and only then what is old goes
 * to the trash. A step that fails is undone like any other, and that is the return to the old disks.
 *
 * How far it came is never read from a note. The journal holds the plan; the definition that libvirt has says by the files in it
 * on which side of the change the VM is.
 */
import { ProvisiondError } from '../../errors';
import { type Definition, editDefinition, readDefinition, volumesOf } from '../../libvirt/definition';
import { isActive } from '../../libvirt/vm-sight';
import { requireDomain, type VmJob, type VmStep } from '../kind';
import { conditionNow, isNow } from '../power/steps';
import { pressButton } from '../power/button';
import { disksOf } from './hands';
import { startCold } from './temporary';
import { type ChangePlan, editTo, newFiles, oldFiles, type Side, sideOf } from './plan';

/** What operations of this kind may be told about the stop. */
export interface StopOptions {
  readonly timeoutSeconds?: number | undefined;
  /** Pull the plug when the guest does not obey; else the change is given up and the guest runs on. */
  readonly hard?: boolean | undefined;
  /** Discard the saved memory of a suspended VM, which would not fit its new disks. */
  readonly discardState?: boolean | undefined;
}

export const planOf = ({ journal }: VmJob): ChangePlan => {
  if (journal?.plan) return journal.plan;
  throw new ProvisiondError('INTERNAL', 'a change of volumes was begun without a plan');
};

/** What was read a moment ago: the guest is down meanwhile, and libvirt is not asked twice. */
const justRead = new WeakMap<VmJob, { readonly definition: Definition; readonly at: number }>();
const MOMENT_MS = 2000;

const readNow = (job: VmJob): Promise<Definition> => disksOf(job).definition(planOf(job).domain);

async function readOnce(job: VmJob): Promise<Definition> {
  const known = justRead.get(job);
  if (known && performance.now() - known.at < MOMENT_MS) return known.definition;
  const definition = await readNow(job);
  justRead.set(job, { definition, at: performance.now() });
  return definition;
}

const sideNow = async (job: VmJob): Promise<Side> => requireSide(job, await readNow(job));

/** @throws CONFLICT when somebody else has changed the definition meanwhile */
function requireSide(job: VmJob, definition: Definition): Side {
  const plan = planOf(job);
  const side = sideOf(plan, definition);
  if (side) return side;
  const message = `the disks of domain ${plan.domain.name} are neither those that it had nor those that it was to get`;
  throw new ProvisiondError('CONFLICT', message, {
    blame: 'computer',
    hint: 'Somebody redefined it meanwhile: look at virsh dumpxml',
  });
}

export const isOn = (side: Side) => async (job: VmJob) => (await sideNow(job)) === side;
const ranBefore = ({ journal }: VmJob): boolean => journal?.from === 'Running';

/** Undoing is for what was begun only, and while what was there before is still there. */
export const whenPlanned = (undo: (job: VmJob) => Promise<void>) => async (job: VmJob) => {
  const { plan, settled } = job.journal ?? {};
  if (plan && plan.changes.length > 0 && !settled) await undo(job);
};

export const buildStep: VmStep = {
  name: 'make the new disks',
  done: async (job) => (await isOn('after')(job)) || (await missing(job)).length === 0,
  run: async (job) => {
    for (const { making, ...disk } of await missing(job)) await disksOf(job).make(disk, making);
  },
  undo: whenPlanned(async (job) => {
    if (await isOn('after')(job)) return;
    const files = newFiles(planOf(job));
    const waiting = await missing(job);
    const moved = files.filter((file) => !waiting.includes(file)).flatMap(backTo);
    await disksOf(job).move(moved);
    await disksOf(job).remove(files.filter(({ making }) => making.how !== 'move'));
    const { undoes } = planOf(job);
    if (undoes !== undefined) await job.store.releaseTrash(job.lease, undoes);
  }),
};

async function presentOf<F extends { path: string; format: string }>(job: VmJob, files: readonly F[]): Promise<F[]> {
  const { infos } = await disksOf(job).look(files);
  return files.filter(({ path }) => infos.has(path));
}

type NewFile = ReturnType<typeof newFiles>[number];

const backTo = ({ making, ...disk }: NewFile) => (making.how === 'move' ? [{ ...disk, to: making.from }] : []);

/** What comes back from the trash is missing while it is there: a file in its place is somebody else's, whatever it is. */
async function missing(job: VmJob): Promise<NewFile[]> {
  const files = newFiles(planOf(job));
  const placeOf = ({ path, making }: NewFile) => (making.how === 'move' ? making.from : path);
  const { infos } = await disksOf(job).look(files.map((file) => ({ path: placeOf(file), format: file.format })));
  return files.filter((file) => infos.has(placeOf(file)) === (file.making.how === 'move'));
}

export const verifyStep: VmStep = {
  name: 'look at the new disks',
  done: isOn('after'),
  run: async (job) => {
    const files = newFiles(planOf(job));
    const { infos } = await disksOf(job).look(files);
    for (const { path, format, making } of files) {
      const info = infos.get(path);
      const ground = making.how === 'overlay' ? making.base : making.how === 'thin' ? making.on : null;
      const backing = ground?.path ?? null;
      const isRight =
        info?.format === format && !info.isOpen && (making.how === 'move' || info.backingFileActualPath === backing);
      const size = 'size' in making ? making.size : undefined;
      if (isRight && (size === undefined || info.virtualSizeBytes === size)) continue;
      throw new ProvisiondError('IMAGE_UNTRUSTED', `the new disk ${path} is not what it was to be`, { blame: 'host' });
    }
  },
};

export const stopStep: VmStep = {
  name: 'stop the guest',
  done: async (job) => (await isNow('Halted')(job)) || isOn('after')(job),
  run: stop,
  undo: whenPlanned(async (job) => {
    if (!ranBefore(job) || !(await isOn('before')(job))) return;
    if (await isNow('Halted')(job)) await startCold(job);
  }),
};

/** @throws VM_SHUTDOWN_TIMEOUT: the guest runs on */
async function stop(job: VmJob): Promise<void> {
  const { hard, discardState } = job.arguments as StopOptions;
  const { sight, condition } = await conditionNow(job);
  const timed = job as VmJob<StopOptions>;
  if (condition === 'Running' && (await pressButton(timed))) return;
  if ((condition === 'Running' && hard) || (condition === 'Suspended' && discardState)) {
    // Before the plug is pulled: what is asked afterwards keeps the guest down.
    requireSide(job, await readOnce(job));
    return job.vm.switchOff(sight);
  }
  if (condition === 'Halted') return;
  const message = `guest ${job.computer.shortName} did not shut down; it still runs, on its old disks`;
  throw new ProvisiondError('VM_SHUTDOWN_TIMEOUT', message, { hint: 'Ask again with --hard to pull its plug' });
}

/** @param afterwards `start`: what ran is started in the same go, for each moment counts; `stay off`: even if it ran */
const switchAnd = (afterwards: 'start' | 'stay off'): VmStep => ({
  name: 'switch to the new disks',
  done: async (job) => requireSide(job, await readOnce(job)) === 'after',
  run: async (job) => {
    const plan = planOf(job);
    const definition = await readOnce(job);
    justRead.delete(job);
    const text = editDefinition(definition, editTo(plan, 'after'));
    // What begins anew anyway needs no emptying; each moment counts, the guest is down.
    const isFresh = (file: string) => newFiles(plan).some(({ path, making }) => path === file && making.how !== 'move');
    const volumes = volumesOf(job.computer.shortName, readDefinition(text, plan.domain.name));
    if (volumes.some(({ type, path }) => type === 'temporary' && !isFresh(path))) {
      // Files of the trash are in their places again: all that the new definition has can be emptied.
      await disksOf(job).refresh(
        plan.domain,
        volumes.filter(({ type }) => type === 'temporary'),
      );
    }
    try {
      await disksOf(job).define(plan.domain, text, afterwards === 'start' && ranBefore(job) ? 'start' : '');
    } catch (error) {
      throw startFailed(error, 'it did not start on its new disks');
    }
  },
  undo: whenPlanned(async (job) => {
    if (await isOn('before')(job)) return;
    job.tell('going back to the old disks');
    const { sight } = await conditionNow(job);
    if (isActive(sight)) await job.vm.switchOff(sight);
    const definition = await readNow(job);
    await disksOf(job).define(planOf(job).domain, editDefinition(definition, editTo(planOf(job), 'before')));
  }),
});

export const switchStep = switchAnd('start');
export const switchAndStayOffStep = switchAnd('stay off');

export const startStep: VmStep = {
  name: 'start the guest on the new disks',
  done: async (job) => !ranBefore(job) || (await isNow('Running')(job)),
  run: async (job) => {
    try {
      await startCold(job);
    } catch (error) {
      throw startFailed(error, 'it did not start on its new disks');
    }
  },
};

/** Not tried again: while it is, the VM is down. */
function startFailed(error: unknown, why: string): unknown {
  if (!(error instanceof ProvisiondError) || !['LIBVIRT_FAILED', 'DOMAIN_START_FAILED'].includes(error.code))
    return error;
  return new ProvisiondError('DOMAIN_START_FAILED', `${why}: ${error.message}`, {
    details: error.details,
    retryable: false,
  });
}

export const proveStep: VmStep = {
  name: 'watch it run',
  done: async (job) => !ranBefore(job) || (await isTrashed(job)),
  run: async (job) => {
    const sight = await requireDomain(job);
    const proofMs = job.config.startProofMs;
    if (isActive(sight) && (await disksOf(job).runsFor(sight, proofMs, job.signal))) return;
    const now = (await conditionNow(job)).condition;
    const message = `${job.computer.shortName} did not stay up for ${proofMs / 1000} s on its new disks: it is ${now}`;
    throw new ProvisiondError('DOMAIN_START_FAILED', message, { retryable: false });
  },
};

export const recordStep: VmStep = {
  name: 'write down what it is made of',
  run: (job) => record(job, 'after'),
  undo: whenPlanned((job) => record(job, 'before')),
};

/** As the definition is on that side; on the way back it is not there yet. */
async function record(job: VmJob, side: Side): Promise<void> {
  const plan = planOf(job);
  const { store, lease, computer } = job;
  const definition = await disksOf(job).definition(plan.domain);
  const gone = side === 'after' ? oldFiles(plan).map(({ path }) => path) : [];
  await recordVolumes(job, readDefinition(editDefinition(definition, editTo(plan, side)), plan.domain.name), gone);
  if (plan.image) await store.setLoadedImage(lease, computer.id, plan.image[side]);
}

/** Writes the rows of a VM's volumes. */
export async function recordVolumes(job: VmJob, definition: Definition, gone: readonly string[] = []): Promise<void> {
  const volumes = volumesOf(job.computer.shortName, definition);
  const { infos } = await disksOf(job).look(volumes);
  const rows = volumes.map((volume) => ({ ...volume, sizeBytes: infos.get(volume.path)?.virtualSizeBytes ?? 0 }));
  await job.store.writeVolumes(job.lease, job.computer.id, rows, gone);
  const system = volumes.find(({ type }) => type === 'system');
  const backing = system && infos.get(system.path)?.backingFileActualPath;
  const bases = await job.store.vmBases();
  const base = bases.find((one) => one.volumes.some((volume) => volume.path === backing));
  // A base stands on its own files: that makes it no clone.
  await job.store.setCloneOf(
    job.lease,
    job.computer.id,
    base && base.computerId !== job.computer.id ? base.computerId : null,
  );
}

async function isTrashed(job: VmJob): Promise<boolean> {
  const old = oldFiles(planOf(job));
  if (old.length === 0) return isOn('after')(job);
  const { infos } = await disksOf(job).look(old.map(({ to, format }) => ({ path: to, format })));
  return infos.size === old.length;
}

export const trashStep: VmStep = {
  name: 'put the old disks aside',
  done: async (job) => oldFiles(planOf(job)).length > 0 && isTrashed(job),
  run: async (job) => {
    const { operation, computer, store, lease, config } = job;
    const plan = planOf(job);
    // The row first: what lies in the trash without one would stay for ever.
    const until = await store.keepTrash(lease, {
      ...{ operationId: operation.id, computerId: computer.id, folder: plan.trash },
      ...{ plan: JSON.stringify(plan), days: config.trashDays },
    });
    await disksOf(job).move(oldFiles(plan));
    if (plan.undoes !== undefined) await store.forgetTrash(lease, plan.undoes);
    job.result.undoUntil = until;
  },
  undo: whenPlanned(async (job) => {
    const { store, lease, operation } = job;
    const back = oldFiles(planOf(job)).map(({ path, to, format }) => ({ path: to, to: path, format }));
    const here = await presentOf(job, back);
    await disksOf(job).move(here);
    await store.forgetTrash(lease, operation.id);
  }),
};

/** From a plan in the journal to a VM that runs on its new disks. */
export const CHANGE_STEPS: readonly VmStep[] = [
  buildStep,
  verifyStep,
  stopStep,
  switchStep,
  startStep,
  proveStep,
  recordStep,
  trashStep,
];
