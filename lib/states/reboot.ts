/** The user wants the machine to start anew, gently or not; afterwards he finds his way in as before. */
import { ProvisiondError } from '../errors';
import { prepareAccounts } from './accounts';
import { configureAddress } from './fixed-address';
import { allowedFrom } from './reserved';
import type { Job, StateHandler } from './job';

/** How long a guest that was asked gently may take to go down and come back. VCL: 300 s. */
const GENTLE_MS = 300_000;

export const rebootsoftState: StateHandler = {
  state: 'rebootsoft',
  kind: 'attend',
  steps: [
    { name: 'reboot the guest', run: rebootGently },
    { name: 'restore the access', run: restoreAccess },
  ],
  onSuccess: () => ({ request: 'inuse', computer: 'inuse' }),
};

export const reboothardState: StateHandler = {
  state: 'reboothard',
  kind: 'attend',
  steps: [
    { name: 'reset the domain', run: async (job) => resetPower(job, await bootOf(job)) },
    { name: 'restore the access', run: restoreAccess },
  ],
  onSuccess: () => ({ request: 'inuse', computer: 'inuse' }),
};

/** Through the guest's own reboot; when it does not obey, or answers nobody, through its power. */
async function rebootGently(job: Job): Promise<void> {
  const before = await bootOf(job);
  if (before.answers) {
    await job.guest.reboot();
    const patienceMs = Math.min(GENTLE_MS, job.config.guestBootTimeoutMs);
    if (await job.guest.waitForBoot(before.bootId, patienceMs)) return;
    job.log.warn('the guest did not reboot when it was asked to; its power is reset');
  }
  await resetPower(job, before);
}

interface Boot {
  readonly answers: boolean;
  readonly bootId: string | null;
}

async function bootOf(job: Job): Promise<Boot> {
  const status = await job.guest.statusIfAnswering();
  return { answers: status !== null, bootId: status?.bootId ?? null };
}

async function resetPower(job: Job, { bootId }: Boot): Promise<void> {
  await job.guest.forget();
  await job.provisioner.powerReset();
  if (await job.guest.waitForBoot(bootId, job.config.guestBootTimeoutMs)) return;
  const { shortName } = job.reservation.computer;
  throw new ProvisiondError('GUEST_NO_ANSWER', `guest ${shortName} did not come back after its power was reset`);
}

/** Services and ports as before; of a server request also its address, and its accounts: its groups may have changed. */
async function restoreAccess(job: Job): Promise<void> {
  if (job.reservation.server?.fixedIp) await configureAddress(job);
  if (job.reservation.server) await job.guest.reserve(await prepareAccounts(job, { keepPasswords: true }));
  await job.guest.grantAccess(allowedFrom(job));
}
