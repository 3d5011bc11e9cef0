/**
 * kill -9 before, inside and after every step of every list in the project, on the fake world: after the restart the work
 * goes on, and at the end of the reservation nothing is left. The lists are `STATE_HANDLERS`', so a new step is covered
 * without work; a new state needs a line in SCENES (what there was before the request came to it).
 */
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { WORKABLE_REQUEST_STATES, type WorkableState } from '../../lib/model/states';
import { STATE_HANDLERS } from '../../lib/states';
import type { CrashMoment } from '../../lib/steps/crash-point';
import { NO_FAKE_GUESTS } from '../support/fake-guest';
import { EVERY, LONG, round, writeTable } from '../support/fault-table';
import { eventually } from '../support/eventually';
import { FaultSite } from '../support/fault-site';
import { SCENES as ORDINARY, type Scene, StateWorld, used } from '../support/state-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const MOMENTS: readonly CrashMoment[] = ['before', 'inside', 'after'];

const overwritten =
  (state: WorkableState): Scene =>
  (world) =>
    used(world).then((inUse) => inUse.overwrite(state));
const ending =
  (state: WorkableState): Scene =>
  async (world) => {
    await (await used(world)).overwrite(state);
    await world.site.endIn(world.requestId, 2);
    return world;
  };
const ordered =
  (state: WorkableState): Scene =>
  (world) =>
    world.requestFor(state);

const SCENES: Partial<Record<WorkableState, Scene>> = {
  ...ORDINARY,
  // Taken up because the end is near.
  inuse: ending('inuse'),
  imageinuse: ending('imageinuse'),
  imageprep: ordered('imageprep'),
  tomaintenance: ordered('tomaintenance'),
  tovmhostinuse: ordered('tovmhostinuse'),
  rebootsoft: overwritten('rebootsoft'),
  reboothard: overwritten('reboothard'),
  servermodified: overwritten('servermodified'),
  makeproduction: overwritten('makeproduction'),
  image: overwritten('image'),
  checkpoint: overwritten('checkpoint'),
};

interface Point {
  readonly state: WorkableState;
  readonly point: string;
}

/** Their lists are almost that of `new`. */
const LIKE_NEW: readonly WorkableState[] = ['reload', 'imageprep', 'tovmhostinuse'];

/**
 * In the long form one moment a step in turn, for those like `new` every other step; in the short one a step here and
 * there. PROVISIOND_FAULTS=every tries all three moments of all of them.
 */
function pointsOf(state: WorkableState, place: number): Point[] {
  const names = STATE_HANDLERS[state].steps.map(({ name }) => name);
  const points = names.flatMap((name, index) => {
    if (!EVERY && LIKE_NEW.includes(state) && (index + place) % 2 === 0) return [];
    const moments = EVERY ? MOMENTS : [MOMENTS[(index + place) % 3]!];
    return moments.map((moment) => ({ state, point: `${name}:${moment}` }));
  });
  return LONG ? points : points.filter((_point, index) => index === (place * 5) % points.length);
}

const SHORT: readonly WorkableState[] = ['new', 'reinstall', 'deleted'];
const states = WORKABLE_REQUEST_STATES;

wherever('kill -9 at a step border, in the fake world', () => {
  let fault: FaultSite | undefined;
  afterEach(() => fault?.close());
  afterAll(writeTable);

  it('has a scene for every state that is worked', () => {
    expect(states.filter((state) => SCENES[state] === undefined)).toEqual([]);
  });

  const tried = states.filter((state) => LONG || SHORT.includes(state));
  it.each(tried.flatMap((state, place) => pointsOf(state, place)))(
    "'$state' that dies at '$point' goes on after the restart and leaves nothing",
    async ({ state, point }) => {
      await round(`kill -9 at every border of ${state} (fake world)`, 'P2 P3', async () => {
        const world = await SCENES[state]!(await StateWorld.open());
        fault = await FaultSite.of(world.site);
        await dieAndGoOn(fault, world.requestId, state, point);
      });
    },
  );
});

async function dieAndGoOn(fault: FaultSite, requestId: number, state: WorkableState, point: string): Promise<void> {
  const { site } = fault;
  const hand = `pending/${state}`;
  const initial = await site.requestState(requestId);
  const isPast = async () => ![initial, hand].includes(await site.requestState(requestId));
  fault.startDaemon(point);
  await fault.crashed(isPast);
  await fault.killDaemon();
  fault.startDaemon();
  const startedAt = Date.now();
  const attempts = 'select attempts from provisiond_job where requestid = ?';
  const before = (await site.database.one<{ attempts: number }>(attempts, [requestId]))?.attempts ?? 0;
  const isTakenUp = async () => {
    const job = await site.database.one<{ attempts: number }>(attempts, [requestId]);
    return job === undefined || job.attempts > before || (await isPast());
  };
  await until(isTakenUp, 10, fault);
  expect(Date.now() - startedAt).toBeLessThan(12_000);
  // What waits for its user or its end is ended; the rest ends by itself.
  if (state !== 'reserved') await until(isPast, 40, fault);
  const row = await site.requestState(requestId);
  if (row !== null && !/^(complete|deleted|timeout|failed)\//.test(row)) await site.frontEnd.end(requestId);
  await until(
    async () => [null, 'complete'].includes((await site.requestState(requestId))?.split('/')[0] ?? null),
    40,
    fault,
  );
  await until(
    async () => (await site.database.rows('select 1 from request where stateid = 14')).length === 0,
    40,
    fault,
  );
  await fault.killDaemon();
  const found = await fault.audit();
  if (found.length > 0) throw new Error(`${found.join('; ')}\n${fault.lastWords(60)}`);
}

async function until(what: () => Promise<boolean>, seconds: number, fault: FaultSite): Promise<void> {
  await eventually(what, seconds, () => `${what.toString()}\n${fault.lastWords(30)}`);
}
