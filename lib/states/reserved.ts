import type { Transition } from '../store/store';
import type { Job, StateHandler } from './job';
import { releaseComputer } from './release-computer';

/** How often the guest is asked whether the user came. VCL: 15 s. */
const LOOK_FOR_USER_MS = 1500;

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
    { name: 'grant access', run: (job) => job.guest.grantAccess(remoteIp(job)) },
    { name: 'post-reserve', story: { after: 'postreserve' }, run: postReserve },
    { name: 'wait for the user to connect', run: waitForConnection },
    { name: 'note that a user is on it', run: noteUser },
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

function isAcknowledged(job: Job): boolean {
  return job.watch.row.remoteIp !== null;
}

async function waitForAcknowledgement(job: Job): Promise<Transition | void> {
  // The front end shows a countdown from this row.
  job.narrator.note('acknowledgetimeout', 'waiting for the user to acknowledge');
  await job.narrator.flush();
  const timeoutMs = job.timings.acknowledgetimeout * 1000;
  const from = await job.watch.until((row) => row.remoteIp ?? undefined, timeoutMs);
  if (from !== null) return;
  await job.messages.tellUser('timeout_no_acknowledgement');
  return { request: 'timeout', computer: 'available', ending: 'noack' };
}

async function postReserve(job: Job): Promise<void> {
  await job.guest.postReserve();
  await job.scripts.run('post_reserve');
}

async function noteUser(job: Job): Promise<void> {
  await job.guest.postInitialConnection(remoteIp(job));
  await job.scripts.run('post_initial_connection');
}

async function startConnectClock(job: Job): Promise<void> {
  await job.store.untell(job.reservation.id, ['acknowledgetimeout']);
  job.narrator.note('noinitialconnection', 'the user acknowledged');
}

async function waitForConnection(job: Job): Promise<Transition | void> {
  if (isNotChecked(job)) {
    job.narrator.note('connected', 'connections to a reservation of this length are not checked');
    return;
  }
  const deadline = performance.now() + job.timings.initialconnecttimeout * 1000;
  while (performance.now() < deadline) {
    const seen = await job.guest.connectedFrom(remoteIp(job));
    if (seen !== null) {
      job.narrator.note('connected', `the user is connected from ${seen}`);
      if (seen !== remoteIp(job)) await job.store.setRemoteIp(job.claim, job.reservation.id, seen);
      await forgetClock(job);
      return;
    }
    await job.watch.pause(LOOK_FOR_USER_MS);
  }
  await forgetClock(job);
  if (!userIsChecked(job)) return;
  await job.messages.tellUser('timeout_no_initial_connection');
  // The computer stays reserved: reclaim decides what becomes of it.
  return { request: 'timeout', ending: 'nologin' };
}

async function forgetClock(job: Job): Promise<void> {
  await job.store.untell(job.reservation.id, ['initialconnecttimeout']);
}

function isNotChecked(job: Job): boolean {
  const { server, request } = job.reservation;
  return server !== null || request.durationMinutes >= job.timings.ignore_connections_gte;
}

/** Whether an absent user costs the reservation: the image and the request may both switch that off. */
export function userIsChecked(job: Job): boolean {
  return job.reservation.image.checkUser && job.reservation.request.checkUser;
}

function remoteIp(job: Job): string {
  return job.watch.row.remoteIp ?? job.reservation.remoteIp ?? '';
}
