import { findError } from '../errors';
import { variableFor } from '../model/timings';
import type { Transition } from '../store/store';
import { SHORT_PATIENCE } from '../work/siblings';
import type { Job, StateHandler } from './job';
import { forwardNatPorts } from './nat';
import { releaseComputer } from './release-computer';

/** How often the guest is asked whether the user came. VCL: 15 s. */
const LOOK_FOR_USER_MS = 1500;
/** How often the others of a cluster are listened to while the user is waited for. */
const LISTEN_MS = 2000;

/**
 * The computer is ready: wait for the user to acknowledge, open the way in, wait for the log-in.
 * While it waits the row is `pending/reserved` with the computer `reserved`, which the front end shows as ready.
 */
export const reservedState: StateHandler = {
  state: 'reserved',
  kind: 'attend',
  steps: [
    { name: 'tell the front end', story: { after: 'reserved' }, run: announce, undo: releaseComputer },
    { name: 'tell the user', run: tellUser },
    { name: 'wait for the user to acknowledge', done: isAcknowledged, run: waitForAcknowledgement },
    { name: 'start the clock for the first connection', run: startConnectClock },
    { name: 'grant access', run: (job) => job.guest.grantAccess(allowedFrom(job)) },
    forwardNatPorts,
    { name: 'tell the guest its cluster', done: (job) => job.siblings.alone, run: updateCluster },
    { name: 'post-reserve', story: { after: 'postreserve' }, run: postReserve },
    { name: 'wait for the user to connect', run: waitForConnection },
    { name: 'note that a user is on it', run: noteUser },
    { name: 'wait for the whole cluster', run: (job) => job.siblings.meet('postreserve', SHORT_PATIENCE) },
  ],
  onSuccess: () => ({ request: 'inuse', computer: 'inuse' }),
};

async function announce(job: Job): Promise<void> {
  const { claim, reservation, store } = job;
  await store.setLoaded(claim, reservation);
  await store.setComputerState(claim, reservation.computer.id, 'reserved');
}

async function tellUser(job: Job): Promise<void> {
  await job.messages.tellUser(job.claim.lastState === 'reinstall' ? 'reinstalled' : 'reserved');
}

/** A server is there for its groups, whether or not its maker looks at it. */
function isAcknowledged(job: Job): boolean {
  return job.reservation.server !== null || remoteIp(job) !== '';
}

/** The parent says when it has been too long; the others of a cluster wait for it, or for the user. */
async function waitForAcknowledgement(job: Job): Promise<Transition | void> {
  if (!job.reservation.isParent) return waitWithParent(job, () => isAcknowledged(job));
  // The front end shows a countdown from this row.
  job.narrator.note('acknowledgetimeout', 'waiting for the user to acknowledge');
  await job.narrator.flush();
  const deadline = performance.now() + job.timings.acknowledgetimeout * 1000;
  while (!isAcknowledged(job)) {
    job.siblings.check();
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) {
      if ((await job.watch.next()).remoteIp !== null) return;
      await job.messages.tellUser('timeout_no_acknowledgement');
      return { request: 'timeout', computer: 'available', ending: 'noack' };
    }
    await job.watch.until((row) => row.remoteIp ?? undefined, Math.min(leftMs, LISTEN_MS));
  }
}

/** Ends by what is waited for, as the parent ends, or with the claim, when the parent's node moves the request on. */
async function waitWithParent(job: Job, isThere: () => boolean | Promise<boolean>): Promise<Transition | void> {
  while (!(await isThere())) {
    if (job.siblings.ending) return job.siblings.ending;
    await job.siblings.heard('failed');
    await job.watch.pause(LOOK_FOR_USER_MS);
  }
}

/** The front end writes the row of the countdown when its page was used; through its API it does not. */
async function startConnectClock(job: Job): Promise<void> {
  const { reservation, store, narrator, siblings } = job;
  await store.untell(reservation.id, ['acknowledgetimeout']);
  narrator.note('noinitialconnection', 'the user acknowledged');
  if (reservation.server || !reservation.isParent) return;
  const own = (await siblings.all()).find(({ reservationId }) => reservationId === reservation.id);
  if (!own?.told.has('initialconnecttimeout'))
    narrator.note('initialconnecttimeout', 'waiting for the user to connect');
}

async function updateCluster(job: Job): Promise<void> {
  const members = (await job.siblings.all()).map(({ publicIp }, index) => ({
    address: publicIp,
    isParent: index === 0,
  }));
  await job.guest.updateCluster(members);
}

/** The variable with the user's data goes when the guest has it. */
async function postReserve(job: Job): Promise<void> {
  const { claim, reservation, store } = job;
  const userData = reservation.server ? await store.userData(reservation) : null;
  await job.guest.postReserve(userData);
  if (userData !== null) await store.forgetUserData(claim, reservation);
  await job.scripts.run('post_reserve');
}

async function noteUser(job: Job): Promise<void> {
  await job.guest.postInitialConnection(allowedFrom(job));
  await job.scripts.run('post_initial_connection');
}

async function waitForConnection(job: Job): Promise<Transition | void> {
  if (isNotChecked(job)) {
    job.narrator.note('connected', 'connections to a reservation of this kind or length are not checked');
    return;
  }
  if (!job.reservation.isParent) return waitWithParent(job, () => isConnected(job));
  const deadline = performance.now() + job.timings.initialconnecttimeout * 1000;
  while (performance.now() < deadline) {
    if (await isConnected(job)) return forgetClock(job);
    await job.watch.pause(LOOK_FOR_USER_MS);
  }
  await forgetClock(job);
  if (!userIsChecked(job)) {
    if (!job.siblings.alone) job.narrator.note('connected', 'nobody connected, and nobody has to');
    return;
  }
  await job.messages.tellUser('timeout_no_initial_connection');
  // The computer stays reserved: reclaim decides what becomes of it.
  return { request: 'timeout', ending: 'nologin' };
}

/** On this machine, or on another one of the cluster. */
async function isConnected(job: Job): Promise<boolean> {
  const announced = remoteIp(job);
  const seen = await connectedFrom(job, announced);
  if (seen === null && !(await job.siblings.heard('connected'))) return false;
  job.narrator.note(
    'connected',
    seen === null ? 'the user is connected to another machine' : `the user is connected from ${seen}`,
  );
  if (seen !== null && seen !== announced) await job.store.setRemoteIp(job.claim, job.reservation.id, seen);
  return true;
}

/** A guest that is up and slow, or that reboots, is asked again: the clock of the connection says how long that is borne. */
async function connectedFrom(job: Job, announced: string): Promise<string | null> {
  try {
    return await job.guest.connectedFrom(announced, ignoredAddresses(job));
  } catch (error) {
    if (job.signal.aborted || !findError(error, 'GUEST_NO_ANSWER')) throw error;
    const power = await job.provisioner.powerStatus();
    if (power !== 'on' && power !== 'blocked') throw error;
    job.log.info('the guest does not say whether its user is there', { error });
    return null;
  }
}

async function forgetClock(job: Job): Promise<void> {
  await job.store.untell(job.reservation.id, ['initialconnecttimeout']);
}

function isNotChecked(job: Job): boolean {
  const { server, request } = job.reservation;
  return server !== null || request.durationMinutes >= job.timings.ignore_connections_gte;
}

/** Whether an absent user costs the reservation: the image and the request may both switch that off, the latter any time. */
export function userIsChecked(job: Job): boolean {
  const { image, request } = job.reservation;
  return image.checkUser && request.checkUser && job.watch.row.checkUser;
}

/** Addresses of the site's monitors and the like: who comes from there is no user. */
export function ignoredAddresses({ variables, reservation }: Job): string[] {
  const list = variableFor(variables, 'ignored_remote_ip_addresses', reservation.user.affiliation) ?? '';
  return list.split(/[\s,;]+/).filter((address) => address !== '');
}

/** Where users may come from: a server's from anywhere, for it has more than one. */
export function allowedFrom(job: Job): string {
  return job.reservation.server ? '' : remoteIp(job);
}

function remoteIp(job: Job): string {
  return job.watch.row.remoteIp ?? job.reservation.remoteIp ?? '';
}
