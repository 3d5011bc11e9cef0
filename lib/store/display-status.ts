/** What VCL's front end shows of a request, from its states and those of its computers. */
import type { StateName } from '../model/states';

export interface Displayed {
  readonly state: StateName;
  readonly lastState: StateName;
  /** States of its computers, that of the parent reservation first. */
  readonly computers: readonly StateName[];
  /** Whether its start is still to come. */
  readonly future: boolean;
}

export type DisplayStatus =
  'ready' | 'inuse' | 'failed' | 'maintenance' | 'image' | 'timedout' | 'loading' | 'future' | 'ending';

/** The front end does not list ended requests at all; we call them `ending`, and `ready` ones in use `inuse`. */
export function displayStatus({ state, lastState, computers, future }: Displayed): DisplayStatus {
  const work = state === 'pending' ? lastState : state;
  if (work === 'deleted' || work === 'makeproduction') return 'ending';
  if (isReady(state, lastState, computers)) return work === 'inuse' ? 'inuse' : 'ready';
  if (state === 'failed') return 'failed';
  if (state === 'maintenance') return 'maintenance';
  if (work === 'image' || work === 'checkpoint') return 'image';
  if (future) return 'future';
  return state === 'complete' || work === 'timeout' ? 'timedout' : 'loading';
}

function isReady(state: StateName, lastState: StateName, computers: readonly StateName[]): boolean {
  const [parent] = computers;
  if (!computers.every((computer) => computer === 'reserved' || computer === 'inuse')) return false;
  if (state === 'pending' && lastState === 'reserved') return parent === 'reserved';
  if (state === 'inuse') return parent === 'inuse';
  return (state === 'pending' && lastState === 'inuse') || state === 'servermodified';
}
