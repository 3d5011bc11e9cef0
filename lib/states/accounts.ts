/** The accounts that a reservation's guest gets, and their passwords. */
import { ProvisiondError } from '../errors';
import { makePassword } from '../model/password';
import type { GroupMember, Reservation, UserFacts } from '../model/reservation';
import { variableFor } from '../model/timings';
import type { GuestAccount } from '../plugins/api';
import type { Job } from './job';

/** What `reservation.pw` holds, and what is too short to be one. */
const LONGEST_PASSWORD = 40;
const SHORTEST_PASSWORD = 4;

/**
 * Makes the accounts in the guest and tells the database passwords and address (`reserve` of VCL's OS modules).
 * Passwords of an interrupted attempt are used again: their users may have been shown them already.
 */
export async function addUser(job: Job): Promise<void> {
  await confirmServer(job);
  const { publicIp } = await job.guest.reserve(await prepareAccounts(job, { keepPasswords: false }));
  if (job.reservation.server?.fixedIp) return;
  await job.store.setPublicIp(job.claim, job.reservation, publicIp ?? job.reservation.computer.publicIp);
}

/**
 * The front end writes the server request after request and reservation: a daemon that polls fast reads a plain
 * reservation first. Asked again where it matters.
 * @throws ROWS_COMPLETED when it came or changed meanwhile
 */
export async function confirmServer({ store, reservation }: Job): Promise<void> {
  const server = await store.serverFacts(reservation.request.id);
  if (JSON.stringify(server) === JSON.stringify(reservation.server)) return;
  throw new ProvisiondError('ROWS_COMPLETED', `request ${reservation.request.id} became a server request`);
}

/**
 * The accounts as they are to be, with their rows written: the owner, and the members of a server request's groups.
 * @param keepPasswords who has an account already may have chosen another password by now
 */
export async function prepareAccounts(
  job: Job,
  { keepPasswords }: { keepPasswords: boolean },
): Promise<GuestAccount[]> {
  const { claim, reservation, store } = job;
  const { server, user } = reservation;
  const members = server ? await store.groupMembers(reservation, server) : [];
  const password = reservation.password ?? passwordFor(job, user);
  await store.setPassword(claim, reservation, password);
  const owner = {
    ...ownerAccount(reservation, password),
    keepsPassword: keepPasswords && reservation.password !== null,
  };
  const others = members.map((member) => memberAccount(job, member, keepPasswords));
  if (server)
    await store.setMembers(
      claim,
      reservation,
      others.map(({ userId, account }) => ({ userId, password: account.password })),
    );
  for (const account of [owner, ...others.map((other) => other.account)]) {
    if (account.password !== null) job.addSecret(account.password);
  }
  return [owner, ...others.map(({ account }) => account)];
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

function memberAccount(job: Job, { user, isAdmin, password: known }: GroupMember, keepPasswords: boolean) {
  const { login, uid, sshPublicKeys } = user;
  const account: GuestAccount = {
    login,
    uid,
    password: known ?? passwordFor(job, user),
    sshPublicKeys,
    root: isAdmin && job.reservation.image.rootAccess,
    keepsPassword: keepPasswords && known !== null,
  };
  return { userId: user.id, account };
}

/** @returns null for users of a federated affiliation, who log in with an account of their own */
function passwordFor({ config, reservation, variables }: Job, user: UserFacts): string | null {
  if (user.uid !== null && reservation.managementNode.federatedAffiliations.includes(user.affiliation)) return null;
  const wanted = Number(variableFor(variables, 'user_password_length', user.affiliation));
  const length = Number.isInteger(wanted) && wanted >= SHORTEST_PASSWORD ? wanted : config.userPasswordLength;
  const specials = Number(variableFor(variables, 'user_password_spchar', user.affiliation)) === 1;
  return makePassword(Math.min(length, LONGEST_PASSWORD), specials);
}
