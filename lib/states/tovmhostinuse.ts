import { onlyWhen } from '../steps/step';
import type { Job, StateHandler } from './job';
import { loadImage } from './load-image';
import { waitForComputer } from './wait-for-computer';

/** VCL's image for "nothing is loaded", and its provisioning module that loads nothing. */
const NO_IMAGE_ID = 1;
const NO_PROVISIONING = 'VCL::Module::Provisioning';

/** The computer becomes a VM host: with the image given for it, or as an admin has set it up. */
export const tovmhostinuseState: StateHandler = {
  state: 'tovmhostinuse',
  kind: 'load',
  steps: [
    { name: 'wait until the computer can become a host', run: (job) => waitForComputer(job, { inMaintenance: true }) },
    ...onlyWhen(hasImage, loadImage({ forced: false, inMaintenance: true })),
  ],
  onSuccess: () => ({ request: 'complete', computer: 'vmhostinuse' }),
};

function hasImage({ reservation: { image, computer } }: Job): boolean {
  return image.id !== NO_IMAGE_ID && computer.provisioningPackage !== NO_PROVISIONING;
}
