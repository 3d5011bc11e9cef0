/** The story of an operation: its steps become its percent and step, and lines of the VM's history. */
import { describeError } from '../errors';
import type { Log } from '../log';
import type { StepEvent } from '../steps/step';
import type { Operation, OperationProgress, OperationStore, VmEvent } from '../store/operation-store';
import type { Lease } from '../store/store';

export class OperationEvents {
  private telling: Promise<unknown> = Promise.resolve();
  private ended = 0;

  constructor(
    private readonly store: Pick<OperationStore, 'noteOperation' | 'tellVmEvents'>,
    private readonly lease: Lease,
    private readonly operation: Operation,
    /** How many steps it has. */
    private readonly steps: number,
    private readonly log: Log,
  ) {}

  readonly observe = (event: StepEvent): void => {
    const { kind, step } = event;
    if (kind === 'ended' || kind === 'skipped') this.ended += 1;
    const error = kind === 'failed' || kind === 'undone' ? event.error : undefined;
    if (error !== undefined) this.log.warn(`${step}: ${kind}`, { error });
    else this.log.info(`${step}: ${kind}`);
    const milliseconds = 'milliseconds' in event ? event.milliseconds : undefined;
    const text = error === undefined ? step : `${step}: ${describeError(error)}`;
    this.add(kind, text, milliseconds);
    // All of it is done when the row says so, not before.
    this.note({ step, percent: Math.min(99, Math.round((100 * this.ended) / this.steps)) });
  };

  /** The list is run again from the top. */
  again(): void {
    this.ended = 0;
  }

  tell(text: string): void {
    this.log.info(text);
    this.add('note', text);
  }

  /** Until all of it is written; what cannot be written is logged and given up. */
  async flush(): Promise<void> {
    await this.telling;
  }

  private add(kind: VmEvent['kind'], text: string, milliseconds?: number): void {
    const { id: operationId, computerId } = this.operation;
    const event = { computerId, operationId, kind, text, ...(milliseconds !== undefined && { milliseconds }) };
    this.enqueue(() => this.store.tellVmEvents([event]));
  }

  private note(progress: OperationProgress): void {
    this.enqueue(() => this.store.noteOperation(this.lease, this.operation.id, progress));
  }

  private enqueue(work: () => Promise<void>): void {
    this.telling = this.telling
      .then(work)
      .catch((error: unknown) => this.log.debug('could not write the story of the operation', { error }));
  }
}
