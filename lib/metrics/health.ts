/** Is it alive, and is it ready? From the loop that everything hangs on: the poll, or a standby's look at the lease. */
import { SIGNALS } from '../signals';

export interface HealthReport {
  /** The loop gets on, with or without a database. When it does not, only a restart helps. */
  readonly alive: boolean;
  /** It works the inbox: the lease is ours and the last look succeeded a moment ago. */
  readonly ready: boolean;
  readonly role: 'starting' | 'active' | 'standby';
  readonly secondsSinceLoop: number | null;
  /** Since the last successful poll of the inbox; null: none yet. */
  readonly secondsSincePoll: number | null;
  readonly says: string;
}

/** A statement may wait 15 s for a lock, and a lost database for its connection: longer is no pause but an end. */
const DEAD_AFTER_SECONDS = 60;
const UNREADY_AFTER_SECONDS = 10;

export class Health {
  private role: HealthReport['role'] = 'starting';
  private loopedAt: number;
  private polledAt: number | null = null;
  private readonly unlisten: () => void;

  /** @param now monotonic, ms */
  constructor(private readonly now: () => number = () => performance.now()) {
    this.loopedAt = now();
    this.unlisten = SIGNALS.loop.listen(({ role, ok }) => {
      this.loopedAt = this.now();
      if (ok) this.role = role;
      if (ok && role === 'active') this.polledAt = this.now();
    });
  }

  report(): HealthReport {
    const seconds = (since: number | null) => (since === null ? null : (this.now() - since) / 1000);
    const secondsSinceLoop = seconds(this.loopedAt);
    const secondsSincePoll = seconds(this.polledAt);
    const alive = secondsSinceLoop! < DEAD_AFTER_SECONDS;
    const fresh = secondsSincePoll !== null && secondsSincePoll < UNREADY_AFTER_SECONDS;
    const ready = this.role === 'active' && fresh;
    return { alive, ready, role: this.role, secondsSinceLoop, secondsSincePoll, says: this.says(alive, ready) };
  }

  close(): void {
    this.unlisten();
  }

  private says(alive: boolean, ready: boolean): string {
    if (!alive) return 'the loop has stopped; restart the daemon';
    if (ready) return 'works the inbox';
    if (this.role === 'standby') return 'standby: another daemon works for this management node';
    return this.role === 'starting' ? 'starting' : 'the database does not answer';
  }
}
