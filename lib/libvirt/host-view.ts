/** The last look at a host, for as long as it can be believed. */
import type { HostedComputer } from './hosted-computer';
import { type HostLook, lookAtHost } from './look';

/**
 * Others work on the same host; what we saw is believed no longer than this after the host answered, or than the look took:
 * a host that is slow to answer would be asked the same again before each step.
 */
const MAX_AGE_MS = 15_000;

interface Known {
  readonly look: Promise<HostLook>;
  /** By the clock of this process; for ever while the host is still to answer: whoever asks meanwhile waits for that look. */
  readonly until: number;
}

export class HostView {
  private known: Known | null = null;

  constructor(
    private readonly computer: HostedComputer,
    private readonly lookAt = lookAtHost,
    private readonly now = () => performance.now(),
  ) {}

  /** What was seen, if nothing happened since; else a new look. @throws LIBVIRT_FAILED and errors of the host */
  current(): Promise<HostLook> {
    if (this.known && this.now() < this.known.until) return this.known.look;
    return this.fresh();
  }

  fresh(): Promise<HostLook> {
    const asked = this.now();
    const look = this.lookAt(this.computer);
    this.known = { look, until: Infinity };
    const remember = (known: Known | null) => {
      if (this.known?.look === look) this.known = known;
    };
    look.then(
      () => remember({ look, until: this.now() + Math.max(MAX_AGE_MS, this.now() - asked) }),
      () => remember(null),
    );
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
      // A look that is still to come answers to nobody but the effect now: it ages from here.
      if (known) {
        const until = Number.isFinite(known.until) ? known.until : this.now() + MAX_AGE_MS;
        this.known = { look: known.look.then(effect), until };
      }
      return result;
    } catch (error) {
      this.forget();
      throw error;
    }
  }
}
