/**
 * Attacks a list of steps: run twice; stopped at every border and gone on with; died within every step and gone on with;
 * failed at every step and looked for residue; undone twice. It knows nothing of what the steps do.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type RunOutcome, type Step, type StepEvent, runSteps, undoSteps } from '../../lib/steps/step';

export interface StepWorld<C, E = never> {
  /** What a new process would start with: the same work, and nothing remembered. */
  newContext(signal: AbortSignal): C | Promise<C>;
  /** Everything that the steps make, a line each, the same in every world. Empty: nothing is left. */
  traces(): readonly string[] | Promise<readonly string[]>;
  /** Writes down what follows from a failed run, and looks whether that is right. */
  conclude?(context: C, outcome: RunOutcome<E>): Promise<void>;
  /** Puts everything back as it was when the world was made, where that is quicker than to make another. */
  again?(): Promise<void>;
  close(): void | Promise<void>;
}

export interface StepListRules {
  /** What must be there when a step has failed and all was undone; default: nothing. */
  readonly afterFailure?: 'nothing' | 'what was there before' | 'no more than before';
  /** What may be there besides, because it mends rather than harms. */
  readonly besides?: readonly string[];
  /** A part of lines that does not count: how often a machine was started, where starting it again is the remedy. */
  readonly ignoring?: RegExp;
  /** Only these steps are attacked; default: all. For lists whose worlds take seconds each. */
  readonly only?: readonly string[];
  /** From when this step did its work on, what was done stays: a failure leaves no less than an undisturbed run. */
  readonly pointOfNoReturn?: string;
  /** Lines that stay whatever fails, from when that step did its work on. */
  readonly stays?: { readonly from: string; readonly lines: readonly string[] };
  /** All of it undone, what there was is there again: nothing of it was removed, only put aside. */
  readonly givesBack?: true;
}

/** The process died here. */
class Death extends Error {}

export function describeStepList<C, E>(
  name: string,
  steps: readonly Step<C, E>[],
  makeWorld: () => StepWorld<C, E> | Promise<StepWorld<C, E>>,
  { afterFailure = 'nothing', besides = [], ignoring, pointOfNoReturn, only, stays, givesBack }: StepListRules = {},
): void {
  describe(name, () => {
    let world: StepWorld<C, E>;
    const tracesOf = async (other: StepWorld<C, E>) =>
      (await other.traces()).map((line) => (ignoring ? line.replace(ignoring, '') : line));
    let before: readonly string[];
    /** What a run that nothing happens to leaves behind. */
    let undisturbed: readonly string[];

    beforeAll(async () => {
      world = await makeWorld();
      const { signal } = new AbortController();
      await runSteps(steps, await world.newContext(signal), { signal });
      undisturbed = await tracesOf(world);
      if (!world.again) await world.close();
    });
    beforeEach(async () => {
      if (world.again) await world.again();
      else world = await makeWorld();
      before = await tracesOf(world);
    });
    afterEach(async () => {
      if (!world.again) await world.close();
    });
    afterAll(async () => {
      if (world.again) await world.close();
    });

    async function run(list = steps, observe?: (event: StepEvent, abort: AbortController) => void) {
      const abort = new AbortController();
      const context = await world.newContext(abort.signal);
      const keepOnFailure = (error: Error) => error.cause instanceof Death;
      const outcome = await runSteps(list, context, {
        signal: abort.signal,
        keepOnFailure,
        observe: (event) => observe?.(event, abort),
      });
      if (outcome.kind === 'failed' && !keepOnFailure(outcome.error)) await world.conclude?.(context, outcome);
      return outcome;
    }

    /** @param failed the step; left out: none did, all was undone */
    async function expectUndone(failed?: string, did = true): Promise<void> {
      const far = failed === undefined ? names.length : names.indexOf(failed);
      const since = stays === undefined ? Infinity : names.indexOf(stays.from);
      const kept = far > since || (far === since && did) ? stays!.lines : [];
      const all = await tracesOf(world);
      expect(all.filter((line) => kept.includes(line))).toEqual(kept);
      const traces = all.filter((line) => !besides.includes(line) && !kept.includes(line));
      if (afterFailure === 'nothing') expect(traces).toEqual([]);
      else if (afterFailure === 'what was there before')
        expect(traces).toEqual(before.filter((line) => !besides.includes(line)));
      else expect(traces.filter((line) => !before.includes(line))).toEqual([]);
    }

    async function expectAsUndisturbed(): Promise<void> {
      expect(await tracesOf(world)).toEqual(undisturbed);
    }

    function expectWell(outcome: RunOutcome<E>): void {
      if (outcome.kind === 'failed') throw outcome.error;
      expect(['done', 'ended']).toContain(outcome.kind);
    }

    const names = steps.map((step) => step.name);
    const attacked = only ?? names;
    const lastToUndo = pointOfNoReturn === undefined ? names.length : names.indexOf(pointOfNoReturn);
    /** @param did whether the step that failed had done its work */
    const expectAfterFailure = (failed: string, did: boolean) =>
      names.indexOf(failed) < lastToUndo + (did ? 0 : 1) ? expectUndone(failed, did) : expectAsUndisturbed();
    const changing = (change: (step: Step<C, E>) => Step<C, E>, wanted: string) =>
      steps.map((step) => (step.name === wanted ? change(step) : step));

    it('has names that are unique', () => {
      expect(new Set(names).size).toBe(names.length);
    });

    it('leaves the same when it is run twice', async () => {
      expectWell(await run());
      await expectAsUndisturbed();
      expectWell(await run());
      await expectAsUndisturbed();
    });

    it.each(attacked)('stopped after "%s", it goes on where it was', async (stop) => {
      const outcome = await run(steps, (event, abort) => {
        if (event.step === stop && (event.kind === 'ended' || event.kind === 'skipped')) abort.abort(new Error('stop'));
      });
      expect(['aborted', 'ended']).toContain(outcome.kind);
      expectWell(await run());
      await expectAsUndisturbed();
    });

    it.each(attacked)('died within "%s", it goes on where it was', async (stop) => {
      const dies = (step: Step<C, E>): Step<C, E> => ({
        ...step,
        run: async (context) => {
          await step.run(context);
          throw new Death('the process died');
        },
      });
      await run(changing(dies, stop));
      expectWell(await run());
      await expectAsUndisturbed();
    });

    it.each(attacked)(`failed before "%s" did anything, it leaves ${afterFailure}`, async (stop) => {
      const fails = (step: Step<C, E>): Step<C, E> => ({
        ...step,
        done: undefined,
        run: () => Promise.reject(new Error('failed on purpose')),
      });
      expect(await run(changing(fails, stop))).toMatchObject({ kind: 'failed', step: stop, leftovers: [] });
      await expectAfterFailure(stop, false);
    });

    it.each(attacked)(`failed after "%s" did its work, it leaves ${afterFailure}`, async (stop) => {
      const fails = (step: Step<C, E>): Step<C, E> => ({
        ...step,
        done: undefined,
        run: async (context) => {
          await step.run(context);
          throw new Error('failed on purpose');
        },
      });
      expect(await run(changing(fails, stop))).toMatchObject({ kind: 'failed', step: stop, leftovers: [] });
      await expectAfterFailure(stop, true);
    });

    it(`undone twice, it leaves ${afterFailure}`, async () => {
      expectWell(await run());
      if (!givesBack) before = await tracesOf(world);
      const expectNoMore = pointOfNoReturn === undefined ? expectUndone : expectAsUndisturbed;
      const context = await world.newContext(new AbortController().signal);
      expect(await undoSteps(steps, context, () => {})).toEqual([]);
      await expectNoMore();
      expect(await undoSteps(steps, context, () => {})).toEqual([]);
      await expectNoMore();
    });

    it(`undone without having been run, it leaves ${afterFailure}`, async () => {
      const context = await world.newContext(new AbortController().signal);
      expect(await undoSteps(steps, context, () => {})).toEqual([]);
      await expectUndone(names[0], false);
    });
  });
}
