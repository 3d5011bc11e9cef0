/** Looks at the inbox every fraction of a second: takes up what is due, and keeps what is in hand informed. */
import { findError } from '../errors';
import type { Log } from '../log';
import { timingsFrom, whenDue, type Variables } from '../model/timings';
import { isWorkable } from '../model/states';
import { SIGNALS, timed } from '../signals';
import type { DueRequest, Lease, Store } from '../store/store';
import type { Worker } from './worker';

/** While a user is awaited, who waits for the answer to his click: so much of the interval, 100 ms of the default one. */
const ATTENTIVE_SHARE = 0.4;
const ATTENTIVE_MS = 100;
/** After failed polls the next one waits longer, up to this. */
const LONGEST_PAUSE_MS = 2000;

export class Poller {
  private timer: NodeJS.Timeout | undefined;
  /** Polls and looks for orphans take turns: a claim whose job is not there yet is nobody's orphan. */
  private turn: Promise<unknown> = Promise.resolve();
  /** Requests that could not be taken up, so that each is complained about once. */
  private readonly refused = new Set<number>();
  private failures = 0;
  private stopped = false;
  private wanted = false;
  private variables: Variables = new Map();
  /** Resolves with the first poll that succeeded: the daemon is ready. */
  readonly ready: Promise<void>;
  private becomeReady!: () => void;

  constructor(
    private readonly store: Store,
    private readonly worker: Worker,
    private readonly lease: Lease,
    private intervalMs: number,
    private readonly log: Log,
  ) {
    this.ready = new Promise((resolve) => (this.becomeReady = resolve));
  }

  setInterval(milliseconds: number): void {
    this.intervalMs = milliseconds;
  }

  /** Begins to poll, with what a predecessor left first. A database that is away is waited for. */
  start(): void {
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.inTurn(() => this.poll(true));
    }, 0);
  }

  /**
   * Reads VCL's timing variables again, and takes up every pending request of the node that is in nobody's hands: what
   * a predecessor left, and claims whose answer was lost with a connection.
   */
  refresh(): Promise<void> {
    return this.inTurn(() => this.lookForOrphans());
  }

  private async lookForOrphans(): Promise<void> {
    if (this.stopped) return;
    this.variables = await this.store.variables();
    for (const claim of await this.store.adoptOrphans(this.lease, this.worker.inHand)) {
      if (this.stopped || this.worker.has(claim.requestId)) continue;
      this.log.child({ request: claim.requestId }).info('resuming what was interrupted', { state: claim.state });
      this.worker.start(claim, this.variables);
    }
  }

  /** Polls without waiting for the interval: something has just ended, and what follows it may be due. */
  pollNow = (): void => {
    if (this.stopped) return;
    if (this.timer === undefined) {
      this.wanted = true;
      return;
    }
    this.schedule(0);
  };

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.turn;
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const mine = this.turn.then(work);
    this.turn = mine.catch(() => {});
    return mine;
  }

  private schedule(delayMs: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.inTurn(() => this.poll(this.failures > 0));
    }, delayMs);
  }

  /** @param anew after a start or an outage: what is left over is taken up first */
  private async poll(anew: boolean): Promise<void> {
    this.wanted = false;
    try {
      const whole = async () => {
        if (anew) await this.lookForOrphans();
        await this.look();
      };
      await timed(whole, (took) => SIGNALS.loop.tell({ role: 'active', ...took }));
      if (this.failures > 0) this.log.info('the database answers again');
      this.failures = 0;
      this.becomeReady();
    } catch (error) {
      if (this.failures++ === 0) this.log.error('the database could not be asked; trying again', { error });
    }
    if (this.stopped) return;
    const pause = Math.min(this.presentIntervalMs * 2 ** Math.min(this.failures, 10), LONGEST_PAUSE_MS);
    this.schedule(this.wanted && this.failures === 0 ? 0 : pause);
  }

  private get presentIntervalMs(): number {
    if (!this.worker.awaitsUsers) return this.intervalMs;
    return Math.min(this.intervalMs, Math.max(ATTENTIVE_MS, this.intervalMs * ATTENTIVE_SHARE));
  }

  private async look(): Promise<void> {
    const asked = this.worker.inHand;
    const { due, joinable, inHand } = await this.store.poll(this.lease.managementNodeId, asked);
    this.worker.update(inHand, asked);
    for (const request of due) {
      if (this.stopped) return;
      if (!this.worker.has(request.requestId)) await this.takeUpAlone(request);
    }
    for (const requestId of joinable) {
      if (this.stopped || this.worker.has(requestId)) continue;
      const claim = await this.store.join(this.lease, requestId);
      if (claim) this.worker.start(claim, this.variables);
    }
  }

  /** A request whose rows make the claim fail holds up nobody else. */
  private async takeUpAlone(request: DueRequest): Promise<void> {
    const { requestId } = request;
    try {
      await this.takeUp(request);
      this.refused.delete(requestId);
    } catch (error) {
      if (findError(error, 'DATABASE_UNAVAILABLE') || findError(error, 'LEASE_LOST')) throw error;
      const log = this.log.child({ request: requestId });
      if (!this.refused.has(requestId)) log.error('could not take up the request', { error });
      this.refused.add(requestId);
    }
  }

  private async takeUp(request: DueRequest): Promise<void> {
    switch (whenDue(request, timingsFrom(this.variables, request.affiliation))) {
      // What is taken up before its start is loaded ahead: the handler is chosen by the reservation's clock.
      case 'work':
      case 'preload': {
        if (!isWorkable(request.state)) return;
        const claim = await this.store.claim(this.lease, request);
        if (claim) this.worker.start(claim, this.variables);
        return;
      }
      case 'remove':
        await this.store.removeAtRest(this.lease, request.requestId);
        return;
      case 'not yet':
        return;
    }
  }
}
