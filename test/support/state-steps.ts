/** The lists of steps of request states, put to the step harness on a world of rows, hosts and guests. */
import { describe } from '@jest/globals';
import type { WorkableState } from '../../lib/model/states';
import { STATE_HANDLERS } from '../../lib/states';
import { LONG } from './fault-table';
import { NO_FAKE_GUESTS } from './fake-guest';
import { SCENES, StateWorld } from './state-world';
import { describeStepList, type StepListRules } from './step-harness';

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

/** States that load a computer: their lists are the longest. */
export const LOADS: readonly WorkableState[] = ['new', 'reload', 'reinstall'];

export function describeSteps(states: readonly WorkableState[]): void {
  wherever('the steps of a state', () => {
    for (const state of states) {
      const scene = SCENES[state];
      if (!scene || LATER.includes(state)) continue;
      const makeWorld = async () => (await scene(await StateWorld.open())).ready();
      describeStepList(`'${state}'`, STATE_HANDLERS[state].steps, makeWorld, RULES[state]);
    }
  });
}

export function describeReclaimWithReload(): void {
  wherever('the steps of a state', () => {
    const reloaded = { computers: [{ afterwards: 'reload' as const }] };
    const makeWorld = async () => (await SCENES.deleted!(await StateWorld.open(reloaded))).ready();
    describeStepList("'deleted', of a computer that is loaded again", STATE_HANDLERS.deleted.steps, makeWorld, RECLAIM);
  });
}
