/**
 * Writes the story of a reservation: steps become lines of `computerloadlog` (what the front end shows) and of
 * `provisiond_event` (what `provisiond show` prints). Lines are gathered for a moment and written together, in order:
 * a load of twenty steps costs a few statements. The log is the story, not the truth: losing its last lines in a crash
 * loses nothing that a resumed run needs. Lines that a database in an outage does not take are kept until it is back.
 */
import { describeError, findError, ProvisiondError } from '../errors';
import type { Log } from '../log';
import type { Reservation } from '../model/reservation';
import { SIGNALS } from '../signals';
import type { StepEvent } from '../steps/step';
import type { Claim, Store, StoryLine } from '../store/store';

/** Pages that show the story ask for it every few seconds at most; each writing costs two statements. */
const GATHER_MS = 2000;
const TRY_AGAIN_MS = 1000;
const MOST_KEPT = 500;

export class Narrator {
  private lines: StoryLine[] = [];
  private timer: NodeJS.Timeout | undefined;
  private writing: Promise<void> = Promise.resolve();
  /** Steps that were begun, and did not end well yet. */
  private readonly unfinished = new Set<string>();
  /** The database did not take the last lines. */
  private isAway = false;

  constructor(
    private readonly store: Store,
    private readonly claim: Claim,
    private readonly reservation: Reservation,
    private readonly log: Log,
  ) {}

  /** A line outside of any step. @param loadState a name of `computerloadstate`, null: only in our own events */
  note(loadState: string | null, text: string): void {
    this.add(loadState, text, 'note', 'note');
  }

  readonly observe = (event: StepEvent): void => {
    this.signal(event);
    switch (event.kind) {
      case 'begun':
        this.unfinished.add(event.step);
        this.log.debug(`${event.step} …`);
        this.add(event.story ?? null, event.step, event.step, 'begun');
        break;
      case 'skipped':
        this.log.debug(`${event.step}: nothing to do`);
        // Begun, cut off, and found done when it was to be tried again: the front end waits to hear of it.
        this.add(this.unfinished.delete(event.step) ? (event.story ?? null) : null, event.step, event.step, 'skipped');
        break;
      case 'ended':
        this.unfinished.delete(event.step);
        this.log.info(event.step, { milliseconds: event.milliseconds });
        this.add(event.story ?? null, event.step, event.step, 'ended', { milliseconds: event.milliseconds });
        break;
      case 'failed':
        this.add(null, describeError(event.error), event.step, 'failed', {
          milliseconds: event.milliseconds,
          ...(event.error instanceof ProvisiondError && {
            errorCode: event.error.code,
            blame: event.error.blame,
            hint: event.error.hint,
          }),
        });
        break;
      case 'undone':
        if (event.error) this.log.warn(`could not undo '${event.step}'`, { error: event.error });
        this.add(null, event.error ? describeError(event.error) : event.step, event.step, 'undone');
        break;
    }
  };

  private signal(event: StepEvent): void {
    if (event.kind !== 'ended' && event.kind !== 'failed') return;
    const { requestId, state } = this.claim;
    const { step, milliseconds } = event;
    const failure = event.kind === 'failed' && event.error instanceof ProvisiondError ? event.error : undefined;
    const error = failure && { code: failure.code, blame: failure.blame };
    SIGNALS.step.tell({ requestId, state, step, milliseconds, ok: event.kind === 'ended', ...(error && { error }) });
  }

  /**
   * Writes what was gathered. Failing to is logged and no more: the work itself goes on; an outage keeps the lines, and is
   * logged once.
   */
  async flush(): Promise<void> {
    try {
      await this.tell();
      this.isAway = false;
    } catch (error) {
      if (!this.isAway) this.log.warn('could not write the story of the reservation; trying again', { error });
      this.isAway = true;
    }
  }

  /**
   * The same for who cannot go on without it. Lines that found the database away are kept for the next time.
   * @throws DATABASE_UNAVAILABLE; what fails for another reason is logged and given up
   */
  async tell(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    const mine = this.writing.then(() => this.write());
    this.writing = mine.catch(() => {});
    await mine;
  }

  private async write(): Promise<void> {
    const lines = this.lines;
    this.lines = [];
    if (lines.length === 0) return;
    try {
      await this.store.tell(lines);
    } catch (error) {
      if (findError(error, 'DATABASE_UNAVAILABLE')) {
        this.lines = [...lines, ...this.lines].slice(0, MOST_KEPT);
        this.timer ??= setTimeout(() => void this.flush(), TRY_AGAIN_MS).unref();
        throw error;
      }
      this.log.warn('could not write the story of the reservation', { error });
    }
  }

  private add(
    loadState: string | null,
    text: string,
    step: string,
    kind: NonNullable<StoryLine['event']>['kind'],
    more: object = {},
  ): void {
    this.lines.push({
      reservationId: this.reservation.id,
      computerId: this.reservation.computer.id,
      loadState,
      text,
      event: {
        requestId: this.claim.requestId,
        loadId: this.claim.loadId,
        state: this.claim.state,
        step,
        kind,
        ...more,
      },
    });
    this.timer ??= setTimeout(() => void this.flush(), GATHER_MS);
  }
}
