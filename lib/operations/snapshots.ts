/**
 * Snapshots. A `snapshot` is of the disks: reverting to it leaves the VM off. A `checkpoint` is of disks and memory:
 * reverting to it brings the VM back as it was. libvirt's internal snapshots are used for both: of a VM that is up they
 * carry its memory, which a `snapshot` does not use.
 */
import { z } from 'zod';
import { ProvisiondError } from '../errors';
import { isActive, powerOf, type VmSight } from '../libvirt/vm-sight';
import type { Condition } from '../model/vm-states';
import { requireDomain, type VmJob, type VmKind, vmKind, type VmStep } from './kind';
import { checkStep, conditionNow, GUARDS, isNow, WORDS } from './power/steps';

const NAME = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'letters, digits and . _ -, 64 at most');
const TAKEN = z.strictObject({ name: NAME.optional(), description: z.string().max(200).optional() });
type Taken = z.output<typeof TAKEN>;
const CHOSEN = z.strictObject({ snapshot: NAME });
type Chosen = z.output<typeof CHOSEN>;

const ANY = ['shut off', 'paused', 'crashed', ...WORDS.Running];

const nameOf = ({ arguments: { name }, operation }: VmJob<Taken>): string =>
  name ?? `${operation.kind}-${operation.id}`;
const has = ({ snapshots }: VmSight, name: string): boolean => snapshots.some((known) => known.name === name);
const began = (job: VmJob, condition: Condition): boolean => job.journal?.from === condition;

export const snapshot = taking(
  'snapshot',
  "keep the disks as they are now, to come back to; the VM's power stays as it is",
  [],
);

export const checkpoint = taking('checkpoint', 'keep disks and memory as they are now, to come back to', [
  {
    name: 'load the saved memory, paused',
    done: async (job) =>
      !began(job, 'Suspended') || has(await requireDomain(job), nameOf(job)) || (await isNow('Paused')(job)),
    run: async (job) => {
      const { sight } = await conditionNow(job);
      const guard = { ...GUARDS.Suspended, long: true } as const;
      await job.vm.act('loading the saved memory of', sight, guard, 'start', sight.uuid, '--paused');
    },
    undo: saveAgain,
  },
]);

function taking(kind: 'snapshot' | 'checkpoint', about: string, before: readonly VmStep<Taken>[]): VmKind {
  return vmKind<Taken>({
    name: kind,
    about,
    arguments: TAKEN,
    example: { name: 'before-the-upgrade', description: 'all well' },
    steps: [
      checkStep(kind, () => kind, refuseTakenName),
      ...before,
      {
        name: 'take the snapshot',
        done: async (job) => has(await requireDomain(job), nameOf(job)),
        run: take,
        undo: async (job) => {
          if (job.journal === null) return; // nothing was taken; a snapshot of that name is somebody else's
          const sight = await requireDomain(job);
          if (has(sight, nameOf(job))) await remove(job, sight, nameOf(job));
        },
      },
      {
        name: 'leave the VM as it was',
        done: async (job) => !began(job, 'Suspended') || (await isNow('Suspended')(job)),
        run: saveAgain,
      },
      { name: 'note the snapshot', run: (job) => void (job.result.snapshot = nameOf(job)) },
    ],
  });
}

function refuseTakenName(job: VmJob<Taken>, sight: VmSight): void {
  if (!has(sight, nameOf(job))) return;
  throw new ProvisiondError('CONFLICT', `${job.computer.shortName} has a snapshot '${nameOf(job)}' already`);
}

async function take(job: VmJob<Taken>): Promise<void> {
  const { kind, id } = job.operation;
  const sight = await requireDomain(job);
  const from = job.journal?.from ?? 'Halted';
  const text = [`provisiond ${kind} of a VM that was ${from}, operation ${id}`, job.arguments.description ?? ''];
  const argv = ['--domain', sight.uuid, '--name', nameOf(job), '--description', text.join('\n').trim(), '--atomic'];
  const abort = () => void job.vm.abortJob(sight).catch(() => {});
  job.signal.addEventListener('abort', abort, { once: true });
  try {
    await job.vm.act('taking a snapshot of', sight, { states: ANY, long: true }, 'snapshot-create-as', ...argv);
  } finally {
    job.signal.removeEventListener('abort', abort);
  }
}

/** The memory of a suspended VM goes back to where it was. */
async function saveAgain(job: VmJob): Promise<void> {
  if (!began(job, 'Suspended')) return;
  const { sight, condition } = await conditionNow(job);
  if (condition !== 'Paused') return;
  await job.vm.act('saving the memory of', sight, { ...GUARDS.Paused, long: true }, 'managedsave', sight.uuid);
}

async function remove(job: VmJob, sight: VmSight, name: string): Promise<void> {
  const guard = { states: ANY, long: true } as const;
  await job.vm.act('deleting a snapshot of', sight, guard, 'snapshot-delete', sight.uuid, name);
}

async function requireSnapshot(job: VmJob<Chosen>, sight: VmSight): Promise<string> {
  return job.vm.describeSnapshot(sight, job.arguments.snapshot);
}

/** What was done on the disks since is lost, and so is memory that was saved meanwhile: it would no longer fit them. */
export const revert = vmKind<Chosen>({
  name: 'revert',
  about: 'bring a VM back to one of its snapshots; what happened since is lost',
  arguments: CHOSEN,
  example: { snapshot: 'before-the-upgrade' },
  steps: [
    checkStep('revert', () => 'revert'),
    { name: 'find the snapshot', run: async (job) => void (await requireSnapshot(job, await requireDomain(job))) },
    {
      name: 'switch off what is no use any more',
      done: isNow('Halted', 'Running', 'Paused'),
      run: async (job) => job.vm.switchOff(await requireDomain(job)),
    },
    { name: 'revert disks and memory', run: revertTo },
    {
      name: 'confirm the power state',
      run: async (job) => void (job.result.powerState = powerOf(await requireDomain(job)).state),
    },
  ],
});

async function revertTo(job: VmJob<Chosen>): Promise<void> {
  const sight = await requireDomain(job);
  const description = await requireSnapshot(job, sight);
  const saved = sight.snapshots.find(({ name }) => name === job.arguments.snapshot)!.state;
  const isCheckpoint = description.startsWith('provisiond checkpoint');
  const isDisksOnly = description.startsWith('provisiond snapshot');
  // Nothing of the guest is to run when only its disks are wanted.
  const flags = isDisksOnly && saved !== 'shutoff' ? ['--paused'] : [];
  const argv = [sight.uuid, job.arguments.snapshot, ...flags];
  await job.vm.act('reverting', sight, { states: ANY, long: true }, 'snapshot-revert', ...argv);
  const after = await requireDomain(job);
  if (isDisksOnly && isActive(after)) await job.vm.switchOff(after);
  if (isCheckpoint && description.includes('was Suspended') && isActive(after)) {
    await job.vm.act('saving the memory of', after, { ...GUARDS.Paused, long: true }, 'managedsave', after.uuid);
  }
}

export const delete_snapshot = vmKind<Chosen>({
  name: 'delete_snapshot',
  about: 'delete a snapshot; the VM and its other snapshots stay',
  arguments: CHOSEN,
  example: { snapshot: 'before-the-upgrade' },
  steps: [
    checkStep(
      'delete_snapshot',
      () => 'delete_snapshot',
      (job, sight) => {
        if (has(sight, job.arguments.snapshot)) return;
        const message = `${job.computer.shortName} has no snapshot '${job.arguments.snapshot}'`;
        throw new ProvisiondError('SNAPSHOT_NOT_FOUND', message);
      },
    ),
    {
      name: 'delete the snapshot',
      done: async (job) => !has(await requireDomain(job), job.arguments.snapshot),
      run: async (job) => remove(job, await requireDomain(job), job.arguments.snapshot),
    },
  ],
});
