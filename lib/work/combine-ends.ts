import type { ComputerState } from '../model/states';
import type { Transition } from '../store/store';
import type { PartEnd } from './part';

/**
 * What follows for the request from how its reservations came out: one that failed fails all, and each computer gets
 * its own state.
 * @returns null when nothing is to be written: something was stopped in the middle
 */
export function combineEnds(ends: readonly PartEnd[]): Transition | null {
  const finished = ends.filter((end) => 'transition' in end);
  if (finished.length < ends.length) return null;
  const failed = finished.find(({ kind }) => kind === 'failed');
  const leading = failed ?? finished.find(({ reservation }) => reservation.isParent) ?? finished[0];
  if (!leading) return null;
  if (finished.length === 1) return leading.transition;
  const computers = new Map<number, ComputerState>();
  for (const { reservation, transition } of finished) {
    if (transition.computer) computers.set(reservation.computer.id, transition.computer);
  }
  return { ...leading.transition, computer: undefined, computers };
}
