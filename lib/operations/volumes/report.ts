/** A change as people read it before it is made: what is checked, made, put aside; how long the VM is down; what differs. */
import { ProvisiondError } from '../../errors';
import { editDefinition } from '../../libvirt/definition';
import type { VmJob } from '../kind';
import { disksOf } from './hands';
import { type ChangePlan, editTo, newFiles, oldFiles } from './plan';

/** What stop, define and start take of a host that is not busy, beside what the guest takes to shut down. */
const SWITCH_SECONDS = 2;

export interface ChangeReport {
  readonly dryRun: true;
  readonly checks: readonly string[];
  readonly makes: readonly string[];
  readonly putsAside: readonly string[];
  readonly neededKiB: number;
  readonly freeKiB: number;
  readonly expectedDowntimeSeconds: { readonly least: number; readonly most: number };
  /** Lines of the definition, `-` gone and `+` new. */
  readonly definition: readonly string[];
}

/** @throws HOST_DISK_FULL, and whatever else would stand against the change */
export async function createReadable(job: VmJob, plan: ChangePlan): Promise<ChangeReport> {
  const definition = await disksOf(job).definition(plan.domain);
  const { freeKiB } = await disksOf(job).look([]);
  const neededKiB = newFiles(plan).reduce((sum, { making }) => sum + neededFor(making), 0);
  if (freeKiB < neededKiB) {
    const folder = job.vm.parts.hostFacts.profile.vmPath;
    const message = `folder ${folder} of host ${job.vm.host.name} has ${freeKiB} KiB free, the change needs ${neededKiB}`;
    throw new ProvisiondError('HOST_DISK_FULL', message, { details: { folder, freeKiB, neededKiB } });
  }
  const runs = job.journal?.from === 'Running';
  const { timeoutSeconds = job.config.guestShutdownTimeoutMs / 1000 } = job.arguments as { timeoutSeconds?: number };
  return {
    dryRun: true,
    checks: [
      `${job.computer.shortName} is ${job.journal?.from ?? 'Unknown'}, and nothing else is under way`,
      'it has one system volume and no snapshots',
      ...(plan.image ? [`image ${plan.image.after.imageName} is on host ${job.vm.host.name}, as it was recorded`] : []),
      `${freeKiB} KiB are free, ${neededKiB} are needed`,
    ],
    makes: newFiles(plan).map(({ path, making }) => `${path} (${making.how})`),
    putsAside: oldFiles(plan).map(({ path, to }) => `${path} → ${to}`),
    ...{ neededKiB, freeKiB },
    expectedDowntimeSeconds: runs
      ? { least: SWITCH_SECONDS, most: SWITCH_SECONDS + timeoutSeconds }
      : { least: 0, most: 0 },
    definition: difference(definition.text, editDefinition(definition, editTo(plan, 'after'))),
  };
}

function neededFor(making: ReturnType<typeof newFiles>[number]['making']): number {
  if (making.how === 'move') return 0;
  return making.how === 'copy' || making.how === 'thin' ? Math.ceil((making.size ?? 0) / 1024) : 1024;
}

/** Lines that only one of both has; secrets stay out of it. */
function difference(before: string, after: string): string[] {
  const [old, edited] = [before, after].map((text) => text.split('\n').filter((line) => !/passwd/.test(line)));
  return [
    ...old!.filter((line) => !edited!.includes(line)).map((line) => `-${line}`),
    ...edited!.filter((line) => !old!.includes(line)).map((line) => `+${line}`),
  ];
}
