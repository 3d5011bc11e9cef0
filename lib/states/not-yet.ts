import { ProvisiondError } from '../errors';
import type { WorkableState } from '../model/states';
import type { StateHandler } from './job';

/** A state whose work this version cannot do: it ends in a clear error, never in silence. */
export function notYet(state: WorkableState): StateHandler {
  return {
    state,
    kind: 'attend',
    isNotYet: true,
    steps: [
      {
        name: `work the state '${state}'`,
        run: (job) => {
          throw new ProvisiondError('NOT_YET', `request ${job.claim.requestId} asks for '${state}'`);
        },
      },
    ],
    onSuccess: () => ({ request: 'failed' }),
  };
}
