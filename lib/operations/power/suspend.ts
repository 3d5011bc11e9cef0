import { NO_ARGUMENTS, type VmJob, vmKind } from '../kind';
import { checkStep, conditionNow, confirmStep, GUARDS, isNow } from './steps';

/** Writes the memory to the host's disk and switches off. */
export const suspend = vmKind({
  name: 'suspend',
  about: "write the memory of a running VM to its host's disk, and switch it off",
  arguments: NO_ARGUMENTS,
  example: {},
  steps: [
    checkStep('suspend', () => 'suspend'),
    { name: 'save the memory', done: isNow('Suspended'), run: saveMemory },
    confirmStep(() => 'Suspended'),
  ],
});

/** Told to stop, it tells the hypervisor so, which lets the guest run on. */
async function saveMemory(job: VmJob): Promise<void> {
  const { sight } = await conditionNow(job);
  const abort = () => void job.vm.abortJob(sight).catch((error: unknown) => job.log.warn('job not aborted', { error }));
  job.signal.throwIfAborted();
  job.signal.addEventListener('abort', abort, { once: true });
  try {
    await job.vm.act('saving the memory of', sight, { ...GUARDS.Running, long: true }, 'managedsave', sight.uuid);
  } finally {
    job.signal.removeEventListener('abort', abort);
  }
}
