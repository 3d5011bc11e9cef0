/** The computer gets what waits for it, else it is powered off and unloaded (`VCL::Module::Predictive::Level_2`). */
import type { PredictiveModule } from '../plugins/api';

const LOOK_AHEAD_MINUTES = 50;

const level2: PredictiveModule = {
  apiVersion: 1,
  name: 'level-2',
  description: 'what waits for the computer, else nothing: unloaded, it costs no memory',

  async decide({ forecast }) {
    const image =
      (await forecast.blockImage()) ??
      (await forecast.nextImage()) ??
      (await forecast.upcomingImage(LOOK_AHEAD_MINUTES));
    return image ? { action: 'reload', image } : { action: 'unload' };
  },
};

export default level2;
