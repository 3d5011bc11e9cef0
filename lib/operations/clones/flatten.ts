/** `flatten`: the disks of a VM become files of their own; it stands on no base and no image any more. Nothing that it sees changes. */
import { z } from 'zod';
import { ProvisiondError } from '../../errors';
import { requireDomain, type VmJob, vmKind } from '../kind';
import { checkStep } from '../power/steps';
import * as change from '../volumes/change';
import { planStep } from '../volumes/plan-step';
import { presentOf, refuseSnapshots } from '../volumes/present';
import { STOPPING } from '../volumes/restore';
import { compareStep, oldAreGone, planCopies, removeOld } from './copies';

const { timeoutSeconds, hard } = STOPPING;
const FLATTEN = z.strictObject({ timeoutSeconds, hard, dryRun: z.boolean().default(false) });
type Flatten = z.output<typeof FLATTEN>;

export const flatten = vmKind<Flatten>({
  name: 'flatten',
  about: 'make its disks files of their own, which stand on no base; it is down while they are copied',
  arguments: FLATTEN,
  example: { timeoutSeconds: 120, hard: false, dryRun: false },
  steps: [
    checkStep('flatten', () => 'flatten', refuseUnfit),
    planStep((job) => planCopies(job, (backing) => backing !== null)),
    change.stopStep,
    change.buildStep,
    change.verifyStep,
    compareStep,
    change.switchStep,
    change.startStep,
    change.proveStep,
    change.recordStep,
    { name: 'remove the old disks', done: oldAreGone, run: removeOld },
  ],
});

async function refuseUnfit(job: VmJob): Promise<void> {
  const { shortName } = job.computer;
  refuseSnapshots(job, await requireDomain(job));
  const { infos } = await presentOf(job);
  if ([...infos.values()].some(({ backingFileActualPath }) => backingFileActualPath !== null)) return;
  throw new ProvisiondError(
    'OPERATION_INVALID',
    `the disks of ${shortName} stand on nothing: there is nothing to flatten`,
  );
}
