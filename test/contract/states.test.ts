/** Every list of steps of every request state, put to the step harness on a world of rows, hosts and guests. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { WORKABLE_REQUEST_STATES } from '../../lib/model/states';
import { STATE_HANDLERS } from '../../lib/states';
import { runSteps } from '../../lib/steps/step';
import { NO_FAKE_GUESTS } from '../support/fake-guest';
import { SCENES, StateWorld } from '../support/state-world';
import { describeStepList, type StepListRules } from '../support/step-harness';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

/** While somebody is on the machine a failure takes nothing from him; what is being cleaned up is never built up. */
const RECLAIM: StepListRules = { afterFailure: 'no more than before', besides: ['a reload is ordered'] };
const RULES: Partial<Record<(typeof WORKABLE_REQUEST_STATES)[number], StepListRules>> = {
  inuse: { afterFailure: 'what was there before' },
  timeout: RECLAIM,
  deleted: RECLAIM,
};

wherever('the steps of a state', () => {
  for (const state of WORKABLE_REQUEST_STATES) {
    const scene = SCENES[state];
    if (!scene) continue;
    const makeWorld = async () => (await scene(await StateWorld.open())).ready();
    describeStepList(`'${state}'`, STATE_HANDLERS[state].steps, makeWorld, RULES[state]);
  }

  const reloaded = { computers: [{ afterwards: 'reload' as const }] };
  const makeWorld = async () => (await SCENES.deleted!(await StateWorld.open(reloaded))).ready();
  describeStepList("'deleted', of a computer that is loaded again", STATE_HANDLERS.deleted.steps, makeWorld, RECLAIM);
});

wherever('a state that this version cannot work', () => {
  let world: StateWorld | undefined;
  afterEach(() => world?.close());

  it.each(WORKABLE_REQUEST_STATES.filter((state) => STATE_HANDLERS[state].isNotYet))(
    "'%s' ends in NOT_YET and touches nothing",
    async (state) => {
      world = await StateWorld.open();
      await (await world.requestFor(state)).take();
      const { signal } = new AbortController();
      const job = await world.newContext(signal);
      const outcome = await runSteps(STATE_HANDLERS[state].steps, job, { signal });
      expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'NOT_YET' } });
      await world.conclude(job, outcome);
      expect(await world.traces()).toEqual([]);
    },
  );
});
