/** The computer gets what waits for it, else what is asked for most (`VCL::Module::Predictive::Level_1`). */
import type { PredictiveModule } from '../plugins/api';

const LOOK_AHEAD_MINUTES = 50;

/** The busier the site, the shorter the memory: above that share of busy computers, the days that count. */
const MEMORY: readonly { readonly above: number; readonly days: number }[] = [
  { above: 0.4, days: 1 },
  { above: 0.35, days: 2 },
  { above: 0.3, days: 3 },
  { above: 0.25, days: 4 },
  { above: 0.2, days: 5 },
  { above: 0.15, days: 10 },
  { above: 0.1, days: 20 },
  { above: 0.05, days: 30 },
];
const TWO_MONTHS_DAYS = 61;

const level1: PredictiveModule = {
  apiVersion: 1,
  name: 'level-1',
  description: 'what waits for the computer, else the image that is asked for most',

  async decide({ forecast, reservation }) {
    const image =
      (await forecast.blockImage()) ??
      (await forecast.nextImage()) ??
      (await forecast.upcomingImage(LOOK_AHEAD_MINUTES)) ??
      (await forecast.popularImage(memoryDays(await forecast.busyShare()))) ??
      reservation.image;
    return { action: 'reload', image };
  },
};

export default level1;

function memoryDays(busyShare: number): number {
  return MEMORY.find(({ above }) => busyShare > above)?.days ?? TWO_MONTHS_DAYS;
}
