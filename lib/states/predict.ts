import { findError } from '../errors';
import type { PredictiveDecision } from '../plugins/api';
import type { Job } from './job';

/**
 * What the computer is to hold until somebody reserves it, by its predictive module. A module that fails costs nobody a
 * computer: it gets its image again, as in VCL.
 */
export async function predict(job: Job): Promise<PredictiveDecision> {
  const { reservation, store, log, signal } = job;
  const { id, revisionId } = reservation.image;
  try {
    const forecast = store.forecast(reservation);
    return await job.predictiveModule().decide({ reservation, forecast, log, signal });
  } catch (error) {
    if (signal.aborted || findError(error, 'DATABASE_UNAVAILABLE')) throw error;
    log.warn('the predictive module gave no answer; the same image is loaded again', { error });
    return { action: 'reload', image: { id, revisionId } };
  }
}
