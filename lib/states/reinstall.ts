import { addUser } from './accounts';
import { setFixedAddress } from './fixed-address';
import type { StateHandler } from './job';
import { loadImage } from './load-image';

/** The user wants a fresh machine: load it again whatever it holds, then as new. */
export const reinstallState: StateHandler = {
  state: 'reinstall',
  kind: 'load',
  steps: [
    ...loadImage({ forced: true }),
    setFixedAddress,
    { name: 'add the user', story: { before: 'addinguser', after: 'nodeready' }, run: addUser },
    { name: 'wait until the whole cluster is ready', run: (job) => job.siblings.meet('nodeready') },
  ],
  onSuccess: () => ({ request: 'reserved' }),
};
