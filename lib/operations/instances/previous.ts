/**
 * The previous versions: instances that VMs of the appliance stood on until they were repointed. They go with what of their VMs
 * stood on them, unless somebody else needs them; masters always stay.
 */
import { removeBase, surveyImages } from '../../images/base-survey';
import type { Instance } from '../../model/instance';
import { imageLock } from '../../model/names';
import { imageNameOfBase } from '../../model/vm-base';
import type { ApplianceStep, VmJob } from '../kind';
import { disksOf } from '../volumes/hands';
import { oldFiles } from '../volumes/plan';
import { type Capture, type CaptureJob, capturePlanOf, memberOf } from './plan';
import { undeployed } from './undeploy';

export const deletePreviousStep: ApplianceStep<Capture> = {
  name: 'delete the previous versions',
  done: async (job) => !job.arguments.update || (await previousOf(job)).length === 0,
  run: async (job) => {
    const kept: object[] = [];
    for (const { instance, member } of await previousOf(job)) {
      const why = await whyNeeded(job, instance, member);
      if (why === null) await remove(job, instance, member);
      else kept.push({ instance: instance.prettyName, why });
    }
    if (kept.length > 0) job.result.kept = kept;
  },
};

async function previousOf(job: CaptureJob): Promise<{ instance: Instance; member: VmJob }[]> {
  const known = await job.store.instances();
  const found = new Map<number, { instance: Instance; member: VmJob }>();
  for (const { computerId, sourceRevisionId, hostId } of capturePlanOf(job).instances) {
    const instance = known.find((one) => one.imageRevisionId === sourceRevisionId && one.hostId === hostId);
    if (instance) found.set(sourceRevisionId, { instance, member: memberOf(job, computerId) });
  }
  return [...found.values()];
}

/** What our own VMs had before: files in the trash of this operation. */
function ownTrash(job: CaptureJob): { member: VmJob; path: string; format: string }[] {
  return undeployed(job).flatMap((member) =>
    oldFiles(member.journal!.plan!).map(({ to, format }) => ({ member, path: to, format })),
  );
}

/** Asked of rows and of the headers of files. @returns null: nobody needs it */
async function whyNeeded(job: CaptureJob, instance: Instance, { vm, config }: VmJob): Promise<string | null> {
  const { requests, computers } = await job.store.revisionUses(instance.imageRevisionId);
  if (computers.length > 0) return `${computers.join(', ')} stand on it`;
  if (requests > 0) return `${requests} requests that are not over name it`;
  const paths = instance.files.map((file) => file.path);
  const own = ownTrash(job).map((file) => file.path);
  const files = await surveyImages(vm.host, vm.parts.hostFacts.profile, config.imageTimeoutMs);
  const standing = files.filter(
    ({ path, backing }) => backing !== null && paths.includes(backing) && !own.includes(path),
  );
  return standing.length === 0 ? null : `${standing.map(({ path }) => path).join(', ')} stand on it`;
}

/** From here on there is no way back; what the VMs held before is in the new instances. */
async function remove(job: CaptureJob, instance: Instance, member: VmJob): Promise<void> {
  const { store, lease } = job;
  const { host, parts } = member.vm;
  const { profile, computerId: hostId } = parts.hostFacts;
  const paths = instance.files.map((file) => file.path);
  for (const one of undeployed(job)) await one.keepJournal({ ...one.journal!, settled: true });
  const files = await surveyImages(host, profile, member.config.imageTimeoutMs);
  for (const old of ownTrash(job)) {
    const backing = files.find(({ path }) => path === old.path)?.backing;
    if (!backing || !paths.includes(backing)) continue;
    await disksOf(old.member).remove([old]);
    const { plan, operationId } = old.member.journal!;
    const rest = oldFiles(plan!).map(({ to, format }) => ({ path: to, format }));
    await disksOf(old.member).remove(rest);
    await store.forgetTrash(lease, operationId!);
  }
  for (const { path, format } of instance.files) {
    const file = files.find((one) => one.path === path);
    const outcome = file
      ? await removeBase(host, profile, file, imageLock(profile, imageNameOfBase({ path, format })))
      : 'removed';
    if (outcome !== 'removed') {
      job.tell(`${path} stays: ${outcome}; provisiond image gc removes it once nothing stands on it`);
      continue;
    }
    await store.forgetBaseFile({ hostId, path });
  }
  await store.deleteRevision(lease, instance.imageRevisionId);
  job.tell(`${instance.prettyName} is deleted`);
}
