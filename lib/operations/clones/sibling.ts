/** Another clone that a new one is to be like: what it stands on is the new one's base, and what it holds is copied. */
import { ProvisiondError } from '../../errors';
import { volumesOf } from '../../libvirt/definition';
import { Vm } from '../../libvirt/vm';
import { VmDisks } from '../../libvirt/vm-disks';
import { powerOf } from '../../libvirt/vm-sight';
import { outlineDifferences, outlineOf } from '../../model/outline';
import type { VmBase } from '../../model/vm-base';
import type { DiskFile } from '../../model/volume';
import type { VmJob } from '../kind';
import { baseUnder } from './bases';

export interface Sibling {
  readonly base: VmBase;
  /** Its volumes that are no temporary ones, by target. */
  readonly files: ReadonlyMap<string, DiskFile & { readonly sizeBytes: number }>;
}

/** @throws NOT_FOUND, VM_BAD_POWER_STATE: its disks are read, so it has to be off; OPERATION_INVALID when it is no clone */
export async function requireSibling(job: VmJob, name: string): Promise<Sibling> {
  const { parts } = job.vm;
  const computers = await job.store.vmComputers(job.lease.managementNodeId);
  const computer = computers.find(({ shortName, host }) => {
    return shortName === name && host?.computerId === parts.hostFacts.computerId;
  });
  const vm = computer && new Vm({ ...parts, computer });
  const sight = (await vm?.look(job.signal)) ?? null;
  if (!vm || !sight) throw new ProvisiondError('NOT_FOUND', `there is no VM ${name} on host ${job.vm.host.name}`);
  const { state } = powerOf(sight);
  if (state !== 'Halted') {
    const message = `${job.operation.kind} of ${job.computer.shortName}: ${name}, whose disks are to be read, is ${state}`;
    throw new ProvisiondError('VM_BAD_POWER_STATE', message, { details: { expected: ['Halted'], actual: state } });
  }
  const definition = await new VmDisks(vm).definition(sight);
  const volumes = volumesOf(name, definition);
  const { infos } = await new VmDisks(vm).look(volumes);
  const system = volumes.find(({ type }) => type === 'system');
  const base = await baseUnder(job, (system && infos.get(system.path)?.backingFileActualPath) ?? null);
  if (!base) throw new ProvisiondError('OPERATION_INVALID', `${name} is not a clone: it stands on no base`);
  refuseOtherMake(name, base, outlineDifferences(outlineOf(volumes, definition.disks), base.outline));
  const files = volumes.flatMap(({ type, target, path, format }) => {
    if (type === 'temporary') return [];
    return [[target, { path, format, sizeBytes: infos.get(path)?.virtualSizeBytes ?? 0 }] as const];
  });
  return { base, files: new Map(files) };
}

function refuseOtherMake(name: string, base: VmBase, differences: readonly string[]): void {
  if (differences.length === 0) return;
  const message = `volume outline different: ${name} is not made of what its base ${base.shortName} is: ${differences.join(', ')}`;
  throw new ProvisiondError('CONFLICT', message, { blame: 'request', details: { differences } });
}
