/**
 * `rebase`: a clone is put onto another base. Its system and temporary volumes begin anew there, its data stays what it is; what it
 * is made of must look the same from both sides. `restore` of a clone is the same, onto the base that it has.
 */
import { z } from 'zod';
import { ProvisiondError } from '../../errors';
import type { VmBase } from '../../model/vm-base';
import type { Deed } from '../../model/vm-states';
import { requireDomain, type VmJob, vmKind } from '../kind';
import { checkStep } from '../power/steps';
import * as change from '../volumes/change';
import { planStep } from '../volumes/plan-step';
import { type Present, presentOf, refuseSnapshots } from '../volumes/present';
import { STOPPING } from '../volumes/restore';
import { baseUnder, holdStep, namedBase, requireBase } from './bases';
import { BASE_NAME } from './clone';
import { planOntoBase, refuseOtherOutline } from './onto-base';

const { timeoutSeconds, hard } = STOPPING;
const REBASE = z.strictObject({
  base: BASE_NAME,
  /** Else only a VM that is off is moved. */
  stop: z.boolean().default(false),
  timeoutSeconds,
  hard,
  dryRun: z.boolean().default(false),
});
type Rebase = z.output<typeof REBASE>;

export const rebase = vmKind<Rebase>({
  name: 'rebase',
  about: 'put a clone onto another base: a fresh system, and the data that it has',
  arguments: REBASE,
  example: { base: 'vm3', stop: true, timeoutSeconds: 120, hard: false, dryRun: false },
  steps: [
    checkStep('rebase', ({ stop }): Deed => (stop ? 'rebase stop' : 'rebase'), refuseUnfit),
    holdStep(namedBase),
    planStep(async (job) => {
      const base = await requireBase(job, job.arguments.base);
      return planOntoBase(job, await presentOf(job), base, { data: 'keep' });
    }),
    ...change.CHANGE_STEPS,
  ],
});

/** The base that the VM stands on. @throws OPERATION_INVALID for a VM that is no clone */
export async function requireOwnBase(job: VmJob, { system, infos }: Present): Promise<VmBase> {
  const base = await baseUnder(job, infos.get(system.path)?.backingFileActualPath ?? null);
  if (base) return base;
  // Whatever the row says: it was loaded anew since.
  await job.store.setCloneOf(job.lease, job.computer.id, null);
  throw new ProvisiondError('OPERATION_INVALID', `${job.computer.shortName} is not a clone: it stands on no base`);
}

async function refuseUnfit(job: VmJob<Rebase>): Promise<void> {
  const { shortName } = job.computer;
  const present = await presentOf(job);
  const own = await requireOwnBase(job, present);
  const base = await requireBase(job, job.arguments.base);
  if (own.computerId === base.computerId) {
    throw new ProvisiondError('CONFLICT', `${shortName} stands on base ${base.shortName} already`, {
      hint: `For a fresh system: provisiond vm restore ${shortName}`,
    });
  }
  refuseSnapshots(job, await requireDomain(job));
  refuseOtherOutline(job, present, base);
}
