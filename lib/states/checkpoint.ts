import { captureSteps } from './capture-steps';
import { bootGuest } from './guest-power';
import type { StateHandler } from './job';
import { allowedFrom } from './reserved';

/**
 * An image is made of the machine, and its user goes on: with his own disk as it was, so that there is nobody to make
 * accounts for and nothing to wait for. vcld prepares the very machine that it gives back, and reserves it anew.
 */
export const checkpointState: StateHandler = {
  state: 'checkpoint',
  kind: 'load',
  steps: [
    ...captureSteps('keep'),
    { name: "give the user's disk back", run: (job) => job.provisioner.capture.giveDiskBack() },
    { name: 'start the guest again', run: bootGuest },
    { name: 'restore the access', story: { after: 'info' }, run: (job) => job.guest.grantAccess(allowedFrom(job)) },
  ],
  onSuccess: () => ({ request: 'inuse', computer: 'inuse' }),
};
