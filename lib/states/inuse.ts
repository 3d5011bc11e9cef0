import { END_LOOKAHEAD_SECONDS } from '../model/timings';
import type { Transition } from '../store/store';
import { captureAtEnd } from './capture-at-end';
import { tellEnd, tellFutureEnd } from './end-notices';
import type { Job, StateHandler } from './job';
import { ignoredAddresses, userIsChecked } from './reserved';

/** How often the guest is asked for the user while he may have left. VCL: 15 s. */
const LOOK_FOR_USER_MS = 15_000;
const DAY_MINUTES = 24 * 60;

/** A user works on it: watch the end of the reservation, and whether the user is still there. */
export const inuseState: StateHandler = {
  state: 'inuse',
  kind: 'attend',
  steps: [
    { name: 'watch the end of the reservation', done: endIsFar, run: watchTheEnd },
    { name: 'tell the user of the end to come', run: tellFutureEnd },
    { name: 'look for the user', done: nobodyIsChecked, run: lookForUser },
  ],
  onSuccess: () => ({ request: 'inuse', computer: 'inuse' }),
};

function endIsFar(job: Job): boolean {
  return job.watch.row.secondsToEnd > END_LOOKAHEAD_SECONDS;
}

/** Counts down to the end; an extension meanwhile is a regular result: the reservation goes on. */
async function watchTheEnd(job: Job): Promise<Transition> {
  const { general_end_notice_first: first, general_end_notice_second: second } = job.timings;
  for (const notice of [Math.min(first, END_LOOKAHEAD_SECONDS), second, 0]) {
    if (await extendedBefore(job, notice)) return { request: 'inuse', computer: 'inuse' };
    const left = job.watch.row.secondsToEnd;
    job.narrator.note(null, left > 0 ? `${Math.round(left / 60)} minutes to the end` : 'the end is reached');
    await tellEnd(job, left);
  }
  return endReservation(job);
}

/** Waits until so many seconds are left. @returns whether the end was moved away meanwhile */
async function extendedBefore(job: Job, seconds: number): Promise<boolean> {
  for (;;) {
    const { secondsToEnd } = job.watch.row;
    if (secondsToEnd > END_LOOKAHEAD_SECONDS + 60) return true;
    if (secondsToEnd <= seconds) return false;
    await job.watch.until(
      (row) => (row.secondsToEnd <= seconds || row.secondsToEnd > END_LOOKAHEAD_SECONDS + 60 ? true : undefined),
      (secondsToEnd - seconds + 1) * 1000,
    );
  }
}

async function endReservation(job: Job): Promise<Transition> {
  const { request, reservationCount } = job.reservation;
  if (request.forImaging && reservationCount === 1) return captureAtEnd(job);
  return { request: 'timeout', computer: 'timeout', ending: 'EOR' };
}

function nobodyIsChecked(job: Job): boolean {
  const { request, server, reservationCount } = job.reservation;
  return (
    !userIsChecked(job) ||
    server !== null ||
    request.forImaging ||
    reservationCount > 1 ||
    request.durationMinutes > DAY_MINUTES ||
    job.watch.row.secondsToEnd < job.timings.reconnecttimeout + job.timings.general_end_notice_first
  );
}

/** A user who left gets `reconnecttimeout` to come back. A guest that does not answer is not held against him. */
async function lookForUser(job: Job): Promise<Transition | void> {
  if ((await job.guest.statusIfAnswering()) === null) return;
  const remoteIp = job.watch.row.remoteIp ?? '';
  if ((await job.guest.connectedFrom(remoteIp, ignoredAddresses(job))) !== null) return;
  job.narrator.note('reconnecttimeout', 'the user is not connected');
  const deadline = performance.now() + job.timings.reconnecttimeout * 1000;
  while (performance.now() < deadline) {
    await job.watch.pause(LOOK_FOR_USER_MS);
    // Nobody can be connected to a machine that somebody has paused, suspended or that crashed: it is not his fault.
    const power = await job.provisioner.powerStatus();
    if (power !== 'on' && power !== 'blocked') {
      job.narrator.note(null, `the machine is ${power ?? 'gone'}: the user is not held to be away`);
      return;
    }
    if ((await job.guest.connectedFrom(remoteIp, ignoredAddresses(job))) === null) continue;
    job.narrator.note('connected', 'the user is back');
    return;
  }
  await job.messages.tellUser('timeout_inactivity');
  return { request: 'timeout', ending: 'timeout' };
}
