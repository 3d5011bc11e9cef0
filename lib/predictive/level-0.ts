/** The computer gets what waits for it, else its image again (`VCL::Module::Predictive::Level_0`). */
import type { PredictiveModule } from '../plugins/api';

const LOOK_AHEAD_MINUTES = 50;

const level0: PredictiveModule = {
  apiVersion: 1,
  name: 'level-0',
  description: 'what waits for the computer, else the same image again',

  async decide({ forecast, reservation }) {
    const image =
      (await forecast.blockImage()) ??
      (await forecast.upcomingImage(LOOK_AHEAD_MINUTES)) ??
      (await forecast.nextImage()) ??
      reservation.image;
    return { action: 'reload', image };
  },
};

export default level0;
