/**
 * Two requests on one computer: what becomes of the one that stands in our way
 * (`computer_not_being_used` of VCL's new state).
 */
import type { StateName, WorkableState } from './states';

export interface Rival {
  readonly state: StateName;
  readonly lastState: StateName;
  readonly secondsToStart: number;
  readonly imageRevisionId: number;
}

/**
 * - `ignore`: it is over, or it begins later
 * - `wait`: it is at work; look again
 * - `complete`: a reload that nobody waits for: set it complete, ours is the one that is needed
 * - `yield`: ours is a reload that nobody waits for, and here comes a user: he loads what he needs. Were both to wait
 *   for the other, neither would ever begin
 * - `refuse`: an admin must act first
 */
export type Verdict = 'ignore' | 'wait' | 'complete' | 'yield' | 'refuse';

/**
 * @param imageRevisionId the revision that we need on the computer
 * @param ours the state that our own request is worked in
 */
export function judgeRival(rival: Rival, imageRevisionId: number, ours: WorkableState): Verdict {
  const work = rival.state === 'pending' ? rival.lastState : rival.state;
  if (rival.state === 'complete' || rival.state === 'failed') return 'ignore';
  if (rival.state === 'maintenance') return 'refuse';
  if (work === 'image' || work === 'checkpoint') return 'wait';
  // One that begins later and is in hand already is being loaded ahead of its time.
  if (rival.secondsToStart > 0 && rival.state !== 'pending') return 'ignore';
  if (ours === 'reload' && work === 'new') return 'yield';
  // A reload of what we need is worth waiting for: it leaves the computer ready.
  if (work === 'reload') return rival.imageRevisionId === imageRevisionId ? 'wait' : 'complete';
  return 'wait';
}
