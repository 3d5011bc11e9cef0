import type { StateHandler } from './job';
import { loadImage } from './load-image';

/** Nobody waits for it: load the image so that the next reservation finds the computer ready. */
export const reloadState: StateHandler = {
  state: 'reload',
  kind: 'load',
  steps: loadImage({ forced: false }),
  onSuccess: () => ({ request: 'complete', computer: 'available' }),
};
