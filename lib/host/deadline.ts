/**
 * One signal for the two things that end a call early: its time limit and its caller.
 * Made by hand rather than by `AbortSignal.any`, so that nothing stays hung on a signal that lives as long as the daemon.
 */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #caller: AbortSignal | undefined;
  readonly #follow = () => this.#controller.abort(this.#caller?.reason);

  /**
   * @param timeoutMs from now
   * @param expired what the call is to throw when the time is over; asked at that moment
   * @throws the reason of a signal that is aborted already
   */
  constructor(timeoutMs: number, expired: () => Error, caller?: AbortSignal) {
    caller?.throwIfAborted();
    this.#caller = caller;
    this.#timer = setTimeout(() => this.#controller.abort(expired()), timeoutMs);
    caller?.addEventListener('abort', this.#follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The promise, or the reason of the end when that comes first. */
  async race<T>(promise: Promise<T>): Promise<T> {
    let onAbort = () => {};
    const ended = new Promise<never>((_, reject) => {
      onAbort = () => reject(this.signal.reason as Error);
      if (this.signal.aborted) onAbort();
      else this.signal.addEventListener('abort', onAbort, { once: true });
    });
    try {
      return await Promise.race([promise, ended]);
    } finally {
      this.signal.removeEventListener('abort', onAbort);
    }
  }

  /** Takes the timer and the listener away; to be called whatever came of the call. */
  end(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener('abort', this.#follow);
  }
}

/** Waits, unless the signal ends it. @throws the signal's reason */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
