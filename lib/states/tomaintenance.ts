import type { StateHandler } from './job';
import { waitForComputer } from './wait-for-computer';

/** VCL waits that long for a user to leave. */
const PATIENCE_MS = 3 * 60 * 60_000;

/** An admin takes the computer off its host: when nobody uses it any more, its domain goes and it belongs to no host. */
export const tomaintenanceState: StateHandler = {
  state: 'tomaintenance',
  kind: 'load',
  steps: [
    {
      name: 'wait until the computer is free',
      run: (job) => waitForComputer(job, { patienceMs: PATIENCE_MS, inMaintenance: true }),
    },
    {
      name: 'set the computer maintenance',
      run: ({ store, claim, reservation }) => store.setComputerState(claim, reservation.computer.id, 'maintenance'),
    },
    {
      name: 'remove its domains',
      done: (job) => job.reservation.host === null,
      run: async (job) => {
        await job.guest.forget();
        await job.provisioner.postMaintenanceAction();
      },
    },
    {
      name: 'take the computer off its host',
      // The host last: until then a resumed run finds what it has to remove.
      run: async ({ store, claim, reservation: { computer } }) => {
        await store.setCurrentImage(claim, computer.id, null);
        await store.setGuestKey(claim, computer.id, null);
        await store.unassignComputer(claim, computer.id);
      },
    },
  ],
  onSuccess: () => ({ request: 'complete', computer: 'maintenance' }),
};
