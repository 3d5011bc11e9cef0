/** Stopped, killed and failed at every step of a load. */
import { LOADS, describeSteps } from '../../support/state-steps';

describeSteps(LOADS);
