import { asProvisiondError, ProvisiondError } from '../../errors';
import { isActive, powerOf, type VmSight } from '../../libvirt/vm-sight';
import { conditionOf } from '../../model/vm-states';
import { NO_ARGUMENTS, type VmJob, vmKind } from '../kind';
import { requireAllowed } from './steps';

/**
 * Says that a VM is off although nobody can be asked: its host is gone for good. Where somebody can be asked, he knows
 * better. It changes what is known, and of the VM itself no more than saved memory of one that is off.
 */
export const power_state_reset = vmKind({
  name: 'power_state_reset',
  about: 'say that a VM is off because its host is gone; refused where the host lives',
  arguments: NO_ARGUMENTS,
  example: {},
  steps: [
    {
      name: 'make sure that the VM is gone',
      run: async (job) => {
        const seen = await askHost(job);
        const power = seen === 'silent' || seen === null ? null : powerOf(seen);
        requireAllowed(job, 'power_state_reset', 'power_state_reset', { power });
        await job.makeRoom();
        if (seen === 'silent') {
          job.result.powerState = 'Halted';
          job.result.reset = true;
          return;
        }
        if (seen && isActive(seen)) refuseLiving(job, seen);
        if (seen?.hasManagedSave) await job.vm.switchOff(seen);
        job.result.powerState = 'Halted';
      },
    },
  ],
});

/** @throws HOST_IS_LIVE when the host answers but its libvirt does not */
async function askHost(job: VmJob): Promise<VmSight | null | 'silent'> {
  const { vm, signal } = job;
  try {
    return await vm.look(signal);
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    const error = asProvisiondError(thrown, 'asking the host');
    if (error.code === 'CONFLICT') throw error;
    if (error.code === 'HOST_UNREACHABLE') return 'silent';
    const lives = await vm.host.run(['true'], { signal }).then(
      () => true,
      () => false,
    );
    if (!lives) return 'silent';
    const message = `host ${vm.host.name} lives, although it could not be asked for ${job.computer.shortName}`;
    throw new ProvisiondError('HOST_IS_LIVE', message, { cause: error });
  }
}

function refuseLiving(job: VmJob, sight: VmSight): never {
  const power = powerOf(sight);
  const message = `${job.computer.shortName} is ${conditionOf(power)} (${power.reason}) on host ${job.vm.host.name}`;
  throw new ProvisiondError('DOMAIN_EXISTS', message);
}
