import { describe, expect, it } from '@jest/globals';
import type { Forecast, ImageChoice } from '../../../lib/model/forecast';
import type { PredictiveModule } from '../../../lib/plugins/api';
import level0 from '../../../lib/predictive/level-0';
import level1 from '../../../lib/predictive/level-1';
import level2 from '../../../lib/predictive/level-2';
import { MemoryLog } from '../../fixtures/memory-log';
import { makeReservation } from '../../fixtures/reservation';

const image = (id: number): ImageChoice => ({ id, revisionId: id * 10 });
const BLOCK = image(1);
const NEXT = image(2);
const UPCOMING = image(3);
const POPULAR = image(4);
const SAME = expect.objectContaining({ id: 12, revisionId: 34 });

/** A site of which only so much is known. */
interface Site {
  block?: ImageChoice;
  next?: ImageChoice;
  upcomingInMinutes?: number;
  busy?: number;
  /** The image is popular when one looks back at least so many days. */
  popularSinceDays?: number;
}

function decide(module: PredictiveModule, site: Site) {
  const { block = null, next = null, upcomingInMinutes = Infinity, popularSinceDays = Infinity, busy = 0 } = site;
  const forecast: Forecast = {
    blockImage: () => Promise.resolve(block),
    nextImage: () => Promise.resolve(next),
    upcomingImage: (minutes) => Promise.resolve(upcomingInMinutes < minutes ? UPCOMING : null),
    busyShare: () => Promise.resolve(busy),
    popularImage: (days) => Promise.resolve(days >= popularSinceDays ? POPULAR : null),
  };
  const { signal } = new AbortController();
  return module.decide({ reservation: makeReservation(), forecast, log: new MemoryLog(), signal });
}

const all = { block: BLOCK, next: NEXT, upcomingInMinutes: 10, popularSinceDays: 1 };
const reload = (chosen: unknown) => ({ action: 'reload', image: chosen });

describe.each([level0, level1, level2])('a predictive module', (module) => {
  it(`loads what a block allocation promised before anything else (${module.name})`, async () => {
    expect(await decide(module, all)).toEqual(reload(BLOCK));
  });

  it(`looks 50 minutes ahead for a request that waits for the computer (${module.name})`, async () => {
    expect(await decide(module, { upcomingInMinutes: 49 })).toEqual(reload(UPCOMING));
    expect(await decide(module, { upcomingInMinutes: 51 })).not.toEqual(reload(UPCOMING));
  });
});

describe('Level_0', () => {
  it('prefers the request that waits to the next image', async () => {
    expect(await decide(level0, { ...all, block: undefined })).toEqual(reload(UPCOMING));
    expect(await decide(level0, { next: NEXT })).toEqual(reload(NEXT));
  });

  it('loads the same image again when nothing waits, however popular others are', async () => {
    expect(await decide(level0, { popularSinceDays: 1 })).toEqual(reload(SAME));
  });
});

describe('Level_1', () => {
  it('prefers the next image to the request that waits', async () => {
    expect(await decide(level1, { ...all, block: undefined })).toEqual(reload(NEXT));
  });

  it.each([
    [0.41, 1],
    [0.4, 2],
    [0.3, 4],
    [0.15, 20],
    [0.06, 30],
    [0.05, 61],
    [0, 61],
  ])('on a site that is busy by %p loads what was popular in the last %p days', async (busy, days) => {
    expect(await decide(level1, { busy, popularSinceDays: days })).toEqual(reload(POPULAR));
    expect(await decide(level1, { busy, popularSinceDays: days + 1 })).toEqual(reload(SAME));
  });
});

describe('Level_2', () => {
  it('prefers the next image to the request that waits, and else unloads the computer', async () => {
    expect(await decide(level2, { ...all, block: undefined })).toEqual(reload(NEXT));
    expect(await decide(level2, { popularSinceDays: 1 })).toEqual({ action: 'unload' });
  });
});
