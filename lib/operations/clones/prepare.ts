/**
 * `prepare_base`: the volumes of a VM become files that nobody writes to any more, flat and recorded with their checksums, and the
 * VM itself stands on them from then on, off. Other VMs are then made from it (`clone`), and moved to it (`rebase`).
 */
import { z } from 'zod';
import { ProvisiondError } from '../../errors';
import { script } from '../../host/host';
import { recordBase } from '../../images/base-record';
import { CHECK_FLAT_COPIES } from '../../images/clone-scripts';
import { explain } from '../../images/copy-work';
import { IN_THE_WAY } from '../../images/volume-scripts';
import { volumesOf } from '../../libvirt/definition';
import type { DomainIdentity } from '../../model/identity';
import { masterImagePath } from '../../model/names';
import { outlineOf } from '../../model/outline';
import { baseImageName, imageNameOfBase, type VmBase } from '../../model/vm-base';
import { type DiskFile, trashFolder } from '../../model/volume';
import { requireDomain, type VmJob, vmKind, type VmStep } from '../kind';
import { checkStep } from '../power/steps';
import { joinTwinStep } from '../twin';
import * as change from '../volumes/change';
import { type ChangePlan, type VolumeChange } from '../volumes/plan';
import { planStep } from '../volumes/plan-step';
import { disksOf } from '../volumes/hands';
import { presentOf, refuseSnapshots, successor } from '../volumes/present';
import { STOPPING } from '../volumes/restore';

const { timeoutSeconds, hard } = STOPPING;
const PREPARE = z.strictObject({ timeoutSeconds, hard, dryRun: z.boolean().default(false) });
type Prepare = z.output<typeof PREPARE>;

/** A base is always qcow2: what stands on it says so in its header. */
const FORMAT = 'qcow2';

/** What is copied to where. */
interface BaseCopy {
  readonly source: DiskFile;
  readonly file: DiskFile;
  readonly size: number;
  readonly change: VolumeChange;
}

/** The overlays of the plan say it all. */
function copiesOf({ changes }: ChangePlan): BaseCopy[] {
  return changes.flatMap((one) => {
    const making = one.after?.making;
    if (!one.before || making?.how !== 'overlay') return [];
    return [{ source: one.before, file: making.base, size: making.size ?? 0, change: one }];
  });
}

const copyStep: VmStep = {
  name: 'copy the disks to base files',
  done: async (job) => (await uncopied(job)).length === 0,
  run: async (job) => {
    for (const { source, file, size } of await uncopied(job)) {
      const { infos } = await disksOf(job).look([file]);
      // One that is there already was made by this very operation: the checks found none.
      if (!infos.has(file.path)) {
        await disksOf(job).make(file, { how: 'copy', base: source, imageName: null, size });
      }
      job.tell(`${source.path} is copied to ${file.path}`);
      await recordBase(placeOf(job), file.path, {
        imageName: imageNameOfBase(file),
        source: `base of ${job.computer.shortName}, operation ${job.operation.id}`,
      });
    }
  },
  undo: change.whenPlanned(async (job) => {
    if (await change.isOn('after')(job)) return;
    const files = copiesOf(change.planOf(job)).map(({ file }) => file);
    await disksOf(job).remove(files);
    for (const { path } of files) await job.store.forgetBaseFile({ hostId: placeOf(job).hostId, path });
  }),
};

function placeOf({ vm, store, config, signal }: VmJob) {
  const hostId = vm.parts.hostFacts.computerId;
  return { host: vm.host, hostId, records: store, timeoutMs: config.imageTimeoutMs, signal };
}

/** A copy counts once it is recorded, which is the last that is done with it. */
async function uncopied(job: VmJob): Promise<BaseCopy[]> {
  const { hostId } = placeOf(job);
  const records = await job.store.listBaseFiles();
  return copiesOf(change.planOf(job)).filter(
    ({ file }) => !records.some((known) => known.hostId === hostId && known.path === file.path),
  );
}

const noteStep: VmStep = {
  name: 'note the base',
  run: async (job) => {
    const plan = change.planOf(job);
    const { disks, identity } = await disksOf(job).definition(plan.domain);
    const volumes = copiesOf(plan).map(({ file, size, change: { volume, target } }) => ({
      ...volume,
      ...{ target, path: file.path, format: file.format, sizeBytes: size },
    }));
    const base: VmBase = {
      computerId: job.computer.id,
      shortName: job.computer.shortName,
      hostId: job.vm.parts.hostFacts.computerId,
      operationId: job.operation.id,
      uuid: plan.domain.uuid,
      image: await imageOf(job, identity),
      outline: outlineOf(volumesOf(job.computer.shortName, { disks }), disks),
      volumes,
    };
    await job.store.putVmBase(job.lease, base);
    job.result.base = volumes.map((volume) => volume.path);
  },
  undo: change.whenPlanned(async ({ store, lease, computer, operation }) =>
    store.forgetVmBase(lease, { computerId: computer.id, operationId: operation.id }),
  ),
};

async function imageOf({ store }: VmJob, identity: DomainIdentity | null): Promise<VmBase['image']> {
  const { imageId = 0, imageRevisionId = 0, imageName = '' } = identity ?? {};
  const known = await store.revision(imageRevisionId);
  return { imageId, imageRevisionId, imageName, prettyName: known?.prettyName ?? imageName };
}

export const prepare_base = vmKind<Prepare>({
  name: 'prepare_base',
  about: 'make a base of a VM: others can then be made from it; it stays off',
  arguments: PREPARE,
  example: { timeoutSeconds: 120, hard: false, dryRun: false },
  steps: [
    joinTwinStep(async ({ store }, twin) => (await store.vmBases()).some(({ operationId }) => operationId === twin)),
    checkStep('prepare_base', () => 'prepare_base', refuseUnfit),
    planStep(planBase),
    change.stopStep,
    copyStep,
    change.buildStep,
    change.verifyStep,
    change.switchAndStayOffStep,
    change.recordStep,
    change.trashStep,
    noteStep,
  ],
});

async function refuseUnfit(job: VmJob<Prepare>): Promise<void> {
  const { shortName, id } = job.computer;
  refuseSnapshots(job, await requireDomain(job));
  const bases = await job.store.vmBases();
  if (bases.some(({ computerId }) => computerId === id)) {
    const hint = `Remove that one first: provisiond vm remove_base ${shortName}`;
    throw new ProvisiondError('CONFLICT', `a base was prepared from ${shortName} already`, { hint });
  }
  await presentOf(job);
}

async function planBase(job: VmJob<Prepare>): Promise<ChangePlan> {
  const present = await presentOf(job);
  const { uuid, name } = await requireDomain(job);
  const { profile } = job.vm.parts.hostFacts;
  const changes = present.volumes.map((volume): VolumeChange => {
    const { type, target, path, format } = volume;
    const info = present.infos.get(path);
    if (!info) {
      const message = `disk ${path} of ${job.computer.shortName} is missing on host ${job.vm.host.name}`;
      throw new ProvisiondError('IMAGE_NOT_FOUND', message, { blame: 'computer' });
    }
    const imageName = baseImageName(job.computer, job.operation.id, volume);
    const base = { path: masterImagePath(profile, imageName, FORMAT), format: FORMAT };
    const making = { how: 'overlay', base, imageName, size: info.virtualSizeBytes } as const;
    return {
      volume: { name: volume.name, type },
      target,
      before: { path, format },
      after: { ...successor(job, present, volume, FORMAT), making },
    };
  });
  const { vmPath } = profile;
  const plan: ChangePlan = {
    domain: { uuid, name },
    changes,
    trash: trashFolder({ vmPath, shortName: job.computer.shortName }, job.operation.id),
  };
  await checkCopies(job, plan);
  if (job.arguments.dryRun) job.result.baseFiles = copiesOf(plan).map(({ file }) => file.path);
  return plan;
}

/** All files and names and the space for all, before the first is touched. @throws CONFLICT, HOST_DISK_FULL, IMAGE_UNTRUSTED */
async function checkCopies(job: VmJob, plan: ChangePlan): Promise<void> {
  const { host, parts } = job.vm;
  const folder = parts.hostFacts.profile.datastorePath;
  const triples = copiesOf(plan).flatMap(({ source, file }) => [source.path, source.format, file.path]);
  const result = await host.run(script(CHECK_FLAT_COPIES, folder, ...triples), { expect: 'any' });
  if (result.exitCode === 0) return;
  const doing = `making a base of ${job.computer.shortName}`;
  if (result.exitCode === IN_THE_WAY) {
    const file = /^@@taken (.*)$/m.exec(result.stdout)?.[1] ?? 'a base file';
    throw new ProvisiondError('CONFLICT', `${doing}: ${file} exists on host ${host.name}`, { blame: 'host' });
  }
  throw explain(host.name, { doing, folder, failure: 'IMAGE_UNTRUSTED' }, result);
}
