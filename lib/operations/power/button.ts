/** The power button of a guest: pressed, waited for, pressed again. */
import { z } from 'zod';
import { isActive } from '../../libvirt/vm-sight';
import { requireDomain, type VmJob } from '../kind';
import { GUARDS, WORDS } from './steps';

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
