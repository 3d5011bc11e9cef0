import { describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { crashPoints, parseCrashPoint } from '../../../lib/steps/crash-point';

/** What happened, in order, when one step ran with that crash point. */
async function storyOf(text: string | undefined, step = 'make the disks'): Promise<string[]> {
  const story: string[] = [];
  const points = crashPoints(text, () => story.push('killed'));
  points.before(step);
  await points.around(step, async () => {
    story.push('begun');
    await pause(30);
    story.push('ended');
  });
  return story;
}

describe('a crash point', () => {
  it('before a step comes before anything of it', async () => {
    expect(await storyOf('make the disks:before')).toEqual(['killed', 'begun', 'ended']);
  });
  it('inside a step comes while its work waits', async () => {
    expect((await storyOf('make the disks:inside')).slice(0, 3)).toEqual(['begun', 'killed', 'ended']);
  });
  it('inside a step that ends sooner comes at its end', async () => {
    expect(await storyOf('make the disks:inside+5000')).toEqual(['begun', 'ended', 'killed']);
  });
  it('after a step comes when its work is done', async () => {
    expect(await storyOf('make the disks:after')).toEqual(['begun', 'ended', 'killed']);
  });
  it('concerns no other step, and nobody when it is not set', async () => {
    expect(await storyOf('make the disks:after', 'define the domain')).toEqual(['begun', 'ended']);
    expect(await storyOf(undefined)).toEqual(['begun', 'ended']);
  });
  it('after a step that has nothing to do comes all the same', () => {
    const story: string[] = [];
    crashPoints('make the disks:after', () => story.push('killed')).past('make the disks');
    crashPoints('make the disks:before', () => story.push('killed twice')).past('make the disks');
    expect(story).toEqual(['killed']);
  });
  it('that names no moment is refused', () => {
    expect(() => parseCrashPoint('make the disks')).toThrow(/not STEP:before/);
  });
});
