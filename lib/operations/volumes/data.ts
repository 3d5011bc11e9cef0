/** Volumes of a VM's own, by name: added, and removed by whoever names them; nothing else ever removes a data volume. */
import { z } from 'zod';
import { ProvisiondError } from '../../errors';
import type { Making } from '../../libvirt/vm-disks';
import { nextTarget, trashFolder, type Volume, VOLUME_NAME } from '../../model/volume';
import { requireDomain, type VmJob, vmKind } from '../kind';
import { checkStep } from '../power/steps';
import { CHANGE_STEPS } from './change';
import type { ChangePlan, VolumeChange } from './plan';
import { planStep } from './plan-step';
import { type Present, presentOf, refuseSnapshots, successor } from './present';
import { SIZE_MIB, STOPPING } from './restore';

const NAME = z.string().regex(VOLUME_NAME, 'a small letter, then small letters and digits, 20 at most');
const { timeoutSeconds, hard } = STOPPING;
const MORE = { timeoutSeconds, hard, dryRun: z.boolean().default(false) };
const ADD = z.strictObject({
  volume: NAME,
  type: z.enum(['data', 'temporary']).default('data'),
  sizeMiB: SIZE_MIB.optional(),
  ...MORE,
});
type Add = z.output<typeof ADD>;
const REMOVE = z.strictObject({ volume: NAME, ...MORE });
type Remove = z.output<typeof REMOVE>;

export const add_volume = vmKind<Add>({
  name: 'add_volume',
  about: 'give a VM another data volume, or a temporary one; one that runs is stopped for it and started again',
  arguments: ADD,
  example: { volume: 'home', type: 'data', sizeMiB: 10240, timeoutSeconds: 120, hard: false, dryRun: false },
  steps: [
    checkStep(
      'add_volume',
      () => 'add_volume',
      async (job, sight) => {
        refuseSnapshots(job, sight);
        const { volumes } = await presentOf(job);
        const { volume } = job.arguments;
        if (!volumes.some(({ name }) => name === volume)) return;
        throw new ProvisiondError('CONFLICT', `${job.computer.shortName} has a volume '${volume}' already`);
      },
    ),
    planStep(async (job) => planFor(job, await presentOf(job), addition)),
    ...CHANGE_STEPS,
  ],
});

export const remove_volume = vmKind<Remove>({
  name: 'remove_volume',
  about: 'delete a data or temporary volume by its name; undo brings it back while it is kept',
  arguments: REMOVE,
  example: { volume: 'home', timeoutSeconds: 120, hard: false, dryRun: false },
  steps: [
    checkStep(
      'remove_volume',
      () => 'remove_volume',
      async (job, sight) => {
        refuseSnapshots(job, sight);
        findOwn(job, await presentOf(job));
      },
    ),
    planStep(async (job) => planFor(job, await presentOf(job), (one, present) => removal(findOwn(one, present)))),
    ...CHANGE_STEPS,
  ],
});

type Decide<A> = (job: VmJob<A>, present: Present) => VolumeChange | Promise<VolumeChange>;

async function planFor<A>(job: VmJob<A>, present: Present, decide: Decide<A>): Promise<ChangePlan> {
  const { uuid, name } = await requireDomain(job);
  const { vmPath } = job.vm.parts.hostFacts.profile;
  const trash = trashFolder({ vmPath, shortName: job.computer.shortName }, job.operation.id);
  return { domain: { uuid, name }, changes: [await decide(job, present)], trash };
}

/** A new file; or, without a size, the data volume of that name that was kept when an earlier domain went. */
async function addition(job: VmJob<Add>, present: Present): Promise<VolumeChange> {
  const { volume: name, type, sizeMiB } = job.arguments;
  const { shortName } = job.computer;
  const targets = present.definition.disks.map(({ target }) => target);
  const target = nextTarget(targets, present.system.target);
  if (!/[a-z]$/.test(target))
    throw new ProvisiondError('OPERATION_INVALID', `${shortName} has no room for another disk`);
  const change = { volume: { name, type }, target, before: null };
  if (sizeMiB !== undefined) {
    const volume: Volume = { type, name, generation: 0, target, path: '', format: 'qcow2' };
    const making: Making = { how: 'blank', size: sizeMiB * 2 ** 20 };
    return { ...change, after: { ...successor(job, present, volume, 'qcow2'), making } };
  }
  const kept = (await job.store.volumesOf(job.computer.id)).find((one) => !one.attached && one.name === name);
  if (kept && type === 'data')
    return { ...change, after: { path: kept.path, format: kept.format, making: { how: 'keep' } } };
  const message = `${shortName} keeps no data volume '${name}': a new one needs a size`;
  throw new ProvisiondError('OPERATION_INVALID', message);
}

/** @throws NOT_FOUND with the names that there are */
function findOwn(job: VmJob<Remove>, { volumes }: Present): Volume {
  const own = volumes.filter(({ type, foreign }) => type !== 'system' && !foreign);
  const found = own.find(({ name }) => name === job.arguments.volume);
  if (found) return found;
  const names = own.map(({ name }) => name).join(', ') || 'none';
  const message = `${job.computer.shortName} has no volume '${job.arguments.volume}' that could be removed; there are: ${names}`;
  throw new ProvisiondError('NOT_FOUND', message);
}

const removal = ({ name, type, target, path, format }: Volume): VolumeChange => ({
  ...{ volume: { name, type }, target },
  before: { path, format },
  after: null,
});
