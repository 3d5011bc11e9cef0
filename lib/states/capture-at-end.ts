import { findError, ProvisiondError } from '../errors';
import type { Transition } from '../store/store';
import type { Job } from './job';

/** The front end writes the request before it answers; this is for a poll to see it. */
const SEEN_WITHIN_MS = 30_000;

/**
 * An imaging reservation has ended: asks the front end to order its capture (`XMLRPCautoCapture`), for as long as the
 * web may be down. The front end writes `image` over our state, which ends this job: the capture is worked next. When it
 * refuses, nothing may be lost: machine and request are put aside for an admin.
 */
export async function captureAtEnd(job: Job): Promise<Transition> {
  const { claim, log, signal, watch } = job;
  job.narrator.note(null, 'asking the front end to capture the image');
  try {
    await job.frontEndCalls.ask('XMLRPCautoCapture', [String(claim.requestId)], (ms) => watch.pause(ms));
    await watch.pause(SEEN_WITHIN_MS);
    throw new ProvisiondError('FRONT_END_REFUSED', 'the front end agreed to the capture, but did not order it');
  } catch (error) {
    if (signal.aborted || !findError(error, 'FRONT_END_REFUSED')) throw error;
    log.error('the image of an imaging reservation is not captured; its machine is kept in maintenance', { error });
    await job.messages.tellUser('image_creation_delayed');
    await job.messages.tellAdmins('image_creation_failed', { substitutions: { image_capture_type: 'Capture' } });
    return { request: 'maintenance', computer: 'maintenance' };
  }
}
