/** Copying the disks: what is off as it is, what runs by jobs that copy all of its disks as they were at one moment. */
import { recordBase } from '../../images/base-record';
import { ProvisiondError } from '../../errors';
import { editDefinition } from '../../libvirt/definition';
import { leafSuffix, VmCopies } from '../../libvirt/vm-copies';
import { isNow } from '../power/steps';
import { imageNameOfBase } from '../../model/vm-base';
import type { ApplianceStep, VmJob } from '../kind';
import { disksOf } from '../volumes/hands';
import { presentOf } from '../volumes/present';
import {
  type Capture,
  type Captured,
  type CaptureJob,
  capturePlanOf,
  filesOf,
  memberOf,
  type PlannedInstance,
} from './plan';

type CaptureStep = ApplianceStep<Capture>;

export const copiesOf = (member: VmJob): VmCopies => new VmCopies(member.vm);

/** What undoing is for: that which was begun, and is no image yet. */
export const whileUnregistered = (undo: (job: CaptureJob) => Promise<void>) => async (job: CaptureJob) => {
  if (job.journal?.capture && !(await isRegistered(job))) await undo(job);
};

export async function isRegistered({ store, operation }: CaptureJob): Promise<boolean> {
  return (await store.instances()).some(({ operationId }) => operationId === operation.id);
}

export const copyStep: CaptureStep = {
  name: 'copy the disks',
  done: async (job) => (await isRegistered(job)) || (await uncopied(job)).length === 0,
  run: async (job) => {
    const open = await uncopied(job);
    // All or none are as of one moment; what an earlier attempt left of them is no use.
    const isTogether = ({ method }: PlannedInstance) => job.arguments.oneMoment && method !== 'off';
    const together = capturePlanOf(job).instances.filter(isTogether);
    if (open.some(isTogether)) await copyRunning(job, together);
    for (const instance of open.filter((one) => !isTogether(one))) {
      if (instance.method === 'off') await copyStopped(job, instance);
      else if (instance.method === 'backup') await copyRunning(job, [instance]);
      else await copyInOneGo(job, instance, instance.method);
    }
  },
  undo: whileUnregistered(async (job) => {
    for (const instance of capturePlanOf(job).instances) await end(job, instance);
  }),
};

/** Those whose copies are not all there, or of which nobody knows what they are worth. */
async function uncopied(job: CaptureJob): Promise<PlannedInstance[]> {
  const open: PlannedInstance[] = [];
  for (const instance of capturePlanOf(job).instances) {
    const files = filesOf(instance);
    const { infos } = await disksOf(memberOf(job, instance.computerId)).look(files);
    const isKnown = job.journal?.captured?.[instance.computerId] !== undefined;
    if (!isKnown || files.some(({ path }) => !infos.has(path))) open.push(instance);
  }
  return open;
}

/** Nothing that was begun goes on, and no copy is left. */
async function end(job: CaptureJob, instance: PlannedInstance): Promise<void> {
  const member = memberOf(job, instance.computerId);
  const { domain, copies } = instance;
  const ran = member.journal?.from === 'Running';
  await copiesOf(member).end(domain.uuid, copies, ran, job.operation.id);
  if (instance.method === 'snapshot') await dropLeaves(job, instance, member);
}

/** Of a guest that went off in the middle: its definition still has the leaves. */
async function dropLeaves(job: CaptureJob, { domain, copies }: PlannedInstance, member: VmJob): Promise<void> {
  const definition = await disksOf(member).definition(domain);
  const left = copies.filter(({ target, source }) => {
    const leaf = `${source.path}${leafSuffix(job.operation.id)}`;
    return definition.disks.some((disk) => disk.target === target && disk.file === leaf);
  });
  if (left.length === 0 || !(await isNow('Halted')(member))) return;
  for (const { source } of left) {
    await copiesOf(member).mergeLeaf(domain.uuid, `${source.path}${leafSuffix(job.operation.id)}`);
  }
  const disks = left.map(({ target, source }) => ({ target, disk: source }));
  await disksOf(member).define(domain, editDefinition(definition, { disks }));
}

async function keep(job: CaptureJob, { computerId }: PlannedInstance, captured: Captured): Promise<void> {
  await job.keepJournal({ ...job.journal!, captured: { ...job.journal?.captured, [computerId]: captured } });
}

async function copyStopped(job: CaptureJob, instance: PlannedInstance): Promise<void> {
  const member = memberOf(job, instance.computerId);
  await end(job, instance);
  const moment = new Date().toISOString();
  await copiesOf(member).copy(instance.copies, job.arguments.compress);
  await keep(job, instance, { consistency: 'offline', moment });
  member.tell(`${instance.copies.length} disks are copied`);
}

/** @param instances of one host */
async function copyRunning(job: CaptureJob, instances: readonly PlannedInstance[]): Promise<void> {
  const { requireQuiesce, oneMoment, compress } = job.arguments;
  for (const instance of instances) await end(job, instance);
  const first = copiesOf(memberOf(job, instances[0]!.computerId));
  const groups = await Promise.all(instances.map((instance) => groupOf(job, instance)));
  try {
    const begun = await first.begin(groups, requireQuiesce ? 'must' : 'try', oneMoment);
    for (const { shortName, domain } of instances) {
      const how = begun.frozen.includes(domain.uuid)
        ? 'its file systems were frozen'
        : 'no agent froze its file systems';
      job.tell(`${shortName}: the copy is as of ${begun.moment}; ${how}, guests stood still for ${begun.stillMs} ms`);
    }
    await first.waitFor(
      groups.map(({ uuid }) => uuid),
      job.signal,
    );
    for (const instance of instances) {
      await copiesOf(memberOf(job, instance.computerId)).publish(instance.copies, compress);
      const isFrozen = begun.frozen.includes(instance.domain.uuid);
      await keep(job, instance, {
        consistency: isFrozen ? 'fs-consistent' : 'crash-consistent',
        moment: begun.moment,
      });
    }
  } catch (error) {
    // What goes on in the hypervisor must not hold the disks while somebody decides what comes next.
    for (const instance of instances) await end(job, instance).catch(() => {});
    throw error;
  }
}

/** Where libvirt has no jobs for it. */
async function copyInOneGo(job: CaptureJob, instance: PlannedInstance, how: 'snapshot' | 'pause'): Promise<void> {
  const { requireQuiesce, compress } = job.arguments;
  const member = memberOf(job, instance.computerId);
  await end(job, instance);
  const options = { quiesce: requireQuiesce ? 'must' : 'try', compress, operationId: job.operation.id } as const;
  try {
    const { moment, frozen, stillMs } = await copiesOf(member).copyLive(how, await groupOf(job, instance), options);
    member.tell(`the copy is as of ${moment}; its guest stood still for ${stillMs} ms`);
    await keep(job, instance, { consistency: frozen.length > 0 ? 'fs-consistent' : 'crash-consistent', moment });
  } catch (error) {
    await end(job, instance).catch(() => {});
    throw error;
  }
}

async function groupOf(job: CaptureJob, { computerId, domain, copies }: PlannedInstance) {
  const { definition } = await presentOf(memberOf(job, computerId));
  const others = definition.disks
    .filter(({ file, device }) => file !== null && device === 'disk')
    .map(({ target }) => target)
    .filter((target) => !copies.some((copy) => copy.target === target));
  return { uuid: domain.uuid, copies, others };
}

export const recordStep: CaptureStep = {
  name: 'look at the copies, and write down their checksums',
  done: async (job) => (await isRegistered(job)) || (await unrecorded(job)).length === 0,
  run: async (job) => {
    for (const { member, copy } of await unrecorded(job)) {
      const { infos } = await disksOf(member).look([copy.file]);
      const info = infos.get(copy.file.path);
      const isFlat = info?.backingFile === null && info.snapshots.length === 0 && info.format === copy.file.format;
      if (!isFlat || info.virtualSizeBytes !== copy.virtualSizeBytes) {
        const message = `the copy ${copy.file.path} of ${copy.source.path} is not what it was to be`;
        throw new ProvisiondError('IMAGE_UNTRUSTED', message, { blame: 'host' });
      }
      await recordBase(placeOf(member), copy.file.path, {
        imageName: imageNameOfBase(copy.file).slice(0, LONGEST_IMAGE_NAME),
        source: `instance of ${member.computer.shortName}, operation ${job.operation.id}`,
      });
    }
  },
  undo: whileUnregistered(async (job) => {
    for (const { computerId, copies } of capturePlanOf(job).instances) {
      const { hostId } = placeOf(memberOf(job, computerId));
      for (const { file } of copies) await job.store.forgetBaseFile({ hostId, path: file.path });
    }
  }),
};

/** `provisiond_base.imagename` */
const LONGEST_IMAGE_NAME = 75;

export function placeOf({ vm, store, config, signal }: VmJob) {
  const hostId = vm.parts.hostFacts.computerId;
  return { host: vm.host, hostId, records: store, timeoutMs: config.imageTimeoutMs, signal };
}

async function unrecorded(job: CaptureJob) {
  const records = await job.store.listBaseFiles();
  return capturePlanOf(job).instances.flatMap(({ computerId, hostId, copies }) => {
    const member = memberOf(job, computerId);
    return copies
      .filter(({ file }) => !records.some((known) => known.hostId === hostId && known.path === file.path))
      .map((copy) => ({ member, copy }));
  });
}
