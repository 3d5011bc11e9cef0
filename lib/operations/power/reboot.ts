import { setTimeout as sleep } from 'node:timers/promises';
import { ProvisiondError } from '../../errors';
import { requireDomain, type VmJob, vmKind } from '../kind';
import { startCold } from '../volumes/temporary';
import { patienceMs, TIMED, type Timed } from './button';
import { DUMPING, type Dumping, dumpStep } from './shutdown';
import { checkStep, conditionNow, confirmStep, GUARDS, isNow, isStillThatRun } from './steps';

/** Between the beginning of listening and the press of the button. */
const EAR_MS = 500;

export const clean_reboot = vmKind<Timed>({
  name: 'clean_reboot',
  about: 'ask the guest to reboot, and wait until it has',
  arguments: TIMED,
  example: { timeoutSeconds: 120 },
  steps: [
    checkStep('clean_reboot', () => 'clean_reboot'),
    {
      name: 'ask the guest to reboot',
      // Another run of the domain than the one that this was begun on: a hypervisor that starts it anew.
      done: async (job) => !(await isStillThatRun(job)),
      run: rebootCleanly,
    },
    confirmStep(() => 'Running'),
  ],
});

/**
 * `virsh reboot` says that all went well when the button was pressed; what counts is that the guest was reset.
 * @throws VM_REBOOT_TIMEOUT
 */
async function rebootCleanly(job: VmJob<Timed>): Promise<void> {
  const wholeMs = patienceMs(job);
  const sight = await requireDomain(job);
  const enough = new AbortController();
  const heard = job.vm.hearReboot(sight, wholeMs + EAR_MS, AbortSignal.any([job.signal, enough.signal]));
  // An ear that closes early is no sign that nothing is coming.
  const reset = heard.then((yes) => yes || new Promise<never>(() => {}));
  reset.catch(() => {});
  try {
    await sleep(EAR_MS, undefined, { signal: job.signal });
    for (const attempt of [1, 2]) {
      if (attempt === 2) job.tell('the guest has not obeyed yet; the button is pressed again');
      await job.vm.act('rebooting', sight, GUARDS.Running, 'reboot', sight.uuid);
      const inTime = sleep(wholeMs / 2, false, { signal: AbortSignal.any([job.signal, enough.signal]) });
      if ((await Promise.race([reset, inTime])) || !(await isStillThatRun(job))) return;
    }
  } finally {
    enough.abort(new Error('heard enough'));
  }
  const message = `guest ${job.computer.shortName} did not reboot within ${Math.round(wholeMs / 1000)} s; it runs on`;
  throw new ProvisiondError('VM_REBOOT_TIMEOUT', message);
}

/**
 * Off, and on again: unlike a reset this takes a changed definition into account, and helps where the guest is paused or
 * has crashed. After a shut-down that was under way it only starts the VM.
 */
export const hard_reboot = vmKind<Dumping>({
  name: 'hard_reboot',
  about: 'pull the plug and start again, with the present definition',
  arguments: DUMPING,
  example: { coreDump: false },
  steps: [
    checkStep('hard_reboot', () => 'hard_reboot'),
    dumpStep,
    {
      name: 'switch the domain off',
      // A suspend whose place was taken may have come to its end: what it saved is not to come back.
      done: async (job) => !(await isStillThatRun(job)) && !(await isNow('Suspended')(job)),
      run: async (job) => job.vm.switchOff((await conditionNow(job)).sight),
    },
    {
      name: 'start the domain again',
      done: isNow('Running'),
      run: (job) => startCold(job),
    },
    confirmStep(() => 'Running'),
  ],
});
