/**
 * Bringing a computer up with the reservation's image: what new, reload and reinstall have in common
 * (`reload_image` of VCL's new state around `load` of its libvirt module).
 */
import { ProvisiondError } from '../errors';
import { loadSteps } from '../libvirt/load-steps';
import { onlyWhen } from '../steps/step';
import type { Job, JobStep } from './job';
import { waitForComputer } from './wait-for-computer';
import { waitForGuest } from './wait-for-guest';

/** @param forced load even when the computer holds the image already (reinstall) */
export function loadImage({ forced }: { forced: boolean }): JobStep[] {
  return [
    { name: 'check that the request can be served', run: checkRequest },
    { name: 'wait until the computer is free', run: waitForComputer },
    { name: 'check the computer', story: { before: 'statuscheck' }, run: (job) => checkComputer(job, forced) },
    ...onlyWhen(mustLoad, [
      { name: 'set the computer reloading', story: { before: 'loadimageblade', after: 'info' }, run: setReloading },
      { name: 'find the image', story: { after: 'doesimageexists' }, run: findImage },
      { name: 'wait for a place on the host', run: (job) => job.takeLoadSlot() },
      ...loadSteps,
      {
        name: 'wait for the guest',
        story: { after: 'machinebooted' },
        run: waitForGuest,
        undo: (job) => job.guest.forget(),
      },
    ]),
    {
      name: 'set up the guest',
      story: { after: 'loadimagecomplete' },
      done: (job) => job.findings.nodeStatus === 'READY',
      run: setUpGuest,
    },
    { name: 'record the loaded image', run: recordImage, undo: (job) => setImage(job, null) },
  ];
}

function checkRequest(job: Job): void {
  const { reservation } = job;
  if (reservation.reservationCount > 1) {
    throw new ProvisiondError('NOT_YET', `request ${reservation.request.id} is a cluster of several reservations`);
  }
  if (reservation.server) {
    throw new ProvisiondError('NOT_YET', `request ${reservation.request.id} is a server request`);
  }
  if (reservation.host === null) {
    throw new ProvisiondError(
      'COMPUTER_NOT_ASSIGNED',
      `computer ${reservation.computer.shortName} is assigned to no VM host`,
    );
  }
}

function mustLoad(job: Job): boolean {
  return job.findings.nodeStatus === 'RELOAD';
}

/**
 * Looks at host and guest. A computer that this very load already brought up is not loaded again, forced or not:
 * that is how a resumed reinstall goes on instead of beginning anew.
 */
async function checkComputer(job: Job, forced: boolean): Promise<void> {
  const active = await job.provisioner.activeDomain();
  const resumed = active?.identity?.loadId === job.claim.loadId;
  if (forced && !resumed) {
    job.findings.nodeStatus = 'RELOAD';
    return;
  }
  const guest = active?.state === 'running' ? await job.guest.statusIfAnswering() : null;
  job.findings.nodeStatus = await job.provisioner.nodeStatus(guest);
  job.log.info('checked the computer', { nodeStatus: job.findings.nodeStatus, resumed });
}

async function setReloading(job: Job): Promise<void> {
  const { claim, reservation, store } = job;
  await store.setComputerState(claim, reservation.computer.id, 'reloading');
  await job.scripts.run('pre_reload');
  await store.setGuestKey(claim, reservation.computer.id, null);
  await job.guest.forget();
}

async function setUpGuest(job: Job): Promise<void> {
  await job.guest.postLoad();
  await job.scripts.run('post_load');
}

async function findImage(job: Job): Promise<void> {
  const { image, host } = job.reservation;
  if ((await job.provisioner.doesImageExist()).length > 0) return;
  const { datastorePath, repositoryPath } = host!.profile;
  const places = [datastorePath, repositoryPath].filter((place) => place !== null).join(' nor in ');
  throw new ProvisiondError('IMAGE_NOT_FOUND', `image ${image.name} is not in ${places} of host ${host!.shortName}`);
}

async function recordImage(job: Job): Promise<void> {
  const { image } = job.reservation;
  await setImage(job, { id: image.id, revisionId: image.revisionId });
}

async function setImage(job: Job, image: { id: number; revisionId: number } | null): Promise<void> {
  await job.store.setCurrentImage(job.claim, job.reservation.computer.id, image);
}
