import { z } from 'zod';
import { asProvisiondError, findError, ProvisiondError } from '../../errors';
import { requireDomain, type VmJob, vmKind, type VmStep } from '../kind';
import { refreshStep } from '../volumes/temporary';
import { patienceMs, pressButton, TIMED, type Timed } from './button';
import { checkStep, confirmStep, isNow, switchOffStep } from './steps';

/** What a harder hand may keep of a guest that crashed. */
export const DUMPING = z.strictObject({ coreDump: z.boolean().default(false) });
export type Dumping = z.output<typeof DUMPING>;

export const clean_shutdown = vmKind<Timed>({
  name: 'clean_shutdown',
  about: 'ask the guest to shut down, and wait for it',
  arguments: TIMED,
  example: { timeoutSeconds: 120 },
  steps: [
    checkStep('clean_shutdown', () => 'clean_shutdown'),
    { name: 'ask the guest to shut down', done: (job) => isNow('Halted')(job), run: shutDownCleanly },
    refreshStep,
    confirmStep(() => 'Halted'),
  ],
});

/** @throws VM_SHUTDOWN_TIMEOUT: the VM still runs */
async function shutDownCleanly(job: VmJob<Timed>): Promise<void> {
  if (await pressButton(job)) return;
  const seconds = Math.round(patienceMs(job) / 1000);
  const message = `guest ${job.computer.shortName} did not shut down within ${seconds} s; it still runs`;
  throw new ProvisiondError('VM_SHUTDOWN_TIMEOUT', message);
}

/** A crashed guest is got rid of even where its memory cannot be kept. */
export const dumpStep: VmStep<Dumping> = {
  name: 'keep the memory of the crashed guest',
  done: async (job) => !job.arguments.coreDump || job.journal?.from !== 'Crashed' || !(await isNow('Crashed')(job)),
  run: async (job) => {
    try {
      const { file, MiB } = await job.vm.dumpMemory(await requireDomain(job));
      job.result.coreDump = file;
      job.tell(`the memory of the crashed guest is in ${file}, ${MiB} MiB`);
    } catch (thrown) {
      const error = asProvisiondError(thrown, 'keeping the memory of the crashed guest');
      if (job.signal.aborted || findError(error, 'CLAIM_LOST')) throw error;
      job.tell(`the memory of the crashed guest could not be kept: ${error.message}`);
    }
  },
};

/** Pulls the plug. Of a suspended VM the saved memory is discarded: the one way in which that happens. */
export const hard_shutdown = vmKind<Dumping>({
  name: 'hard_shutdown',
  about: 'pull the plug; the saved memory of a suspended VM is discarded',
  arguments: DUMPING,
  example: { coreDump: false },
  steps: [
    checkStep('hard_shutdown', () => 'hard_shutdown'),
    dumpStep,
    switchOffStep,
    refreshStep,
    confirmStep(() => 'Halted'),
  ],
});

/** Gently where there is somebody to ask, then hard. */
export const shutdown = vmKind<Timed>({
  name: 'shutdown',
  about: 'ask the guest to shut down, and pull the plug when it does not',
  arguments: TIMED,
  example: { timeoutSeconds: 60 },
  steps: [
    checkStep('shutdown', () => 'shutdown'),
    {
      name: 'ask the guest to shut down',
      done: async (job) => job.journal?.from !== 'Running' || !(await isNow('Running')(job)),
      run: async (job) => {
        const asked = await pressButton(job).catch((error: unknown) => {
          if (job.signal.aborted) throw error;
          job.log.warn('the guest could not be asked to shut down', { error });
          return false;
        });
        if (!asked) job.tell('the guest did not shut down; its plug is pulled');
      },
    },
    switchOffStep,
    refreshStep,
    confirmStep(() => 'Halted'),
  ],
});
