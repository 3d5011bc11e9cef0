/** Keeps a host that is down from being tried by every call: they fail at once for a growing time instead. */
export interface CircuitBreakerOptions {
  /** Failures in a row after which it opens. */
  readonly failures: number;
  /** Pause before a new attempt after the first failure; doubles with each. */
  readonly pauseMs: number;
  /** How long it is open first, doubled with each further failure up to the cap. */
  readonly openMs: number;
  readonly openCapMs: number;
}

/**
 * The way to a host: `open`, it is left alone for the time being; `half-open`, the next call tries it again;
 * `closed`, as it should be.
 */
export type WayState = 'closed' | 'half-open' | 'open';

export const DEFAULT_BREAKER: CircuitBreakerOptions = { failures: 3, pauseMs: 100, openMs: 1_000, openCapMs: 30_000 };

export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions;
  readonly #now: () => number;
  #failures = 0;
  #lastFailureAt = 0;
  #lastError: unknown;

  /** @param now a monotonic clock in ms */
  constructor(options: CircuitBreakerOptions = DEFAULT_BREAKER, now: () => number = () => performance.now()) {
    this.#options = options;
    this.#now = now;
  }

  get failures(): number {
    return this.#failures;
  }

  get state(): WayState {
    if (this.#failures < this.#options.failures) return 'closed';
    return this.refusesForMs() > 0 ? 'open' : 'half-open';
  }

  get lastError(): unknown {
    return this.#lastError;
  }

  /** @returns for how many ms calls are to fail at once; 0 when an attempt is due */
  refusesForMs(): number {
    const { failures, openMs, openCapMs } = this.#options;
    if (this.#failures < failures) return 0;
    return this.#left(Math.min(openCapMs, openMs * 2 ** (this.#failures - failures)));
  }

  /** @returns how many ms to let pass before the next attempt while it is still closed */
  pauseMs(): number {
    const { failures, pauseMs } = this.#options;
    if (this.#failures === 0 || this.#failures >= failures) return 0;
    return this.#left(pauseMs * 2 ** (this.#failures - 1));
  }

  succeeded(): void {
    this.#failures = 0;
    this.#lastError = undefined;
  }

  failed(error: unknown): void {
    this.#failures++;
    this.#lastFailureAt = this.#now();
    this.#lastError = error;
  }

  #left(milliseconds: number): number {
    return Math.max(0, this.#lastFailureAt + milliseconds - this.#now());
  }
}
