import type { StateHandler } from './job';
import { reloadState } from './reload';

/** The image is to be ready on the computer at the start of what comes next: a reload under another name. */
export const imageprepState: StateHandler = { ...reloadState, state: 'imageprep' };
