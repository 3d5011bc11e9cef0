/** The accounts that a reservation's guest gets, and their passwords. */
import { makePassword } from '../model/password';
import type { Reservation } from '../model/reservation';
import type { GuestAccount } from '../plugins/api';
import type { Job } from './job';

/**
 * Makes the user's account in the guest and tells the database password and address (`reserve` of VCL's OS modules).
 * The password of an interrupted attempt is used again: the user may have been shown it already.
 */
export async function addUser(job: Job): Promise<void> {
  const { claim, reservation, store } = job;
  const password = reservation.password ?? makePassword(job.config.userPasswordLength);
  job.addSecret(password);
  await store.setPassword(claim, reservation, password);
  const { publicIp } = await job.guest.reserve([ownerAccount(reservation, password)]);
  await store.setPublicIp(claim, reservation, publicIp ?? reservation.computer.publicIp);
}

/** The requesting user: root when the image says so, or when the owner is making an image of it. */
export function ownerAccount(reservation: Reservation, password: string | null): GuestAccount {
  const { user, image, request } = reservation;
  return {
    login: user.login,
    uid: user.uid,
    password,
    sshPublicKeys: user.sshPublicKeys,
    root: image.rootAccess || (request.forImaging && image.ownerId === user.id),
  };
}
