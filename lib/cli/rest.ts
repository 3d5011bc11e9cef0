/** Why a reservation is not there to be used. */
import type { Watched } from './watch';
import { lastFailure } from './timeline';

export interface RestFailure {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly blame: string | null;
}

/** @returns null when it is ready */
export function describeRest({ rest, details }: Watched): RestFailure | null {
  const request = `request ${details.requestId}`;
  const again = `provisiond show ${details.requestId} shows its story`;
  switch (rest) {
    case 'ready':
      return null;
    case 'failed': {
      const failure = lastFailure(details.timeline);
      return {
        code: failure?.errorCode ?? 'FAILED',
        message: `${request} failed${failure === undefined ? '' : `: ${failure.text}`}`,
        hint: failure?.hint ?? again,
        blame: failure?.blame ?? null,
      };
    }
    case 'timedout':
      return { code: 'TIMED_OUT', message: `${request}: nobody connected in time`, hint: again, blame: 'request' };
    case 'gone':
      return { code: 'GONE', message: `${request} is over`, hint: again, blame: 'request' };
    case 'stopped': {
      const hint = `provisiond show ${details.requestId} --follow watches it again`;
      return { code: 'STOPPED', message: `${request} goes on without being watched`, hint, blame: null };
    }
  }
}
