/** What a user is told of the end of his reservation, while he works. */
import type { Job } from './job';

/** VCL tells of these in a window of five minutes each, and misses them when it looks more seldom. */
const NOTICES: readonly { readonly interval: string; readonly secondsToEnd: number }[] = [
  { interval: '24 hours', secondsToEnd: 24 * 3600 },
  { interval: '2 days', secondsToEnd: 2 * 24 * 3600 },
  { interval: '1 week', secondsToEnd: 7 * 24 * 3600 },
  { interval: '2 weeks', secondsToEnd: 14 * 24 * 3600 },
];
/** So long after the mark a notice is still worth its words; it is told once all the same. */
const LATE_SECONDS = 3600;
const LONG_RESERVATION_MINUTES = 24 * 60;

/** @returns the interval that the user is to hear of now; null: none */
export function futureNotice(secondsToEnd: number, durationMinutes: number): string | null {
  if (durationMinutes < LONG_RESERVATION_MINUTES) return null;
  const passed = NOTICES.find((notice) => secondsToEnd <= notice.secondsToEnd);
  return passed && secondsToEnd > passed.secondsToEnd - LATE_SECONDS ? passed.interval : null;
}

/** Two weeks, one week, two days and a day before the end of a reservation of at least a day. */
export async function tellFutureEnd(job: Job): Promise<void> {
  const interval = futureNotice(job.watch.row.secondsToEnd, job.reservation.request.durationMinutes);
  if (interval !== null) await tell(job, 'future_endtime', interval);
}

/** @param secondsToEnd above zero: it is near; else it is reached */
export async function tellEnd(job: Job, secondsToEnd: number): Promise<void> {
  const { request, reservationCount } = job.reservation;
  const captured = request.forImaging && reservationCount === 1;
  if (secondsToEnd <= 0) await job.messages.tellUser(captured ? 'endtime_reached_imaging' : 'endtime_reached');
  else {
    const minutes = Math.max(1, Math.round(secondsToEnd / 60));
    const interval = `${minutes} ${minutes === 1 ? 'minute' : 'minutes'}`;
    await tell(job, captured ? 'endtime_imminent_imaging' : 'endtime_imminent', interval);
  }
}

type Notice = 'future_endtime' | 'endtime_imminent' | 'endtime_imminent_imaging';

/** Once for each end that the reservation has had: it may be extended, and come near its end again. */
async function tell(job: Job, name: Notice, interval: string): Promise<void> {
  const occasion = job.reservation.request.end;
  await job.messages.tellUser(name, { substitutions: { notice_interval: interval }, occasion });
}
