/** States and statuses as people see them, and what a status means for somebody who waits. */
import type { ReservationDetails } from '../store/front-end';
import type { Cell, Style } from './terminal';

const STYLES: Readonly<Record<string, Style>> = {
  ready: 'green',
  inuse: 'green',
  available: 'green',
  reserved: 'green',
  loading: 'yellow',
  reloading: 'yellow',
  ending: 'yellow',
  failed: 'red',
  timedout: 'red',
  maintenance: 'red',
};

export function statusCell(status: string): Cell {
  const style = STYLES[status];
  return style === undefined ? { text: status } : { text: status, style };
}

/** Where a reservation has come to rest, for the time being or for good; null: it is on its way. */
export type Rest = 'ready' | 'failed' | 'timedout' | 'gone';

/** By the status that the front end shows, and for requests whose rows are gone by how VCL's log says they ended. */
const RESTS: Readonly<Record<string, Rest>> = {
  ready: 'ready',
  inuse: 'ready',
  failed: 'failed',
  failedtest: 'failed',
  maintenance: 'failed',
  timedout: 'timedout',
  timeout: 'timedout',
  noack: 'timedout',
  nologin: 'timedout',
};

export function restOf({ status, state }: Pick<ReservationDetails, 'status' | 'state'>): Rest | null {
  return RESTS[status] ?? (state === 'complete' ? 'gone' : null);
}
