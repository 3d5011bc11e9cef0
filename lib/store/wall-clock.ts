/** Zone-less local times as the database holds them, `YYYY-MM-DD HH:MM:SS`: arithmetic without any zone. */
import { ProvisiondError } from '../errors';

const QUARTER_MS = 15 * 60_000;

const toMs = (time: string): number => Date.parse(`${time.replace(' ', 'T')}Z`);
const fromMs = (milliseconds: number): string => new Date(milliseconds).toISOString().slice(0, 19).replace('T', ' ');

/** @param given `YYYY-MM-DD HH:MM[:SS]` @throws REQUEST_INVALID */
export function parseTime(given: string): string {
  const time = /^\d{4}-\d\d-\d\d \d\d:\d\d$/.test(given) ? `${given}:00` : given;
  // Date.parse takes February 30 for March 2.
  if (!/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(time) || Number.isNaN(toMs(time)) || fromMs(toMs(time)) !== time) {
    throw new ProvisiondError('REQUEST_INVALID', `'${given}' is no time of the form YYYY-MM-DD HH:MM[:SS]`);
  }
  return time;
}

export const addMinutes = (time: string, minutes: number): string => fromMs(toMs(time) + minutes * 60_000);

export const floorToQuarter = (time: string): string => fromMs(Math.floor(toMs(time) / QUARTER_MS) * QUARTER_MS);
