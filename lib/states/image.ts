import { captureSteps } from './capture-steps';
import type { StateHandler } from './job';
import { closeNatPorts } from './nat';

/** The machine becomes an image, and its reservation ends; the computer is loaded with what was captured. */
export const imageState: StateHandler = {
  state: 'image',
  kind: 'load',
  steps: [closeNatPorts, ...captureSteps('reload')],
  onSuccess: () => ({ request: 'complete', computer: 'reload', ending: 'EOR' }),
};
