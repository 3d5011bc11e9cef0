import { describe, expect, it } from '@jest/globals';
import { ProvisiondError } from '../../../lib/errors';
import { onlyWhen, runSteps, undoSteps, type Step, type StepEvent } from '../../../lib/steps/step';

interface World {
  files: Set<string>;
  visits: string[];
}

const never = new AbortController().signal;

function makeFile(name: string, more: Partial<Step<World, string>> = {}): Step<World, string> {
  return {
    name: `make ${name}`,
    done: ({ files }) => files.has(name),
    run: async ({ files, visits }) => {
      visits.push(name);
      files.add(name);
    },
    undo: async ({ files }) => {
      files.delete(name);
    },
    ...more,
  };
}

function newWorld(...files: string[]): World {
  return { files: new Set(files), visits: [] };
}

const fail = (message: string) => async () => {
  throw new ProvisiondError('COMMAND_FAILED', message);
};

describe('a list of steps', () => {
  it('is run from top to bottom', async () => {
    const world = newWorld();
    expect(await runSteps([makeFile('a'), makeFile('b')], world, { signal: never })).toEqual({ kind: 'done' });
    expect(world.visits).toEqual(['a', 'b']);
  });

  it('does not do again what the world says is done', async () => {
    const world = newWorld('a');
    await runSteps([makeFile('a'), makeFile('b')], world, { signal: never });
    expect(world.visits).toEqual(['b']);
  });

  it('undoes what was done in reverse when a step fails, what an earlier run did included', async () => {
    const world = newWorld('a');
    const steps = [makeFile('a'), makeFile('b'), makeFile('c', { run: fail('disk full') })];
    const outcome = await runSteps(steps, world, { signal: never });
    expect(outcome).toMatchObject({ kind: 'failed', step: 'make c', leftovers: [], error: { code: 'COMMAND_FAILED' } });
    expect(world.files).toEqual(new Set());
  });

  it('undoes the failed step too, which may have done half of its work', async () => {
    const world = newWorld();
    const half = makeFile('half', {
      run: async ({ files }) => {
        files.add('half');
        throw new Error('cut off');
      },
    });
    const outcome = await runSteps([half], world, { signal: never });
    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'INTERNAL' } });
    expect(world.files).toEqual(new Set());
  });

  it('lists what an undo could not remove, and undoes the rest all the same', async () => {
    const world = newWorld();
    const sticky = makeFile('sticky', { undo: fail('is busy') });
    const steps = [makeFile('a'), sticky, makeFile('c', { run: fail('no') })];
    const outcome = await runSteps(steps, world, { signal: never });
    expect(outcome).toMatchObject({ leftovers: ['make sticky: is busy'] });
    expect(world.files).toEqual(new Set(['sticky']));
  });

  it('leaves everything in place on failure when it is about to be run again', async () => {
    const world = newWorld();
    const steps = [makeFile('a'), makeFile('b', { run: fail('later') })];
    await runSteps(steps, world, { signal: never, keepOnFailure: () => true });
    expect(world.files).toEqual(new Set(['a']));
  });

  it('stops at the next border when it is aborted, and undoes nothing', async () => {
    const world = newWorld();
    const controller = new AbortController();
    const stopper = makeFile('b', { run: async () => controller.abort('deleted') });
    const outcome = await runSteps([makeFile('a'), stopper, makeFile('c')], world, { signal: controller.signal });
    expect(outcome).toEqual({ kind: 'aborted', reason: 'deleted' });
    expect(world.files).toEqual(new Set(['a']));
  });

  it('takes an error of a step that was told to stop for the abort it is', async () => {
    const controller = new AbortController();
    const step = makeFile('a', {
      run: async () => {
        controller.abort('stop');
        throw new Error('interrupted wait');
      },
    });
    expect(await runSteps([step], newWorld(), { signal: controller.signal })).toEqual({
      kind: 'aborted',
      reason: 'stop',
    });
  });

  it('ends early with the ending that a step returns, and undoes nothing', async () => {
    const world = newWorld();
    const steps = [makeFile('a'), makeFile('b', { run: async () => 'timeout' }), makeFile('c')];
    expect(await runSteps(steps, world, { signal: never })).toEqual({ kind: 'ended', ending: 'timeout' });
    expect(world.files).toEqual(new Set(['a']));
  });

  it('tells its story in order', async () => {
    const events: StepEvent[] = [];
    const story = { before: 'startload', after: 'transfervm' };
    const steps = [makeFile('a', { story }), makeFile('b', { story: { after: 'startvm' } })];
    await runSteps(steps, newWorld('b'), { signal: never, observe: (event) => events.push(event) });
    expect(events.map(({ kind, step, ...more }) => [kind, step, (more as { story?: string }).story])).toEqual([
      ['begun', 'make a', 'startload'],
      ['ended', 'make a', 'transfervm'],
      ['skipped', 'make b', 'startvm'],
    ]);
  });
});

describe('undo', () => {
  it('may be called twice', async () => {
    const world = newWorld('a', 'b');
    const steps = [makeFile('a'), makeFile('b')];
    expect(await undoSteps(steps, world, () => {})).toEqual([]);
    expect(await undoSteps(steps, world, () => {})).toEqual([]);
    expect(world.files).toEqual(new Set());
  });
});

describe('conditional steps', () => {
  it('count as done while the condition does not hold', async () => {
    const world = newWorld();
    await runSteps(
      onlyWhen(({ files }: World) => files.has('key'), [makeFile('a')]),
      world,
      { signal: never },
    );
    expect(world.visits).toEqual([]);
    world.files.add('key');
    await runSteps(
      onlyWhen(({ files }: World) => files.has('key'), [makeFile('a')]),
      world,
      { signal: never },
    );
    expect(world.visits).toEqual(['a']);
  });
});
