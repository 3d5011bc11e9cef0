/** A guest that has to be off for a while, and comes back as the same machine. */
import { ProvisiondError } from '../errors';
import type { Job } from './job';

/**
 * Shuts the guest down as it wants to be, through its OS module, else by its power button; when it does not obey in time,
 * its power is cut (`shutdown` of VCL's OS modules). Off already: nothing is done.
 */
export async function shutGuestDown(job: Job): Promise<void> {
  const { capture } = job.provisioner;
  if (await capture.isAtRest()) return;
  const { domain } = await capture.machine();
  if (domain.state === 'crashed') return stopHard(job);
  // What is paused or saved has to run to end well.
  if (domain.state !== 'running' && domain.state !== 'idle') await capture.start();
  if (!(await askGuest(job))) await capture.pressPowerButton();
  await job.guest.forget();
  const { guestShutdownTimeoutMs } = job.config;
  const down = await capture.waitUntilDown(guestShutdownTimeoutMs, (milliseconds) => job.watch.pause(milliseconds));
  if (down === 'shut off') return;
  const how = down === 'crashed' ? 'crashed' : `did not shut down within ${guestShutdownTimeoutMs / 1000} s`;
  job.narrator.note('info', `the guest ${how}: its power is cut`);
  job.log.warn(`the guest ${how}; its power is cut`);
  await stopHard(job);
}

async function stopHard(job: Job): Promise<void> {
  await job.guest.forget();
  await job.provisioner.capture.stop();
}

/** @returns false for a guest that does not answer or will not hear of it */
async function askGuest(job: Job): Promise<boolean> {
  if ((await job.guest.statusIfAnswering()) === null) return false;
  try {
    return await job.guest.shutdown();
  } catch (error) {
    if (job.signal.aborted) throw error;
    job.log.warn('the guest could not be asked to shut down', { error });
    return false;
  }
}

/**
 * Starts the guest, if it is off, and waits until it lets us in, with the key that it has had since its load.
 * @throws GUEST_NO_ANSWER
 */
export async function bootGuest(job: Job): Promise<void> {
  await job.guest.forget();
  await job.provisioner.capture.start();
  const { guestBootTimeoutMs } = job.config;
  if (await job.guest.waitForBoot(null, guestBootTimeoutMs)) return;
  const { computer } = job.reservation;
  const message = `guest ${computer.shortName} did not answer within ${guestBootTimeoutMs / 1000} s after it was started`;
  throw new ProvisiondError('GUEST_NO_ANSWER', message);
}
