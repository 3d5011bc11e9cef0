import type { Job } from './job';

/** Leaves nothing of the reservation on the host, and says so in the computer's row. Nothing there is success. */
export async function releaseComputer(job: Job): Promise<void> {
  const { claim, reservation, store } = job;
  await job.guest.forget();
  await job.provisioner.unload();
  await store.setCurrentImage(claim, reservation.computer.id, null);
  await store.setGuestKey(claim, reservation.computer.id, null);
}
