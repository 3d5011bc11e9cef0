/** A limit on how many may do something at once; the others wait in the order in which they came. */
export class Slots {
  readonly #waiting: (() => void)[] = [];
  #taken = 0;
  #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get limit(): number {
    return this.#limit;
  }

  get taken(): number {
    return this.#taken;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** A lower limit takes nothing away from those who are in. */
  setLimit(limit: number): void {
    this.#limit = Math.max(1, limit);
    this.#admit();
  }

  /**
   * Waits for a slot.
   * @returns gives the slot back; further calls of it do nothing
   * @throws the signal's reason when aborted before it was this one's turn
   */
  acquire(signal?: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const enter = () => {
        signal?.removeEventListener('abort', leave);
        resolve(this.#take());
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiting.push(enter);
      this.#admit();
    });
  }

  /** Does the work in a slot of its own. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const release = await this.acquire(signal);
    try {
      return await work();
    } finally {
      release();
    }
  }

  #take(): () => void {
    this.#taken++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#taken--;
      this.#admit();
    };
  }

  #admit(): void {
    while (this.#taken < this.#limit) {
      const enter = this.#waiting.shift();
      if (!enter) return;
      enter();
    }
  }
}
