/** A site whose mail is off and that has no web front end to call: what waits, waits. */
import type { JobMakerParts } from '../../lib/states/job-maker';

export const NO_DELIVERIES: JobMakerParts['queues'] = {
  mailIsOn: false,
  lookAtMessages: () => Promise.resolve(),
  lookAtCalls: () => Promise.resolve(),
};
