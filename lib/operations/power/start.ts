import { z } from 'zod';
import { ProvisiondError } from '../../errors';
import { isActive } from '../../libvirt/vm-sight';
import { deedOf } from '../../model/vm-states';
import { type VmJob, vmKind } from '../kind';
import { startCold } from '../volumes/temporary';
import { checkStep, conditionNow, confirmStep, GUARDS, isNow } from './steps';

const PAUSABLE = z.strictObject({ paused: z.boolean().default(false) });
type Pausable = z.output<typeof PAUSABLE>;

/** Boots a VM that is off. Never resumes one: virsh's own `start` would. */
export const start = vmKind<Pausable>({
  name: 'start',
  about: 'boot a VM that is off; with paused: ready, but with its processors stopped',
  arguments: PAUSABLE,
  example: { paused: false },
  steps: [
    checkStep('start', (args) => deedOf('start', args)),
    {
      name: 'start the domain',
      done: (job) => isNow(job.arguments.paused ? 'Paused' : 'Running')(job),
      run: startDomain,
      undo: switchOffAgain,
    },
    confirmStep(({ paused }) => (paused ? 'Paused' : 'Running')),
  ],
});

async function startDomain(job: VmJob<Pausable>): Promise<void> {
  const flags = job.arguments.paused ? ['--paused'] : [];
  try {
    await startCold(job, ...flags);
  } catch (error) {
    if (!(error instanceof ProvisiondError) || error.code !== 'LIBVIRT_FAILED') throw error;
    throw new ProvisiondError('DOMAIN_START_FAILED', error.message, { details: error.details });
  }
}

/**
 * Only what this operation began on may be switched off: before it was checked, the VM is none of its business. Nor is
 * memory that somebody saved meanwhile, which would be discarded with it.
 */
async function switchOffAgain(job: VmJob): Promise<void> {
  if (job.journal?.from !== 'Halted') return;
  const { sight } = await conditionNow(job);
  if (isActive(sight)) await job.vm.switchOff(sight);
}

/**
 * Brings a suspended VM back with its memory. libvirt forgets the memory when that went well, and keeps it when not.
 * A VM that was saved while it was paused comes back paused: then it is let run.
 */
export const resume = vmKind<Pausable>({
  name: 'resume',
  about: 'bring a suspended VM back with its memory; with paused: with its processors stopped',
  arguments: PAUSABLE,
  example: { paused: false },
  steps: [
    checkStep('resume', (args) => deedOf('resume', args)),
    { name: 'load the saved memory', done: (job) => isNow('Paused', 'Running')(job), run: loadMemory },
    {
      name: 'let it run',
      done: async (job) => job.arguments.paused || (await isNow('Running')(job)),
      run: async (job) => {
        const { sight } = await conditionNow(job);
        await job.vm.act('letting run', sight, GUARDS.Paused, 'resume', sight.uuid);
      },
    },
    confirmStep(({ paused }) => (paused ? 'Paused' : 'Running')),
  ],
});

/** @throws VM_RESUME_FAILED: the VM stays suspended, and its memory is kept */
async function loadMemory(job: VmJob<Pausable>): Promise<void> {
  const { sight } = await conditionNow(job);
  const flags = job.arguments.paused ? ['--paused'] : [];
  try {
    await job.vm.act(
      'loading the saved memory of',
      sight,
      { ...GUARDS.Suspended, long: true },
      'start',
      sight.uuid,
      ...flags,
    );
  } catch (error) {
    if (!(error instanceof ProvisiondError) || error.code !== 'LIBVIRT_FAILED') throw error;
    throw new ProvisiondError('VM_RESUME_FAILED', error.message, { details: error.details });
  }
  const { sight: after } = await conditionNow(job);
  // libvirt ignores memory that was not saved to its end, and boots.
  if (after.words.reason === 'booted') job.tell('the saved memory was not whole: libvirt booted the VM instead');
}
