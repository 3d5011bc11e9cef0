import { reclaimHandler } from './reclaim';

/** The user, or the front end, ended the reservation. */
export const deletedState = reclaimHandler('deleted', 'deleted');
