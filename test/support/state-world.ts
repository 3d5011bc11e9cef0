/** One request in hand on a fake site, for the step harness: each context is the job that a new process would make. */
import { expect } from '@jest/globals';
import { isWorkable, type StateName, type WorkableState } from '../../lib/model/states';
import { STATE_HANDLERS } from '../../lib/states';
import type { Job } from '../../lib/states/job';
import { jobMaker } from '../../lib/states/job-maker';
import { failureTransition } from '../../lib/states/outcome';
import { runSteps, type RunOutcome } from '../../lib/steps/step';
import type { Claim, FinishOutcome, Transition } from '../../lib/store/store';
import { Narrator } from '../../lib/work/narrator';
import { Siblings } from '../../lib/work/siblings';
import { RequestWatch } from '../../lib/work/request-watch';
import { captureTraces, orderCapture } from './capture-order';
import { FakeSite, USER_ADDRESS, type FakeSiteOptions } from './fake-site';
import type { StepWorld } from './step-harness';

export class StateWorld implements StepWorld<Job, Transition> {
  private readonly narrators: Narrator[] = [];
  /** Places on hosts: they went with the process that had them. */
  private readonly places: (() => void)[] = [];
  requestId = 0;
  claim!: Claim;

  private constructor(readonly site: FakeSite) {}

  static async open(options?: FakeSiteOptions): Promise<StateWorld> {
    return new StateWorld(await FakeSite.open(options));
  }

  async reserve(): Promise<this> {
    this.requestId = await this.site.reserve({ computer: 'vm1' });
    return this;
  }

  async requestFor(state: StateName): Promise<this> {
    this.requestId = await this.site.requestFor('vm1', state);
    return this;
  }

  /** The user acknowledges, and is connected from then on. */
  async acknowledge(): Promise<this> {
    const sql = 'update reservation set remoteIP = ? where requestid = ?';
    await this.site.database.change(sql, [USER_ADDRESS, this.requestId]);
    this.site.userIsThere('vm1');
    return this;
  }

  async overwrite(state: StateName): Promise<this> {
    await this.site.overwrite(this.requestId, state);
    return this;
  }

  /** A new image of the machine, as the front end orders it. */
  async orderCapture(state: 'image' | 'checkpoint'): Promise<this> {
    await orderCapture(this.site.database, this.requestId, state);
    return this;
  }

  /** Takes the request up. */
  async take(): Promise<this> {
    const { store, lease } = this.site;
    const now = (await this.site.requestState(this.requestId))!;
    const [state, lastState] = now.split('/') as [StateName, StateName];
    const claim = isWorkable(state) && (await store.claim(lease, { requestId: this.requestId, state, lastState }));
    if (!claim) throw new Error(`request ${this.requestId} is ${now}: not to be taken up`);
    this.claim = claim;
    return this;
  }

  /** Takes the request up and works it to its end. */
  async work(): Promise<this> {
    await this.take();
    const { signal } = new AbortController();
    const job = await this.newContext(signal);
    const handler = STATE_HANDLERS[this.claim.state];
    const outcome = await runSteps(handler.steps, job, { signal, observe: job.narrator.observe });
    if (outcome.kind === 'failed') throw outcome.error;
    if (outcome.kind === 'aborted') throw new Error('aborted');
    await this.finish(job, outcome.kind === 'ended' ? outcome.ending : handler.onSuccess(job));
    return this;
  }

  async newContext(signal: AbortSignal): Promise<Job> {
    const { site, claim } = this;
    for (const release of this.places.splice(0)) release();
    const [reservation] = await site.store.readReservations(claim);
    const watch = RequestWatch.of(claim);
    watch.begin(reservation!);
    signal.addEventListener('abort', () => watch.interrupt(String(signal.reason)));
    const narrator = new Narrator(site.store, claim, reservation!, site.log);
    this.narrators.push(narrator);
    return jobMaker(site.adapters())({
      claim,
      reservation: reservation!,
      watch,
      narrator,
      siblings: new Siblings(site.store, reservation!, narrator, watch, {}),
      timings: site.timings,
      variables: new Map(),
      log: site.log,
      whenEnded: () => Promise.resolve(),
      onEnd: (release) => this.places.push(release),
    });
  }

  /** What is on hosts and in rows, and what there is of captured images. */
  async traces(): Promise<string[]> {
    return [...(await this.site.traces()), ...(await captureTraces(this.site))];
  }

  /** Writes what `outcome.ts` says, and looks whether the rows say the same afterwards. */
  async conclude(job: Job, outcome: RunOutcome<Transition>): Promise<void> {
    if (outcome.kind !== 'failed') throw new Error(`it did not fail: ${outcome.kind}`);
    const { state } = this.claim;
    const computerBefore = await this.site.computerState('vm1');
    const transition = failureTransition({ ...outcome, state, secondsToEnd: job.watch.row.secondsToEnd });
    expect(await this.finish(job, transition)).toBe('done');
    expect(await this.site.requestState(this.requestId)).toBe(`${transition.request}/${state}`);
    expect(await this.site.computerState('vm1')).toBe(transition.computer ?? computerBefore);
    if (transition.ending) expect(await this.site.logEnding(this.requestId)).toBe(transition.ending);
    await this.overwrite('pending'); // for the harness, which goes on with the same claim
  }

  /** Takes the request up, and keeps the world so for {@link again}. */
  async ready(): Promise<this> {
    await this.take();
    await this.flush();
    await this.site.remember();
    return this;
  }

  async again(): Promise<void> {
    await this.flush();
    await this.site.restore();
  }

  async close(): Promise<void> {
    await this.flush();
    await this.site.close();
  }

  private async flush(): Promise<void> {
    await Promise.all(this.narrators.splice(0).map((narrator) => narrator.flush()));
  }

  private async finish(job: Job, transition: Transition): Promise<FinishOutcome> {
    await job.narrator.flush();
    return this.site.store.finish(this.claim, [job.reservation], transition);
  }
}

export type Scene = (world: StateWorld) => Promise<StateWorld>;

/** What there was before a request came to each state, in the ordinary walk. */
export const SCENES: Partial<Record<WorkableState, Scene>> = {
  new: (world) => world.reserve(),
  reload: (world) => world.requestFor('reload'),
  reserved: (world) => loaded(world).then((ready) => ready.acknowledge()),
  reinstall: (world) => used(world).then((inUse) => inUse.overwrite('reinstall')),
  inuse: (world) => used(world),
  timeout: (world) => used(world).then((inUse) => inUse.overwrite('timeout')),
  deleted: (world) => used(world).then((inUse) => inUse.overwrite('deleted')),
  image: (world) => used(world).then((inUse) => inUse.orderCapture('image')),
  checkpoint: (world) => used(world).then((inUse) => inUse.orderCapture('checkpoint')),
};

export async function loaded(world: StateWorld): Promise<StateWorld> {
  return (await world.reserve()).work();
}

export async function used(world: StateWorld): Promise<StateWorld> {
  return (await (await loaded(world)).acknowledge()).work();
}
