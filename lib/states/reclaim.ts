/**
 * A reservation is over: what becomes of its computer (`VCL::reclaim`, for the states deleted and timeout).
 */
import type { WorkableState } from '../model/states';
import type { Transition } from '../store/store';
import { ownerAccount } from './accounts';
import type { Findings, Job, JobStep, StateHandler } from './job';
import { closeNatPorts } from './nat';
import { predict } from './predict';
import { releaseComputer } from './release-computer';

/** VCL's `noimage`. */
const NO_IMAGE_ID = 1;

type Fate = NonNullable<Findings['reclaim']>;

/** @param story the loadlog name: the state's own */
export function reclaimHandler(state: WorkableState, story: string): StateHandler {
  return { state, kind: 'load', steps: reclaimSteps(story), onSuccess: afterReclaim };
}

function reclaimSteps(story: string): JobStep[] {
  return [
    closeNatPorts,
    { name: 'decide what becomes of the computer', story: { before: story }, run: decide },
    {
      name: 'remove an unfinished capture',
      done: ({ reservation: { image, host } }) => !image.deleted || host === null,
      run: (job) => job.provisioner.capture.image.remove(),
    },
    { name: 'clean the guest', done: (job) => job.findings.reclaim !== 'sanitize', run: sanitize },
    { name: 'say goodbye to the guest', done: isKept, run: sayGoodbye },
    { name: 'unload the computer', done: (job) => job.findings.reclaim !== 'unload', run: releaseComputer },
    {
      name: 'give the fixed address back',
      done: (job) => job.reservation.server === null,
      run: (job) => job.store.releaseFixedAddress(job.claim, job.reservation),
    },
    { name: 'order the reload', done: (job) => job.findings.reclaim !== 'reload', run: orderReload },
  ];
}

function isKept(job: Job): boolean {
  return job.findings.reclaim === 'keep' || job.findings.reclaim === 'sanitize';
}

/**
 * Decided by what is on the host, not by the last state alone: the front end writes `reserved` as the last state of a
 * request that was still loading (contract 2.10), so that it says nothing.
 */
async function decide(job: Job): Promise<void> {
  job.findings.reclaim = await fateOf(job);
  job.log.info('decided what becomes of the computer', { fate: job.findings.reclaim });
}

async function fateOf(job: Job): Promise<Fate> {
  const { computer, host, image } = job.reservation;
  if (computer.state === 'maintenance' || computer.state === 'deleted' || host === null) return 'keep';
  const active = await job.provisioner.activeDomain();
  job.findings.guestRuns = active?.state === 'running';
  if (active === null) return 'unload';
  // From the acknowledgement on the way in was open: a visit between two looks of ours would not have been noticed.
  const { lastState } = job.claim;
  const wasUsed = (lastState !== 'reserved' && lastState !== 'new') || job.reservation.remoteIp !== null;
  if (wasUsed || (await job.provisioner.hasChangedDisks())) return afterUse(job);
  const guest = job.findings.guestRuns ? await job.guest.statusIfAnswering() : null;
  // Who let nobody in would not hear a goodbye either.
  job.findings.guestRuns = guest !== null;
  // Half loaded, or nobody knows what: nothing of it is worth keeping.
  if (!guest?.postLoadDone || guest.imageRevisionId !== image.revisionId) return 'unload';
  return guest.tainted ? afterUse(job) : 'sanitize';
}

async function afterUse(job: Job): Promise<Fate> {
  const decision = await predict(job);
  if (decision.action === 'unload') return 'unload';
  const { image, computer } = job.reservation;
  // The target of a capture that came to nothing never was: the computer gets what it had.
  const isMissing = image.deleted && decision.image.revisionId === image.revisionId;
  if (isMissing && computer.currentImageId === NO_IMAGE_ID) return 'unload';
  const had = { id: computer.currentImageId, revisionId: computer.currentRevisionId };
  job.findings.nextImage = isMissing ? { ...decision.image, ...had } : decision.image;
  return 'reload';
}

async function sanitize(job: Job): Promise<void> {
  try {
    await job.guest.sanitize([ownerAccount(job.reservation, null)]);
  } catch (error) {
    if (job.signal.aborted) throw error;
    job.log.warn('the guest could not be cleaned; it is loaded anew or unloaded instead', { error });
    job.findings.reclaim = await afterUse(job);
    return;
  }
  // The end may have come between the last stage in the guest and the record of it.
  const { image, computer } = job.reservation;
  await job.store.setCurrentImage(job.claim, computer.id, { id: image.id, revisionId: image.revisionId });
}

/** Scripts of the site may want to run in the guest; one that does not run is not waited for. */
async function sayGoodbye(job: Job): Promise<void> {
  const { guest, scripts, log, signal } = job;
  const guestRuns = job.findings.guestRuns === true;
  if (guestRuns) {
    await guest.postReservation().catch((error: unknown) => {
      if (signal.aborted) throw error;
      log.info('no last stage in the guest', { error });
    });
  }
  await scripts.run('post_reservation', { guestRuns });
  await guest.forget();
}

async function orderReload(job: Job): Promise<void> {
  const { claim, reservation, store } = job;
  const { id, revisionId } = job.findings.nextImage ?? reservation.image;
  await store.insertReload(claim, reservation, { id, revisionId });
  await store.fulfilNextImage(claim, reservation.computer.id, id);
}

function afterReclaim(job: Job): Transition {
  switch (job.findings.reclaim) {
    case 'keep':
      return { request: 'complete' };
    case 'reload':
      return { request: 'complete', computer: 'reload' };
    case 'sanitize':
    case 'unload':
    case undefined:
      return { request: 'complete', computer: 'available' };
  }
}
