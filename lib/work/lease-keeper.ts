/**
 * One active daemon a management node: takes the node's lease, keeps it alive, and notices when it is lost.
 * A second daemon waits here as standby and takes over when the first is dead.
 */
import { findError } from '../errors';
import type { Log } from '../log';
import { SIGNALS } from '../signals';
import type { Lease, Store } from '../store/store';
import { isCertainlyDead, ownHolder } from './holder';

const TRY_AGAIN_MS = 2000;

export class LeaseKeeper {
  private renewedAt = 0;
  /** Of the lease that this daemon has; null: it has none. */
  token: number | null = null;

  /** Since the lease was last renewed; null: this daemon never had it. */
  get secondsSinceRenewal(): number | null {
    return this.renewedAt === 0 ? null : (performance.now() - this.renewedAt) / 1000;
  }

  constructor(
    private readonly store: Store,
    private readonly seconds: number,
    private readonly log: Log,
  ) {}

  /** Waits until this daemon is the active one of the node, and for a database that is away. @throws the signal's reason */
  async acquire(managementNodeId: number, signal: AbortSignal): Promise<Lease> {
    const holder = ownHolder();
    let dead: string | undefined;
    for (let standby = false, away = false; ;) {
      signal.throwIfAborted();
      let lease: Lease | null;
      try {
        lease = await this.store.acquireLease(managementNodeId, holder, this.seconds, dead);
      } catch (error) {
        if (!findError(error, 'DATABASE_UNAVAILABLE')) throw error;
        if (!away) this.log.warn('the database could not be asked for the lease; trying again', { error });
        away = true;
        SIGNALS.loop.tell({ role: 'standby', milliseconds: 0, ok: false });
        await pause(TRY_AGAIN_MS, signal);
        continue;
      }
      if (lease) {
        this.renewedAt = performance.now();
        this.token = lease.token;
        this.log.info('this daemon is active now', { holder, token: lease.token });
        return lease;
      }
      // A daemon of this machine that was killed gives its lease to the next at once.
      const other = await this.store.leaseHolder(managementNodeId);
      if (other !== null && other !== dead && isCertainlyDead(other)) {
        dead = other;
        continue;
      }
      if (!standby) this.log.info('another daemon works for this management node; waiting as standby');
      standby = true;
      SIGNALS.loop.tell({ role: 'standby', milliseconds: 0, ok: true });
      await pause(TRY_AGAIN_MS, signal);
    }
  }

  /**
   * Renews the lease and checks the node in.
   * @returns false when the lease is lost, or may be: it could not be renewed for as long as it lives
   */
  async beat(lease: Lease): Promise<boolean> {
    try {
      await this.store.renewLease(lease, this.seconds);
      this.renewedAt = performance.now();
      await this.store.checkIn(lease);
      return true;
    } catch (error) {
      if (findError(error, 'LEASE_LOST')) return false;
      this.log.warn('the lease could not be renewed', { error });
      return performance.now() - this.renewedAt < this.seconds * 1000;
    }
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener('abort', end, { once: true });
  });
}
