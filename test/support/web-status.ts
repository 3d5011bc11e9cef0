/** What VCL's web front end makes of the states of a request, as it was seen to. */
import { STATE_IDS, type StateName } from '../../lib/model/states';

export type WebStatus =
  'ready' | 'failed' | 'maintenance' | 'image' | 'timedout' | 'loading' | 'future' | 'error (unknown requestid)';

/** The rules of the real one, as they were seen. */
export function shown(
  { stateid, laststateid }: Readonly<Record<'stateid' | 'laststateid', number>>,
  computers: readonly number[],
  future: boolean,
): WebStatus {
  const [state, last] = [nameOf(stateid), nameOf(laststateid)];
  const names = computers.map((one) => nameOf(one));
  const [first] = names;
  const firstIsUp = first === 'reserved' || first === 'inuse';
  const allUp = names.every((name) => name === 'reserved' || name === 'inuse');
  const isReady =
    (state === 'pending' && last === 'reserved' && first === 'reserved') ||
    (state === 'inuse' && first === 'inuse') ||
    (state === 'pending' && last === 'inuse' && firstIsUp) ||
    (state === 'servermodified' && firstIsUp);
  if (allUp && isReady) return 'ready';
  if (state === 'failed' || state === 'maintenance') return state;
  const isCapture = (name: string) => name === 'image' || name === 'checkpoint';
  if (isCapture(state) || (state === 'pending' && isCapture(last))) return 'image';
  if (future) return 'future';
  if (state === 'timeout' || state === 'complete' || (state === 'pending' && last === 'timeout')) return 'timedout';
  return 'loading';
}

/** What the front end writes as the last state of what is ended. */
export function lastStateOfEnd(state: StateName, last: StateName): StateName {
  if (state === 'new' || state === 'reserved') return 'reserved';
  if (state === 'pending') return last === 'new' ? 'reserved' : last;
  return state;
}

export function nameOf(stateid: number): StateName {
  return Object.entries(STATE_IDS).find(([, known]) => known === stateid)![0] as StateName;
}

export function quarterBefore(time: string): string {
  const minutes = Math.floor(Number(time.slice(14, 16)) / 15) * 15;
  return `${time.slice(0, 14)}${String(minutes).padStart(2, '0')}:00`;
}
