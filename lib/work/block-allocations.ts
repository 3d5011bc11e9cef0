/**
 * Block allocations: asks the front end to choose computers for the times that begin within six hours and to order
 * their reloads, tells the owner, and clears away what is over. The row itself is the queue: it stays unprocessed until
 * the front end has answered, however long that is down.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describeError, findError } from '../errors';
import type { FrontEndAnswer, FrontEndClient } from '../front-end-rpc/front-end-client';
import type { Log } from '../log';
import type { DueBlock, Lease, Store } from '../store/store';

/** VCL: the front end may find more computers when it is asked again a little later. */
const PASSES = 6;
const PASS_PAUSE_MS = 5000;
/** As an admin, whatever the privileges of the account that calls. */
const IGNORE_PRIVILEGES = 1;

export interface BlockAllocationsParts {
  readonly store: Store;
  readonly frontEnd: Pick<FrontEndClient, 'call' | 'isConfigured'>;
  readonly lease: Lease;
  readonly log: Log;
  /** Null: owners are not told. */
  readonly onQueued: (() => void) | null;
  /** Between two passes. */
  readonly pauseMs?: number;
}

interface Result {
  readonly allocated: number;
  /** What the front end had to say beside it; empty: nothing. */
  readonly remark: string;
}

export class BlockAllocations {
  private readonly stopping = new AbortController();
  private complained = false;
  private looking: Promise<void> = Promise.resolve();

  constructor(private readonly parts: BlockAllocationsParts) {}

  /** Works what is due; never two at once (the schedule sees to it). */
  look = (): Promise<void> => {
    this.looking = this.lookOnce();
    return this.looking;
  };

  /** Ends what is under way at its next border. */
  async stop(): Promise<void> {
    this.stopping.abort(new Error('the daemon stops'));
    await this.looking.catch(() => {});
  }

  private async lookOnce(): Promise<void> {
    const { store, lease, log, frontEnd } = this.parts;
    const ended = await store.endBlocks(lease);
    if (ended.times + ended.blocks > 0) log.info('block allocations ended', ended);
    const due = await store.dueBlocks(lease.managementNodeId);
    if (due.length === 0) return;
    if (!frontEnd.isConfigured) {
      if (!this.complained) log.error('block allocations wait: xmlrpc.url is not set', { blocks: due.length });
      this.complained = true;
      return;
    }
    for (const block of due) {
      if (this.stopping.signal.aborted) return;
      await this.work(block);
    }
  }

  private async work(block: DueBlock): Promise<void> {
    const { store, lease, log } = this.parts;
    await store.setBlockProcessing(lease, block.blockId, true);
    try {
      const result = await this.allocate(block);
      await store.setBlockTimeProcessed(lease, block.blockTimeId);
      log.info(`block allocation '${block.name}' is processed`, { ...result, wanted: block.machines });
      await this.tellOwner(block, result);
    } catch (error) {
      if (this.stopping.signal.aborted) return;
      if (findError(error, 'LEASE_LOST')) throw error;
      log.warn(`block allocation '${block.name}' waits for the front end`, { error });
    } finally {
      await store.setBlockProcessing(lease, block.blockId, false);
    }
  }

  /** @throws FRONT_END_UNREACHABLE: nobody knows, so it is asked again */
  private async allocate(block: DueBlock): Promise<Result> {
    const { signal } = this.stopping;
    for (let pass = 1; ; pass++) {
      const answer = await this.ask(block);
      // Was processed before, by us or in the front end itself: all is as it should be.
      if (answer['status'] === 'completed') return { allocated: block.machines, remark: '' };
      const result = { allocated: Number(answer['allocated'] ?? 0), remark: remarkOf(answer) };
      if (result.allocated >= block.machines || pass === PASSES) return result;
      await sleep(this.parts.pauseMs ?? PASS_PAUSE_MS, undefined, { signal });
    }
  }

  /** A refusal is an answer: no computers, and why. */
  private async ask({ blockTimeId }: DueBlock): Promise<FrontEndAnswer> {
    const parameters = [String(blockTimeId), IGNORE_PRIVILEGES];
    try {
      return await this.parts.frontEnd.call('XMLRPCprocessBlockTime', parameters, this.stopping.signal);
    } catch (error) {
      const refusal = findError(error, 'FRONT_END_REFUSED');
      if (!refusal) throw error;
      return { status: 'error', errormsg: describeError(refusal) };
    }
  }

  private async tellOwner(block: DueBlock, { allocated, remark }: Result): Promise<void> {
    const { store, lease, onQueued } = this.parts;
    if (onQueued === null || !block.ownerEmail) return;
    const all = allocated >= block.machines;
    const lines = [
      all ? 'The computers of your block allocation are chosen.' : 'Fewer computers were free than you asked for.',
      ...(remark === '' ? [] : [remark]),
      '',
      `Block allocation: ${block.name}`,
      `Computers: ${allocated} of ${block.machines}`,
      `Image: ${block.image}`,
      `From ${block.start} to ${block.end}`,
      ...(block.userGroup ? [`For the users of: ${block.userGroup}`] : []),
      '',
      'If you will not use this session, please skip it in the front end: others can have the computers then.',
    ];
    const subject = `Block allocation ${block.name}: ${allocated} of ${block.machines} computers`;
    const message = { recipient: block.ownerEmail, sender: block.helpAddress, copy: null, subject };
    await store.queueMessage(lease, `block/${block.blockTimeId}`, { ...message, body: `${lines.join('\n')}\n` });
    onQueued();
  }
}

function remarkOf(answer: FrontEndAnswer): string {
  const words = answer['errormsg'] ?? answer['warningmsg'];
  return typeof words === 'string' ? words : '';
}
