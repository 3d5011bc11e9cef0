import { z } from 'zod';
import { asProvisiondError, findError, ProvisiondError } from '../../errors';
import { isActive } from '../../libvirt/vm-sight';
import { requireDomain, type VmJob, vmKind, type VmStep } from '../kind';
import { checkStep, confirmStep, GUARDS, isNow, switchOffStep, WORDS } from './steps';

/** What a harder hand may keep of a guest that crashed. */
export const DUMPING = z.strictObject({ coreDump: z.boolean().default(false) });
export type Dumping = z.output<typeof DUMPING>;

export const TIMED = z.strictObject({ timeoutSeconds: z.number().int().min(1).max(86_400).optional() });
export type Timed = z.output<typeof TIMED>;

/** The time that the guest gets: what was asked for, else what the site says. */
export function patienceMs({ arguments: { timeoutSeconds }, config }: VmJob<Timed>): number {
  return timeoutSeconds === undefined ? config.guestShutdownTimeoutMs : timeoutSeconds * 1000;
}

/**
 * Presses the power button, and again at half time: a guest that is just booting misses it.
 * @returns whether the guest went off
 */
export async function pressButton(job: VmJob<Timed>): Promise<boolean> {
  const halfMs = patienceMs(job) / 2;
  for (const attempt of [1, 2]) {
    const sight = await requireDomain(job);
    if (!isActive(sight)) return true;
    if (attempt === 2) job.tell('the guest has not obeyed yet; the button is pressed again');
    // It may go off while the button is pressed for the second time.
    await job.vm.act('shutting down', sight, GUARDS.Running, 'shutdown', sight.uuid).catch(async (error: unknown) => {
      if (isActive(await requireDomain(job))) throw error;
    });
    if (await job.vm.waitFor(sight, WORDS.Halted, halfMs, job.signal)) return true;
  }
  return false;
}

export const clean_shutdown = vmKind<Timed>({
  name: 'clean_shutdown',
  about: 'ask the guest to shut down, and wait for it',
  arguments: TIMED,
  example: { timeoutSeconds: 120 },
  steps: [
    checkStep('clean_shutdown', () => 'clean_shutdown'),
    { name: 'ask the guest to shut down', done: (job) => isNow('Halted')(job), run: shutDownCleanly },
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
  steps: [checkStep('hard_shutdown', () => 'hard_shutdown'), dumpStep, switchOffStep, confirmStep(() => 'Halted')],
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
    confirmStep(() => 'Halted'),
  ],
});
