/** The last look at a host, for as long as it can be believed. */
import type { HostedComputer } from './hosted-computer';
import { type HostLook, lookAtHost } from './look';

/** Others work on the same host; what we saw is believed no longer than this. */
const MAX_AGE_MS = 15_000;

export class HostView {
  private known: { readonly look: Promise<HostLook>; readonly at: number } | null = null;

  constructor(private readonly computer: HostedComputer) {}

  /** What was seen, if nothing happened since; else a new look. @throws LIBVIRT_FAILED and errors of the host */
  current(): Promise<HostLook> {
    if (this.known && performance.now() - this.known.at < MAX_AGE_MS) return this.known.look;
    return this.fresh();
  }

  fresh(): Promise<HostLook> {
    const look = lookAtHost(this.computer);
    this.known = { look, at: performance.now() };
    look.catch(() => {
      if (this.known?.look === look) this.known = null;
    });
    return look;
  }

  forget(): void {
    this.known = null;
  }

  /**
   * Changes the host. When it went well, the effect is carried over into what is known; else all is forgotten.
   * @param effect what a new look would show now
   */
  async change<T>(work: (look: HostLook) => Promise<T>, effect: (look: HostLook) => HostLook): Promise<T> {
    const before = await this.current();
    try {
      const result = await work(before);
      // Forgotten meanwhile: another change, at the same time, failed, and nothing is known any more.
      const { known } = this;
      if (known) this.known = { look: known.look.then(effect), at: known.at };
      return result;
    } catch (error) {
      this.forget();
      throw error;
    }
  }
}
