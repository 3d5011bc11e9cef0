import { ProvisiondError } from '../errors';
import { judgeRival } from '../model/competition';
import type { Transition } from '../store/store';
import type { Job } from './job';

/** VCL looks 24 times, 5 s apart; a reload of the same image is worth `image.reloadtime`, 5 minutes at least. */
const LOOK_EVERY_MS = 2000;
const PATIENCE_MS = 24 * 5000;
const LEAST_RELOAD_MINUTES = 5;

export interface Waiting {
  readonly patienceMs?: number;
  /** A computer that an admin put aside will do. */
  readonly inMaintenance?: boolean;
}

/**
 * Waits until no other request uses the computer (`computer_not_being_used` of VCL).
 * @returns the end of a reload that a user's request makes needless
 * @throws COMPUTER_NOT_AVAILABLE naming what has it
 */
export async function waitForComputer(job: Job, waiting: Waiting = {}): Promise<Transition | void> {
  const { computer, image } = job.reservation;
  const { patienceMs = PATIENCE_MS, inMaintenance = false } = waiting;
  const isAside = computer.state === 'maintenance' && !inMaintenance;
  if (computer.state === 'deleted' || computer.state === 'vmhostinuse' || isAside) {
    throw new ProvisiondError('COMPUTER_NOT_AVAILABLE', `computer ${computer.shortName} is in state ${computer.state}`);
  }
  const reloadMs = Math.max(image.reloadMinutes, LEAST_RELOAD_MINUTES) * 60_000;
  const startedAt = performance.now();
  for (;;) {
    const rivals = await rivalsOf(job);
    if (rivals.length === 0) return;
    const user = rivals.find(({ goesFirst }) => goesFirst);
    if (user) {
      job.log.info(`nothing to reload: request ${user.requestId} (${user.state}) needs the computer`);
      return { request: 'complete' };
    }
    const refused = rivals.find((rival) => rival.refused);
    const rival = refused ?? rivals[0]!;
    const patience = rivals.some(({ isReload }) => isReload) ? Math.max(reloadMs, patienceMs) : patienceMs;
    if (refused || performance.now() - startedAt > patience) {
      throw new ProvisiondError(
        'COMPUTER_NOT_AVAILABLE',
        `computer ${computer.shortName} is used by request ${rival.requestId} (${rival.state})`,
      );
    }
    await job.watch.pause(LOOK_EVERY_MS);
  }
}

/** What of the others is in the way now; reloads that nobody waits for are told to give way. */
export async function rivalsOf(job: Job) {
  const { computer, image, request } = job.reservation;
  const inTheWay: { requestId: number; state: string; isReload: boolean; refused: boolean; goesFirst: boolean }[] = [];
  for (const rival of await job.store.competitors(computer.id, request.id)) {
    const verdict = judgeRival(rival, image.revisionId, job.claim.state);
    if (verdict === 'ignore') continue;
    if (verdict === 'complete') {
      job.log.info(`request ${rival.requestId} (${rival.state}) gives way`);
      await job.store.completeCompetitor(job.claim, rival);
      await job.whenEnded(rival.requestId);
      continue;
    }
    inTheWay.push({
      requestId: rival.requestId,
      state: `${rival.state}/${rival.lastState}`,
      isReload: rival.state === 'reload' || rival.lastState === 'reload',
      refused: verdict === 'refuse',
      goesFirst: verdict === 'yield',
    });
  }
  return inTheWay;
}
