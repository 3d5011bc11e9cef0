/** Stopped, killed and failed at every step of what is no load. */
import { WORKABLE_REQUEST_STATES } from '../../../lib/model/states';
import { LOADS, describeReclaimWithReload, describeSteps } from '../../support/state-steps';

describeSteps(WORKABLE_REQUEST_STATES.filter((state) => !LOADS.includes(state)));
describeReclaimWithReload();
