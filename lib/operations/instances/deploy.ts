/** `deploy_appliance`: the VMs of an appliance that are off are started, on the disks that undeploying left them. */
import { z } from 'zod';
import { ProvisiondError } from '../../errors';
import { isActive, powerOf } from '../../libvirt/vm-sight';
import { conditionOf } from '../../model/vm-states';
import { applianceKind, type ApplianceJob, type ApplianceStep, type Journal, requireDomain, type VmJob } from '../kind';
import { conditionNow, GUARDS, isNow } from '../power/steps';
import { refreshTemporaries } from '../volumes/temporary';
import { APPLIANCE_NAME } from './capture';
import { chooseMembers, requireFit, requireMembers } from './check';

const DEPLOY = z.strictObject({
  appliance: APPLIANCE_NAME,
  vms: z.array(z.string().min(1).max(255)).max(100).optional(),
});
type Deploy = z.output<typeof DEPLOY>;

const KIND = 'deploy_appliance';

const checkStep: ApplianceStep<Deploy> = {
  name: 'check that it is allowed',
  done: (job) => job.journal !== null,
  run: async (job) => {
    requireMembers(job);
    const chosen = chooseMembers(job, job.arguments.vms);
    const members: Record<string, Journal> = {};
    for (const member of chosen) {
      const sight = await requireFit(member, KIND, ['Halted', 'Running', 'Paused']);
      const undeployed = job.appliance.members.find(({ computerId }) => computerId === member.computer.id)?.undeployed;
      const { state, guestSleeping } = powerOf(sight);
      members[member.computer.id] = {
        ...{ from: conditionOf({ state, guestSleeping }), domainId: sight.domainId },
        ...(undeployed && { undeployed }),
      };
      await member.makeRoom();
    }
    await job.keepJournal({ from: 'Halted', domainId: null, members });
  },
};

/** Those that it is about and that were off. */
const toStart = ({ members }: ApplianceJob): VmJob[] => members.filter(({ journal }) => journal?.from === 'Halted');

const startStep: ApplianceStep<Deploy> = {
  name: 'start the VMs',
  done: async (job) => {
    for (const member of toStart(job)) if (!(await isNow('Running')(member))) return false;
    return true;
  },
  run: async (job) => {
    for (const member of toStart(job)) {
      job.signal.throwIfAborted();
      const { sight, condition } = await conditionNow(member);
      if (condition === 'Running') continue;
      await refreshTemporaries(member);
      await member.vm.act('starting', sight, GUARDS.Halted, 'start', sight.uuid).catch(explain);
      member.tell('it runs');
    }
  },
  undo: async (job) => {
    for (const member of toStart(job)) {
      const sight = await requireDomain(member);
      if (isActive(sight)) await member.vm.switchOff(sight);
    }
  },
};

/** @throws DOMAIN_START_FAILED */
function explain(error: unknown): never {
  if (!(error instanceof ProvisiondError) || error.code !== 'LIBVIRT_FAILED') throw error;
  throw new ProvisiondError('DOMAIN_START_FAILED', error.message, { details: error.details });
}

const markStep: ApplianceStep<Deploy> = {
  name: 'note that the VMs are deployed',
  run: async (job) => {
    const named = job.members.filter(({ journal }) => journal !== null);
    for (const { computer } of named) await job.store.setUndeployed(job.lease, computer.id, null);
    job.result.deployed = named.map(({ computer }) => computer.shortName);
  },
  undo: async (job) => {
    for (const { computer, journal } of job.members) {
      if (journal?.undeployed) await job.store.setUndeployed(job.lease, computer.id, journal.undeployed);
    }
  },
};

export const deploy_appliance = applianceKind<Deploy>({
  name: KIND,
  about: 'start the VMs of an appliance that are off, also those that were undeployed',
  arguments: DEPLOY,
  example: { appliance: 'shop', vms: ['vm1'] },
  steps: [checkStep, startStep, markStep],
});
