/**
 * What happens in the program, told as it happens to whoever listens: metrics, the watchdog of systemd, the page.
 * Node's own channels stand behind it: telling costs nothing while nobody listens, and no port has to carry an observer.
 * A signal decides nothing: the work must not depend on whether somebody heard it.
 */
import { channel } from 'node:diagnostics_channel';
import type { ErrorCode, Blame } from './errors';

export interface Signal<T> {
  readonly tell: (message: T) => void;
  /** @returns ends the listening */
  readonly listen: (listener: (message: T) => void) => () => void;
}

function signal<T extends object>(name: string): Signal<T> {
  const it = channel(`provisiond:${name}`);
  return {
    tell: (message) => {
      if (it.hasSubscribers) it.publish(message);
    },
    listen: (listener) => {
      const hear = (message: unknown) => listener(message as T);
      it.subscribe(hear);
      return () => void it.unsubscribe(hear);
    },
  };
}

export interface Took {
  readonly milliseconds: number;
  readonly ok: boolean;
}

/** A step of a reservation has ended, one way or the other. */
export interface StepSignal extends Took {
  readonly requestId: number;
  readonly state: string;
  readonly step: string;
  readonly error?: { readonly code: ErrorCode; readonly blame: Blame };
}

/** A look at the inbox, or a standby's look at the lease: the loop gets on. */
export interface LoopSignal extends Took {
  readonly role: 'active' | 'standby';
}

export const SIGNALS = {
  step: signal<StepSignal>('step'),
  /** A request was worked to an end: the state that it was in and the one that follows. */
  outcome: signal<{ readonly requestId: number; readonly state: string; readonly next: string }>('outcome'),
  loop: signal<LoopSignal>('loop'),
  /** A statement, with all the tries that it took. */
  statement: signal<Took>('statement'),
  /** A command on a host. */
  command: signal<Took & { readonly host: string }>('command'),
  /** The copy of an image from the repository to a host. */
  imageCopy: signal<Took & { readonly host: string; readonly bytes: number }>('image-copy'),
} as const;

/** Times a piece of work and tells how it came out, whatever it was. */
export async function timed<T>(work: () => Promise<T>, tell: (took: Took) => void): Promise<T> {
  const startedAt = performance.now();
  let ok = false;
  try {
    const result = await work();
    ok = true;
    return result;
  } finally {
    tell({ milliseconds: performance.now() - startedAt, ok });
  }
}
