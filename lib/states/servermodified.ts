/**
 * The groups of a server request changed, or their members: accounts are added and removed.
 *
 * The front end writes this state over whatever the request was in, `pending` too, and leaves the last state as it
 * finds it. So the reservation is not lost: what it was at is found out from rows and computer, and goes on.
 */
import type { WorkableState } from '../model/states';
import type { Transition } from '../store/store';
import { prepareAccounts } from './accounts';
import type { Job, StateHandler } from './job';
import { allowedFrom } from './reserved';

export const servermodifiedState: StateHandler = {
  state: 'servermodified',
  kind: 'attend',
  steps: [
    { name: 'go on with what was interrupted', run: handBack },
    { name: 'add and remove accounts', run: changeAccounts },
  ],
  onSuccess: (job) =>
    interruptedState(job) === 'reserved' ? { request: 'reserved' } : { request: 'inuse', computer: 'inuse' },
};

/** States that make the accounts themselves, from the groups as they are then. */
const MAKES_ACCOUNTS: readonly WorkableState[] = [
  'new',
  'reinstall',
  'rebootsoft',
  'reboothard',
  'image',
  'checkpoint',
];

function handBack(job: Job): Promise<Transition | void> {
  const interrupted = interruptedState(job);
  if (!MAKES_ACCOUNTS.includes(interrupted)) return Promise.resolve();
  job.log.info(`'${interrupted}' was interrupted by a change of groups and goes on`);
  return Promise.resolve({ request: interrupted });
}

/**
 * What the request was at. Its last state is what it was taken up in when it was `pending`, else the state before: then
 * the computer tells the two apart, and a capture its image, which is marked deleted until it is done.
 */
export function interruptedState({ claim, reservation }: Pick<Job, 'claim' | 'reservation'>): WorkableState {
  const { image, computer, request } = reservation;
  switch (claim.lastState) {
    case 'image':
    case 'checkpoint':
    case 'reinstall':
    case 'rebootsoft':
    case 'reboothard':
      return claim.lastState;
    case 'new':
      return 'new';
    default:
      if (image.deleted) return request.forImaging ? 'image' : 'checkpoint';
      return computer.state === 'inuse' ? 'inuse' : 'reserved';
  }
}

async function changeAccounts(job: Job): Promise<void> {
  await job.guest.reserve(await prepareAccounts(job, { keepPasswords: true }));
  if (interruptedState(job) === 'inuse') await job.guest.grantAccess(allowedFrom(job));
}
