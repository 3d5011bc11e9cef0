import { addUser } from './accounts';
import type { StateHandler } from './job';
import { loadImage } from './load-image';

/** A user's reservation begins: bring the computer up with the image and make the account. */
export const newState: StateHandler = {
  state: 'new',
  kind: 'load',
  steps: [
    ...loadImage({ forced: false }),
    { name: 'add the user', story: { before: 'addinguser', after: 'nodeready' }, run: addUser },
  ],
  onSuccess: () => ({ request: 'reserved' }),
};
