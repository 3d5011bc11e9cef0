import { inuseState } from './inuse';
import type { StateHandler } from './job';

/** As `inuse`: VCL's old name for a reservation in which an image is made. */
export const imageinuseState: StateHandler = { ...inuseState, state: 'imageinuse' };
