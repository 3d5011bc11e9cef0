/**
 * A user's machine becomes an image: what `image` and `checkpoint` have in common (`image.pm` of VCL around `capture` of
 * its libvirt module).
 *
 * The user's disk is never at stake. It is kept as it is before the guest is prepared, so that a capture that fails, and a
 * checkpoint that went well, give him back what he had: accounts, homes, keys, logs. Until the rows are written, which is
 * the point of no return, all can be undone.
 */
import { findError, ProvisiondError } from '../errors';
import type { CapturedImage } from '../store/store';
import { Progress } from './capture-progress';
import { bootGuest, shutGuestDown } from './guest-power';
import type { Job, JobStep } from './job';

/** @param then what becomes of the machine */
export function captureSteps(then: CapturedImage['then']): JobStep[] {
  return [
    {
      name: 'find the machine to capture',
      story: { before: 'info' },
      run: findMachine,
      undo: async (job) => {
        const isMade = await isRecorded(job);
        // One that is to be loaded with the image has no user any more.
        if (!isMade || then === 'keep') await giveMachineBack(job);
        if (!isMade) await tellOfFailure(job, then);
      },
    },
    { name: 'check that the image can be made', done: isCopied, run: checkPlaces },
    { name: 'wait for a place on the host', done: isRecorded, run: (job) => job.takeLoadSlot() },
    { name: 'shut the guest down', done: mayStayOn, run: shutGuestDown },
    {
      name: "keep the user's disk as it is",
      done: async (job) => (await isCopied(job)) || !(await capture(job).canKeepDisk()) || capture(job).hasKeptDisk(),
      run: (job) => capture(job).keepDisk(),
    },
    { name: 'start the guest for its preparation', done: isPrepared, run: bootGuest },
    { name: 'prepare the guest', story: { before: 'info' }, done: isPrepared, run: prepareGuest },
    { name: 'shut the prepared guest down', done: isPrepared, run: shutPreparedDown },
    {
      name: 'copy the disk',
      story: { before: 'info', after: 'info' },
      done: isCopied,
      run: (job) => copyWith(job, 'copying the disk', (options) => capture(job).image.make(options)),
      undo: unlessRecorded((job) => capture(job).image.remove()),
    },
    {
      name: 'copy the image to the repository',
      done: async (job) => (await isRecorded(job)) || capture(job).image.isInRepository(),
      run: (job) =>
        copyWith(job, 'copying to the repository', (options) => capture(job).image.makeInRepository(options)),
      undo: unlessRecorded((job) => capture(job).image.remove()),
    },
    { name: 'record the image', done: isRecorded, run: (job) => recordImage(job, then) },
  ];
}

/** VCL's words for its messages. */
const CAPTURE_TYPES = { reload: 'Capture', keep: 'Checkpoint' } as const;

const capture = (job: Job) => job.provisioner.capture;

/** Asked of the rows each time: they are what cannot be taken back. */
export function isRecorded({ store, reservation }: Job): Promise<boolean> {
  return store.isImageLive(reservation);
}

async function isCopied(job: Job): Promise<boolean> {
  return (await isRecorded(job)) || capture(job).image.exists();
}

async function isPrepared(job: Job): Promise<boolean> {
  return (await isRecorded(job)) || capture(job).isPrepared();
}

function unlessRecorded(undo: (job: Job) => Promise<void>): (job: Job) => Promise<void> {
  return async (job) => {
    if (!(await isRecorded(job))) await undo(job);
  };
}

/**
 * Looks at machine and rows before anything is touched. An image that is there without this request having made it is no
 * target: a capture would overwrite what others use.
 */
async function findMachine(job: Job): Promise<void> {
  const { reservation } = job;
  const { image } = reservation;
  if (reservation.host === null) {
    const message = `computer ${reservation.computer.shortName} is assigned to no VM host`;
    throw new ProvisiondError('COMPUTER_NOT_ASSIGNED', message);
  }
  if (await isRecorded(job)) {
    if (await capture(job).image.isOfThisRequest()) return;
    const message = `image '${image.prettyName}' revision ${image.revision} is in use already: a capture needs a new one`;
    throw new ProvisiondError('REQUEST_INVALID', message, {
      hint: 'Order the capture in the front end, which makes the rows of the new image',
    });
  }
  const { domain, disk, otherDisks } = await capture(job).machine();
  job.findings.machineWasOff = (await capture(job).isAtRest()) && !(await capture(job).hasKeptDisk());
  job.narrator.note('info', `capturing ${domain.name} as ${capture(job).imageName}`);
  job.log.info('found the machine to capture', { domain: domain.name, disk: disk.path, state: domain.state });
  if (otherDisks.length > 0) {
    const names = otherDisks.join(', ');
    job.narrator.note('info', `not part of the image: ${names}`);
    job.log.warn('an image is one disk; the others of the machine do not become part of it', { otherDisks });
  }
  if (!(await capture(job).canKeepDisk())) {
    job.log.warn(`a disk of format ${disk.format} cannot be kept as it is; a failure does not bring the accounts back`);
  }
}

async function tellOfFailure({ messages }: Job, then: CapturedImage['then']): Promise<void> {
  await messages.tellUser('image_creation_delayed');
  const substitutions = { image_capture_type: CAPTURE_TYPES[then] };
  await messages.tellAdmins('image_creation_failed', { substitutions });
}

async function tellOfSuccess({ messages, scripts }: Job, then: CapturedImage['then']): Promise<void> {
  await scripts.run('post_capture');
  await messages.tellUser(then === 'keep' ? 'image_checkpoint_success' : 'image_creation_success');
  const substitutions = { image_capture_type: CAPTURE_TYPES[then] };
  await messages.tellAdmins('image_creation_complete', { substitutions });
}

async function checkPlaces(job: Job): Promise<void> {
  await capture(job).image.checkPlaces();
  await job.messages.tellAdmins('image_creation_started');
  const holder = await job.store.imageNamed(capture(job).imageName, job.reservation);
  if (holder === null) return;
  throw new ProvisiondError('CONFLICT', `image '${holder}' is named ${capture(job).imageName} already`, {
    blame: 'image',
    hint: 'Rename one of the two in the database, table imagerevision',
  });
}

/** A disk that is kept already was at rest then; one that cannot be kept is prepared while the guest goes on. */
async function mayStayOn(job: Job): Promise<boolean> {
  if (await isPrepared(job)) return true;
  if (await capture(job).hasKeptDisk()) return true;
  return !(await capture(job).canKeepDisk()) || capture(job).isAtRest();
}

/** With his own disk, and running, unless it was off when this run began. No machine: there is nothing to give back. */
async function giveMachineBack(job: Job): Promise<void> {
  try {
    await capture(job).machine();
  } catch (error) {
    if (findError(error, 'DOMAIN_NOT_FOUND') || findError(error, 'CONFLICT')) return;
    throw error;
  }
  await capture(job).giveDiskBack();
  if (!job.findings.machineWasOff && (await capture(job).isAtRest())) await capture(job).start();
}

async function prepareGuest(job: Job): Promise<void> {
  await job.guest.postReservation();
  await job.scripts.run('post_reservation');
  await job.scripts.run('pre_capture');
  await job.guest.preCapture(capture(job).imageName);
}

async function shutPreparedDown(job: Job): Promise<void> {
  await shutGuestDown(job);
  await capture(job).notePrepared();
}

type Copy = (options: { signal: AbortSignal; onPercent: (percent: number) => void }) => Promise<void>;

async function copyWith(job: Job, what: string, copy: Copy): Promise<void> {
  const progress = new Progress((text) => job.narrator.note('info', text), what);
  await copy({ signal: job.signal, onPercent: (percent) => progress.at(percent) });
}

async function recordImage(job: Job, then: CapturedImage['then']): Promise<void> {
  const { claim, reservation, store } = job;
  const { imageName, image } = capture(job);
  const base = await image.register();
  const sizeMiB = Math.ceil(base.sizeBytes / 2 ** 20);
  await store.recordCapture(claim, reservation, { name: imageName, sizeMiB, format: base.format, then });
  await tellOfSuccess(job, then);
}
