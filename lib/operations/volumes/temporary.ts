/**
 * Temporary volumes begin anew whenever their VM was off: after each stop, whoever caused it, which frees their space, and once
 * more before a cold start, because a guest may switch itself off while nobody looks. Whatever keeps the guest's memory (pause,
 * suspend) and whatever its hypervisor does not end for (a reboot of the guest's own) keeps them.
 */
import { volumesOf } from '../../libvirt/definition';
import { isActive, type VmSight } from '../../libvirt/vm-sight';
import { deedOf } from '../../model/vm-states';
import { readVolumeId } from '../../model/volume';
import { NO_ARGUMENTS, requireDomain, type VmJob, vmKind, type VmStep } from '../kind';
import { checkStep, conditionNow, GUARDS } from '../power/steps';
import { disksOf } from './hands';

/** Whether a VM has any, by the names of its files. */
export function hasTemporaries(shortName: string, { disks }: Pick<VmSight, 'disks'>): boolean {
  return disks.some((file) => readVolumeId(shortName, file)?.type === 'temporary');
}

/** Nothing while the VM is up, or its memory is saved. */
export async function refreshTemporaries(job: VmJob): Promise<void> {
  const sight = await requireDomain(job);
  const { shortName } = job.computer;
  if (isActive(sight) || sight.hasManagedSave || !hasTemporaries(shortName, sight)) return;
  const volumes = volumesOf(shortName, await disksOf(job).definition(sight));
  const temporary = volumes.filter(({ type }) => type === 'temporary');
  await disksOf(job).refresh(sight, temporary);
}

/**
 * Starts a VM that is off, on empty temporary volumes: the one way in which operations start one cold, but for the switch to new
 * disks, which does the same in one go.
 * @param flags of `virsh start`
 */
export async function startCold(job: VmJob, ...flags: readonly string[]): Promise<void> {
  await refreshTemporaries(job);
  const { sight } = await conditionNow(job);
  await job.vm.act('starting', sight, GUARDS.Halted, 'start', sight.uuid, ...flags);
}

/** For the lists of operations that stop or start a VM. */
export const refreshStep: VmStep = {
  name: 'empty its temporary volumes',
  done: async (job) => !hasTemporaries(job.computer.shortName, await requireDomain(job)),
  run: refreshTemporaries,
};

/** What the daemon asks for itself when a guest went off by itself. */
export const clear_temporary = vmKind({
  name: 'clear_temporary',
  about: 'empty the temporary volumes of a VM that is off, which otherwise happens when it stops and before it starts',
  arguments: NO_ARGUMENTS,
  example: {},
  steps: [checkStep('clear_temporary', () => deedOf('clear_temporary')), refreshStep],
});
