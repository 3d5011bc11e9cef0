import { reclaimHandler } from './reclaim';

/** The reservation's time is over, or its user never came. */
export const timeoutState = reclaimHandler('timeout', 'timeout');
