import { addUser } from './accounts';
import { setFixedAddress } from './fixed-address';
import type { StateHandler } from './job';
import { loadImage } from './load-image';
import { reserveNatPorts } from './nat';

/** A user's reservation begins: bring the computer up with the image and make the account. */
export const newState: StateHandler = {
  state: 'new',
  kind: 'load',
  steps: [
    ...loadImage({ forced: false }),
    setFixedAddress,
    reserveNatPorts,
    { name: 'add the user', story: { before: 'addinguser', after: 'nodeready' }, run: addUser },
    { name: 'wait until the whole cluster is ready', run: (job) => job.siblings.meet('nodeready') },
  ],
  onSuccess: () => ({ request: 'reserved' }),
};
