/** Every list of steps of every request state, put to the step harness on a world of rows, hosts and guests. */
import { describe } from '@jest/globals';
import { WORKABLE_REQUEST_STATES, type WorkableState } from '../../lib/model/states';
import { STATE_HANDLERS } from '../../lib/states';
import { LONG } from '../support/fault-table';
import { NO_FAKE_GUESTS } from '../support/fake-guest';
import { SCENES, StateWorld } from '../support/state-world';
import { describeStepList, type StepListRules } from '../support/step-harness';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

/** While somebody is on the machine a failure takes nothing from him; what is being cleaned up is never built up. */
const RECLAIM: StepListRules = { afterFailure: 'no more than before', besides: ['a reload is ordered'] };
/** The user has his machine back, with all that was in it; until the image is recorded nothing of it is left. */
const CAPTURE: StepListRules = {
  afterFailure: 'what was there before',
  ignoring: /, started \d+ times/,
  pointOfNoReturn: 'record the image',
  ...(LONG ? {} : { only: ['copy the disk'] }),
};
/** With the long form of the fault tests (npm run test:faults): their worlds take seconds each. */
const LATER: readonly WorkableState[] = LONG ? [] : ['checkpoint'];
const RULES: Partial<Record<WorkableState, StepListRules>> = {
  inuse: { afterFailure: 'what was there before' },
  timeout: RECLAIM,
  deleted: RECLAIM,
  image: CAPTURE,
  checkpoint: CAPTURE,
};

wherever('the steps of a state', () => {
  for (const state of WORKABLE_REQUEST_STATES) {
    const scene = SCENES[state];
    if (!scene || LATER.includes(state)) continue;
    const makeWorld = async () => (await scene(await StateWorld.open())).ready();
    describeStepList(`'${state}'`, STATE_HANDLERS[state].steps, makeWorld, RULES[state]);
  }

  const reloaded = { computers: [{ afterwards: 'reload' as const }] };
  const makeWorld = async () => (await SCENES.deleted!(await StateWorld.open(reloaded))).ready();
  describeStepList("'deleted', of a computer that is loaded again", STATE_HANDLERS.deleted.steps, makeWorld, RECLAIM);
});
