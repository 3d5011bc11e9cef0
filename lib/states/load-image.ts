/**
 * Bringing a computer up with the reservation's image: what new, reload and reinstall have in common
 * (`reload_image` of VCL's new state around `load` of its libvirt module).
 */
import path from 'node:path';
import { ProvisiondError } from '../errors';
import { loadSteps } from '../libvirt/load-steps';
import { onlyWhen } from '../steps/step';
import type { Transition } from '../store/store';
import { SHORT_PATIENCE } from '../work/siblings';
import { confirmServer } from './accounts';
import type { Job, JobStep } from './job';
import { releaseComputer } from './release-computer';
import { waitForComputer } from './wait-for-computer';
import { waitForGuest } from './wait-for-guest';

export interface LoadWish {
  /**
   * Load even when the computer holds the image already (reinstall). The user has the computer then: when it fails, what
   * he had goes with the rest.
   */
  readonly forced: boolean;
  /** A computer that an admin put aside is taken all the same. */
  readonly inMaintenance?: boolean;
}

export function loadImage({ forced, inMaintenance }: LoadWish): JobStep[] {
  return [
    {
      name: 'check that the request can be served',
      run: checkRequest,
      ...(forced && { undo: releaseComputer }),
    },
    { name: 'wait for the other management nodes', run: (job) => job.siblings.meet('begin', SHORT_PATIENCE) },
    { name: 'wait until the computer is free', run: (job) => waitForComputer(job, { inMaintenance }) },
    { name: 'check the computer', story: { before: 'statuscheck' }, run: (job) => checkComputer(job, forced) },
    ...onlyWhen(mustLoad, [
      { name: 'set the computer reloading', story: { before: 'loadimageblade', after: 'info' }, run: setReloading },
      { name: 'find the image', story: { after: 'doesimageexists' }, run: findImage },
      { name: 'wait for a place on the host', run: (job) => job.takeLoadSlot() },
      { name: 'look for a server request', run: confirmServer },
      ...loadSteps,
      {
        name: 'wait for the guest',
        story: { after: 'machinebooted' },
        run: waitForGuest,
        undo: forgetGuest,
      },
    ]),
    {
      name: 'set up the guest',
      story: { after: 'loadimagecomplete' },
      done: (job) => job.findings.nodeStatus === 'READY',
      run: setUpGuest,
      // From here on it may be a machine that an earlier load made, which the steps above do not take back.
      undo: releaseComputer,
    },
    { name: 'record the loaded image', run: recordImage },
  ];
}

/** @returns the end of a reservation that was over before anybody could begin it: nobody gets what would be loaded */
function checkRequest(job: Job): Promise<Transition | void> {
  const { reservation } = job;
  if (job.claim.state === 'new' && job.watch.row.secondsToEnd <= 0) {
    job.narrator.note('failed', 'its end had passed before it could be begun');
    return Promise.resolve({ request: 'failed', ending: 'failed' });
  }
  if (reservation.host === null) {
    throw new ProvisiondError(
      'COMPUTER_NOT_ASSIGNED',
      `computer ${reservation.computer.shortName} is assigned to no VM host`,
    );
  }
  return Promise.resolve();
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
  await forgetGuest(job);
}

/** The next machine behind the address has another key. */
async function forgetGuest(job: Job): Promise<void> {
  await job.guest.forget();
  const { claim, guest, reservation, store } = job;
  if (!guest.isKnown) return;
  await store.setGuestKey(claim, reservation.computer.id, null);
}

async function setUpGuest(job: Job): Promise<void> {
  await job.guest.postLoad();
  await job.scripts.run('post_load');
}

async function findImage(job: Job): Promise<void> {
  const { image, host } = job.reservation;
  if ((await job.provisioner.doesImageExist()).length > 0) return;
  await job.provisioner.requireRepository();
  if (await retrieveFromPartner(job)) return;
  const { datastorePath, repositoryPath } = host!.profile;
  const places = [datastorePath, repositoryPath].filter((place) => place !== null).join(' nor in ');
  throw new ProvisiondError('IMAGE_NOT_FOUND', `image ${image.name} is not in ${places} of host ${host!.shortName}`);
}

/** VCL's image library: another management node may have it. */
async function retrieveFromPartner({ store, provisioner, reservation, config, narrator }: Job): Promise<boolean> {
  const partners = await store.imagePartners(reservation.managementNode.id);
  const knownHostsFile = path.join(config.stateDir, 'image-partners.known_hosts');
  const partner = await provisioner.retrieveImage({ partners, knownHostsFile });
  if (partner === null) return false;
  narrator.note('copyfrompartnerMN', `image ${reservation.image.name} was retrieved from management node ${partner}`);
  return (await provisioner.doesImageExist()).length > 0;
}

async function recordImage(job: Job): Promise<void> {
  const { image, computer, volumes } = job.reservation;
  // Of a VM that has its system volume only the rows come with the first operation on it.
  if (volumes.length > 0) {
    await job.store.writeVolumes(job.claim.lease, computer.id, await job.provisioner.loadedVolumes());
  }
  await job.store.setCurrentImage(job.claim, computer.id, { id: image.id, revisionId: image.revisionId });
}
