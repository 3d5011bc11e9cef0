/**
 * `capture_instances`: the machines of a virtual appliance become images, each under its master, all of them or none; then the
 * appliance is undeployed, and with `update` it is made of the new images from then on (Abiquo's instances).
 *
 * Until the images are registered everything is taken back when it fails. From then on who resumes it goes on; a failure gives
 * the VMs their disks back and lets them run, and the images stay.
 */
import { z } from 'zod';
import { ProvisiondError } from '../../errors';
import { powerOf } from '../../libvirt/vm-sight';
import { conditionOf } from '../../model/vm-states';
import { applianceKind, type ApplianceStep, type Journal, requireDomain, type VmJob } from '../kind';
import { STOPPING } from '../volumes/restore';
import {
  chooseMembers,
  isDeployed,
  requireAcknowledged,
  requireFit,
  requireMembers,
  requireReplaceable,
} from './check';
import { copyStep, recordStep } from './copy';
import { decide } from './decide';
import { type Capture, type CaptureJob, type CapturePlan } from './plan';
import { deletePreviousStep } from './previous';
import { ownInstances, registerStep } from './register';
import { planUndeployment, UNDEPLOY_STEPS, undeployed } from './undeploy';

export const APPLIANCE_NAME = z.string().min(1).max(60);
const NAMES = z.array(z.string().min(1).max(255)).max(100);
const CAPTURE = z.strictObject({
  appliance: APPLIANCE_NAME,
  vms: NAMES.optional(),
  update: z.boolean().default(false),
  requireQuiesce: z.boolean().default(false),
  oneMoment: z.boolean().default(false),
  acknowledgeDiscard: NAMES.default([]),
  compress: z.boolean().default(false),
  systemOnly: z.boolean().default(false),
  timeoutSeconds: STOPPING.timeoutSeconds,
  dryRun: z.boolean().default(false),
});

const KIND = 'capture_instances';

const checkStep: ApplianceStep<Capture> = {
  name: 'check that it is allowed',
  done: (job) => job.journal !== null,
  run: async (job) => {
    const { selected, others } = await whomItConcerns(job);
    for (const member of [...selected, ...others]) {
      await requireReplaceable(member, await requireFit(member, KIND));
    }
    requireAcknowledged(job, others, job.arguments.acknowledgeDiscard);
    // Who cannot be made of its image again is told so before anything is done.
    for (const member of job.arguments.update ? others : [...selected, ...others]) await planUndeployment(member, null);
    const members: Record<string, Journal> = {};
    for (const member of [...selected, ...others]) {
      await member.makeRoom();
      const now = await requireDomain(member);
      members[member.computer.id] = { from: conditionOf(powerOf(now)), domainId: now.domainId };
    }
    await job.keepJournal({ from: 'Halted', domainId: null, members });
  },
};

/** @throws CONFLICT for a VM that was selected and is not deployed */
async function whomItConcerns(job: CaptureJob): Promise<{ selected: VmJob[]; others: VmJob[] }> {
  requireMembers(job);
  const selected = chooseMembers(job, job.arguments.vms);
  const others: VmJob[] = [];
  for (const member of job.members) {
    const deployed = isDeployed(job, member) && (await member.vm.look(job.signal)) !== null;
    if (deployed && !selected.includes(member)) others.push(member);
    if (deployed || !selected.includes(member)) continue;
    const { name } = job.appliance;
    throw new ProvisiondError('CONFLICT', `${member.computer.shortName} of appliance '${name}' is not deployed`, {
      blame: 'request',
      hint: `provisiond appliance deploy ${name}, or select others with --vms`,
    });
  }
  return { selected, others };
}

const decideStep: ApplianceStep<Capture> = {
  name: 'decide what is to be done',
  done: (job) => job.journal?.capture !== undefined,
  run: async (job) => {
    const { selected, others } = await whomItConcerns(job);
    const capture = await decide(job, selected);
    if (!job.arguments.dryRun) return job.keepJournal({ ...job.journal!, capture });
    describe(job, capture, others);
    return 'looked' as const;
  },
};

function describe(job: CaptureJob, { instances }: CapturePlan, others: readonly VmJob[]): void {
  Object.assign(job.result, {
    dryRun: true,
    instances: instances.map(({ shortName, imageName, method, copies }) => ({
      ...{ vm: shortName, instance: imageName, method },
      files: copies.map(({ source, file }) => `${source.path} → ${file.path}`),
    })),
    discards: others.map(({ computer }) => computer.shortName),
    undeploys: undeployed(job).map(({ computer }) => computer.shortName),
    repoints: job.arguments.update ? instances.map(({ shortName }) => shortName) : [],
  });
}

const tellStep: ApplianceStep<Capture> = {
  name: 'tell what came of it',
  run: async (job) => {
    const instances = await ownInstances(job);
    Object.assign(job.result, {
      instances: instances.map(({ computer, prettyName, imageName, consistency, moment, files }) => ({
        ...{ vm: computer, instance: prettyName, image: imageName, consistency, moment },
        files: files.map(({ path, sha256 }) => ({ path, sha256 })),
      })),
      undeployed: undeployed(job).map(({ computer }) => computer.shortName),
    });
  },
};

export const capture_instances = applianceKind<Capture>({
  name: KIND,
  about: 'make images of the VMs of an appliance, all or none, and undeploy it',
  arguments: CAPTURE,
  example: {
    appliance: 'shop',
    vms: ['vm1', 'vm2'],
    update: true,
    requireQuiesce: false,
    oneMoment: false,
    acknowledgeDiscard: ['vm3'],
    compress: false,
    systemOnly: false,
    timeoutSeconds: 60,
    dryRun: false,
  },
  steps: [checkStep, decideStep, copyStep, recordStep, registerStep, ...UNDEPLOY_STEPS, deletePreviousStep, tellStep],
});
