/**
 * What ties the reservations of one request together, on whatever management nodes they are worked: each tells what it
 * has reached by a name in `computerloadlog`, and waits there for the others (VCL's loadlog names). A reservation that is
 * alone waits for nobody, and asks the database nothing.
 */
import { ProvisiondError } from '../errors';
import type { Reservation } from '../model/reservation';
import { isShared } from '../model/states';
import type { Claim, Sibling, Store, Transition } from '../store/store';
import type { Narrator } from './narrator';
import { Interrupted, type RequestWatch } from './request-watch';

const LOOK_EVERY_MS = 1000;
const MINUTE_MS = 60_000;

/** VCL waits for loads an hour in all, and half an hour in which nothing is told. */
export const LOAD_PATIENCE = { totalMs: 60 * MINUTE_MS, silenceMs: 30 * MINUTE_MS };
/** For what costs the others no more than a look into the database. */
export const SHORT_PATIENCE = { totalMs: 5 * MINUTE_MS, silenceMs: 5 * MINUTE_MS };

export type Patience = typeof LOAD_PATIENCE;

/** What the reservations that this daemon works under one claim know of each other at once. */
export interface SharedFate {
  /** The first failure among them. */
  error?: ProvisiondError;
  /** How the parent ended its list early: the others end as it does. */
  ending?: Transition;
}

export class Siblings {
  constructor(
    private readonly store: Store,
    private readonly reservation: Reservation,
    private readonly narrator: Narrator,
    private readonly watch: RequestWatch,
    private readonly shared: SharedFate,
  ) {}

  get alone(): boolean {
    return this.reservation.reservationCount === 1;
  }

  get ending(): Transition | undefined {
    return this.shared.ending;
  }

  /** All of them, this one too, the parent first. */
  all(): Promise<Sibling[]> {
    return this.store.siblings(this.reservation.request.id);
  }

  /** At each step border. @throws SIBLING_FAILED when another reservation that this daemon works has failed */
  check(): void {
    if (this.shared.error) throw failedBeside(this.shared.error);
  }

  /**
   * Waits until every reservation has told the name; this one must have told it, too.
   * @throws SIBLING_FAILED when one failed, or was not heard of for too long
   */
  async meet(name: string, patience: Patience = LOAD_PATIENCE): Promise<void> {
    if (this.alone) return;
    await this.narrator.flush();
    const began = performance.now();
    let [newest, changed] = [0, began];
    for (;;) {
      const missing = (await this.look()).filter(({ told }) => !told.has(name));
      if (missing.length === 0) return;
      const now = performance.now();
      const line = Math.max(...missing.map(({ newestLine }) => newestLine));
      if (line !== newest) [newest, changed] = [line, now];
      if (now - began > patience.totalMs || now - changed > patience.silenceMs) throw silent(missing, name);
      await this.watch.pause(LOOK_EVERY_MS);
    }
  }

  /** Whether one of the others has told the name. @throws SIBLING_FAILED */
  async heard(name: string): Promise<boolean> {
    if (this.alone) return false;
    return (await this.look()).some(
      ({ reservationId, told }) => reservationId !== this.reservation.id && told.has(name),
    );
  }

  private async look(): Promise<Sibling[]> {
    this.check();
    const all = await this.all();
    const failed = all.find(({ told, reservationId }) => told.has('failed') && reservationId !== this.reservation.id);
    if (!failed) return all;
    throw failedBeside(new ProvisiondError('SIBLING_FAILED', `see reservation ${failed.reservationId}`));
  }
}

/**
 * Whoever moves the request's row moves it when the other nodes have ended their part: their right to write ends with it.
 * @returns `failed`: one of them did; `silent`: one was not heard of for too long; `interrupted`: the daemon stops
 */
export async function waitForOtherNodes(
  store: Store,
  claim: Claim,
  [parent, ...others]: readonly Reservation[],
  watch: RequestWatch,
): Promise<'not needed' | 'ended' | 'failed' | 'silent' | 'interrupted'> {
  const isAlone = parent!.reservationCount === 1 + others.length;
  if (isAlone || claim.isMember || !isShared(claim.state)) return 'not needed';
  const deadline = performance.now() + SHORT_PATIENCE.totalMs;
  for (;;) {
    const away = (await store.siblings(claim.requestId)).filter(
      ({ managementNodeId }) => managementNodeId !== claim.lease.managementNodeId,
    );
    if (away.every(({ told }) => told.has('exited'))) {
      return away.some(({ told }) => told.has('failed')) ? 'failed' : 'ended';
    }
    if (watch.signal.aborted) return watch.signal.reason instanceof Interrupted ? 'interrupted' : 'not needed';
    if (performance.now() > deadline) return 'silent';
    await watch.pause(LOOK_EVERY_MS).catch(() => {});
  }
}

function failedBeside(cause: ProvisiondError): ProvisiondError {
  return new ProvisiondError('SIBLING_FAILED', `another reservation of the request failed: ${cause.message}`);
}

function silent(missing: readonly Sibling[], name: string): ProvisiondError {
  const who = missing.map((sibling) => `${sibling.reservationId} (management node ${sibling.managementNodeId})`);
  return new ProvisiondError('SIBLING_FAILED', `no '${name}' came from reservation ${who.join(', ')}`);
}
