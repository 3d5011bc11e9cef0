/**
 * `clone`: a VM that was loaded gets the disks of a base instead of its own. All that it is known by (name, UUID, MACs, addresses)
 * stays; its old disks are put aside, and `undo` brings them back.
 */
import { z } from 'zod';
import { ProvisiondError } from '../../errors';
import type { VmBase } from '../../model/vm-base';
import { requireDomain, type VmJob, vmKind } from '../kind';
import { checkStep } from '../power/steps';
import * as change from '../volumes/change';
import { planStep } from '../volumes/plan-step';
import { type Present, presentOf, refuseSnapshots } from '../volumes/present';
import { STOPPING } from '../volumes/restore';
import { holdStep, requireBase } from './bases';
import { planOntoBase } from './onto-base';
import { requireSibling } from './sibling';

export const BASE_NAME = z.string().min(1).max(255);
const { timeoutSeconds, hard } = STOPPING;
const CLONE = z.strictObject({
  base: BASE_NAME.optional(),
  /** Another clone, that is off: its base, and a copy of what it has. */
  like: BASE_NAME.optional(),
  timeoutSeconds,
  hard,
  dryRun: z.boolean().default(false),
});
type Clone = z.output<typeof CLONE>;

export const clone = vmKind<Clone>({
  name: 'clone',
  about: 'give a VM the disks of a base: a fresh system, and a copy of its data; or those of another clone',
  arguments: CLONE,
  example: { base: 'vm1', like: 'vm2', timeoutSeconds: 120, hard: false, dryRun: false },
  steps: [
    checkStep('clone', () => 'clone', refuseUnfit),
    holdStep(baseOf),
    planStep(async (job) => {
      const { like } = job.arguments;
      const sibling = like === undefined ? null : await requireSibling(job, like);
      const base = sibling?.base ?? (await baseOf(job));
      return planOntoBase(job, await presentOf(job), base, { data: 'copy', ...(sibling && { like: sibling.files }) });
    }),
    ...change.CHANGE_STEPS,
  ],
});

async function baseOf(job: VmJob<Clone>): Promise<VmBase> {
  const { base, like } = job.arguments;
  return like === undefined ? requireBase(job, base!) : (await requireSibling(job, like)).base;
}

async function refuseUnfit(job: VmJob<Clone>): Promise<void> {
  const { base: named, like } = job.arguments;
  if ((named === undefined) === (like === undefined)) {
    const message = `clone of ${job.computer.shortName}: either a base, or a clone that it is to be like`;
    throw new ProvisiondError('OPERATION_INVALID', message);
  }
  const base = await baseOf(job);
  refuseSnapshots(job, await requireDomain(job));
  refuseOwnData(job, await presentOf(job), base);
}

/** Nobody's data is put aside by making a clone of his VM. */
function refuseOwnData({ computer }: VmJob, { volumes, system }: Present, base: VmBase): void {
  const data = volumes.filter(({ type }) => type === 'data');
  const slot = base.outline.find(({ type }) => type === 'system');
  const why =
    data.length > 0
      ? `it has data volumes of its own: ${data.map(({ name }) => name).join(', ')}`
      : slot?.target !== system.target
        ? `its system is at ${system.target}, and that of the base at ${slot?.target ?? 'no target'}`
        : null;
  if (why === null) return;
  throw new ProvisiondError('CONFLICT', `${computer.shortName} cannot become a clone of ${base.shortName}: ${why}`, {
    blame: 'request',
  });
}
