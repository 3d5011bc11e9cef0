/** The decision: which images come of an appliance, how each disk is copied, and whether there is room for all of them. */
import path from 'node:path';
import { ProvisiondError } from '../../errors';
import { script } from '../../host/host';
import { CHECK_FLAT_COPIES } from '../../images/clone-scripts';
import { explain } from '../../images/copy-work';
import { IN_THE_WAY } from '../../images/volume-scripts';
import { VmCopies } from '../../libvirt/vm-copies';
import { isActive } from '../../libvirt/vm-sight';
import { instanceNames } from '../../model/instance';
import { instanceUuid, masterImagePath } from '../../model/names';
import type { Volume } from '../../model/volume';
import type { RevisionFacts } from '../../store/store';
import { requireDomain, type VmJob } from '../kind';
import { presentOf } from '../volumes/present';
import { isIsoVm } from '../volumes/restore';
import type { Capture, CaptureJob, CapturePlan, CopyMethod, PlannedCopy, PlannedInstance } from './plan';

/** @throws what stands against any of it; nothing has been changed then */
export async function decide(job: CaptureJob, selected: readonly VmJob[]): Promise<CapturePlan> {
  const instances: PlannedInstance[] = [];
  for (const member of selected) instances.push(await decideOne(member, job.arguments));
  refuseSpread(job, instances);
  await checkRoom(job, instances);
  return { instances };
}

async function decideOne(member: VmJob, wish: Capture): Promise<PlannedInstance> {
  const { computer, vm, operation } = member;
  const { uuid, name } = await requireDomain(member);
  const present = await presentOf(member);
  const revision = await sourceOf(member, present);
  const names = instanceNames(revision, instanceUuid(operation.id, uuid));
  const { profile, computerId: hostId } = vm.parts.hostFacts;
  const format = profile.datastoreFormat;
  if (!['qcow2', 'raw'].includes(format)) {
    const message = `the datastore of host ${vm.host.name} has images of format ${format}; instances are qcow2 or raw`;
    throw new ProvisiondError('OPERATION_INVALID', message);
  }
  const data = wish.systemOnly ? [] : present.volumes.filter(({ type }) => type === 'data');
  const copies = [present.system, ...data].map((volume): PlannedCopy => {
    const info = present.infos.get(volume.path);
    if (!info) {
      const message = `disk ${volume.path} of ${computer.shortName} is missing on host ${vm.host.name}`;
      throw new ProvisiondError('IMAGE_NOT_FOUND', message, { blame: 'computer' });
    }
    const fileName = volume.type === 'system' ? names.imageName : `${names.imageName}-data-${volume.name}`;
    return {
      ...{ volume: volume.name, type: volume.type, target: volume.target },
      source: { path: volume.path, format: volume.format },
      file: { path: masterImagePath(profile, fileName, format), format },
      virtualSizeBytes: info.virtualSizeBytes,
    };
  });
  const method = await methodFor(member, wish, present.volumes);
  const domain = { uuid, name };
  const { imageRevisionId: sourceRevisionId } = revision;
  return {
    computerId: computer.id,
    shortName: computer.shortName,
    hostId,
    domain,
    ...names,
    sourceRevisionId,
    method,
    copies,
  };
}

/** What the VM was made from. @throws OPERATION_INVALID, IMAGE_NOT_FOUND */
async function sourceOf(member: VmJob, present: Awaited<ReturnType<typeof presentOf>>): Promise<RevisionFacts> {
  const { shortName } = member.computer;
  const { identity } = present.definition;
  if (isIsoVm(present) || !identity || identity.imageRevisionId <= 1) {
    throw new ProvisiondError('OPERATION_INVALID', `${shortName} was made from no image, so there is no master for it`);
  }
  const revision = await member.store.revision(identity.imageRevisionId);
  if (revision) return revision;
  const message = `${shortName}: image ${identity.imageName}, which it was made from, is not there any more`;
  throw new ProvisiondError('IMAGE_NOT_FOUND', message, { blame: 'request' });
}

/** @throws OTHER_OPERATION_IN_PROGRESS, VM_LACKS_FEATURE when the guest cannot be brought to write all to its disks */
async function methodFor(member: VmJob, wish: Capture, volumes: readonly Volume[]): Promise<CopyMethod> {
  const { shortName } = member.computer;
  const sight = await requireDomain(member);
  if (!isActive(sight)) return 'off';
  const targets = volumes.map(({ target }) => target);
  const { hasAgent, hasBackup, hasSnapshots, busyTargets } = await new VmCopies(member.vm).look(sight.uuid, targets);
  if (busyTargets.length > 0) {
    const message = `a job of libvirt is at work on ${busyTargets.join(', ')} of ${shortName}`;
    throw new ProvisiondError('OTHER_OPERATION_IN_PROGRESS', message);
  }
  if (wish.requireQuiesce && (!hasAgent || sight.words.state !== 'running')) {
    const why = sight.words.state === 'running' ? 'no guest agent answers in it' : `it is ${sight.words.state}`;
    throw new ProvisiondError('VM_LACKS_FEATURE', `${shortName} cannot be brought to write all to its disks: ${why}`, {
      hint: 'Install and start qemu-guest-agent in it, or ask without --require-quiesce',
    });
  }
  if (hasBackup) return 'backup';
  return hasSnapshots ? 'snapshot' : 'pause';
}

/** Clocks of several hosts are not one clock. */
function refuseSpread({ arguments: { oneMoment } }: CaptureJob, instances: readonly PlannedInstance[]): void {
  const running = instances.filter(({ method }) => method !== 'off');
  if (!oneMoment || running.length === 0) return;
  const hosts = new Set(running.map(({ hostId }) => hostId));
  const others = running.filter(({ method }) => method !== 'backup').map(({ shortName }) => shortName);
  if (hosts.size === 1 && others.length === 0) return;
  const why =
    hosts.size > 1 ? 'its running VMs are on several hosts' : `${others.join(', ')} cannot be copied by a job`;
  throw new ProvisiondError('OPERATION_INVALID', `one moment over all VMs of the appliance is not to be had: ${why}`);
}

/** All names and the space for all, on each host, before the first is touched. @throws CONFLICT, HOST_DISK_FULL */
async function checkRoom(job: CaptureJob, instances: readonly PlannedInstance[]): Promise<void> {
  for (const hostId of new Set(instances.map((one) => one.hostId))) {
    const here = instances.filter((one) => one.hostId === hostId);
    const { host } = job.members.find(({ computer }) => computer.id === here[0]!.computerId)!.vm;
    const copies = here.flatMap((one) => one.copies);
    const folder = path.posix.dirname(copies[0]!.file.path);
    const triples = copies.flatMap(({ source, file }) => [source.path, source.format, file.path]);
    const result = await host.run(script(CHECK_FLAT_COPIES, folder, ...triples), { expect: 'any' });
    if (result.exitCode === 0) continue;
    const doing = `capturing ${here.map(({ shortName }) => shortName).join(', ')}`;
    if (result.exitCode !== IN_THE_WAY) throw explain(host.name, { doing, folder, failure: 'IMAGE_UNTRUSTED' }, result);
    const file = /^@@taken (.*)$/m.exec(result.stdout)?.[1] ?? 'one of the files';
    throw new ProvisiondError('CONFLICT', `${doing}: ${file} exists on host ${host.name}`, { blame: 'host' });
  }
}
