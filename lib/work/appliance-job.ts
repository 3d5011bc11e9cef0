/** The job of an operation on the VMs of an appliance: a job for each of them, with its own part of the common journal. */
import { ProvisiondError } from '../errors';
import { type Appliance, applianceOf } from '../model/instance';
import { KINDS } from '../operations';
import type { ApplianceJob, Journal, OperationJob, VmJob } from '../operations/kind';
import type { Operation } from '../store/operation-store';
import type { Store } from '../store/store';
import { type OperationRun, prepareVm } from './operation-run';

/** The computers that a row is about which names an appliance. */
export async function membersOf(store: Store, row: Operation): Promise<number[]> {
  if (KINDS.get(row.kind)?.subject !== 'appliance') return [];
  const name = applianceOf(row.arguments);
  const appliance = name === null ? null : await store.appliance(name);
  return appliance?.members.map(({ computerId }) => computerId) ?? [];
}

/** @throws NOT_FOUND for an unknown appliance; CONFLICT for VMs of another management node; COMPUTER_NOT_ASSIGNED */
export async function prepareAppliance(run: OperationRun, job: OperationJob): Promise<ApplianceJob> {
  const { store, lease } = job;
  const { appliance: name } = job.arguments as { readonly appliance: string };
  const appliance = await store.appliance(name);
  if (!appliance) {
    const hint = 'provisiond appliance list shows what there is';
    throw new ProvisiondError('NOT_FOUND', `there is no appliance '${name}'`, { hint });
  }
  const ours = (await store.vmComputers(lease.managementNodeId)).map(({ id }) => id);
  const whole = Object.assign(job, { appliance, members: [] as VmJob[] });
  for (const { computerId, shortName } of appliance.members) {
    if (!ours.includes(computerId)) throw elsewhere(appliance, shortName);
    whole.members.push(await prepareMember(run, whole, computerId));
  }
  return whole;
}

function elsewhere({ name }: Appliance, shortName: string): ProvisiondError {
  const message = `${shortName} of appliance '${name}' has no host, or is another management node's`;
  return new ProvisiondError('CONFLICT', message, {
    blame: 'request',
    hint: 'All VMs of an appliance are worked by one node: put its id into managementnodeid of the row',
  });
}

async function prepareMember(run: OperationRun, whole: ApplianceJob, computerId: number): Promise<VmJob> {
  const { computer, vm } = await prepareVm(whole, run, computerId);
  const { operation, lease, store, config, hosts, log, signal } = whole;
  return {
    ...{ arguments: whole.arguments, lease, store, config, hosts, log, signal, computer, vm },
    get operation() {
      return { ...operation, id: whole.journal?.members?.[computerId]?.operationId ?? operation.id };
    },
    result: {},
    tell: (text) => whole.tell(`${computer.shortName}: ${text}`),
    get journal() {
      return whole.journal?.members?.[computerId] ?? null;
    },
    keepJournal: (own: Journal) =>
      whole.keepJournal({ ...whole.journal!, members: { ...whole.journal?.members, [computerId]: own } }),
    underWay: () => run.underWay(computerId),
    makeRoom: run.makeRoom,
  };
}
