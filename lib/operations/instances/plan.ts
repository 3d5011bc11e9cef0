/** What a capture makes, as data: decided once, before anything is done, and kept in the journal. */
import { ProvisiondError } from '../../errors';
import type { Consistency } from '../../model/instance';
import type { DiskFile, VolumeType } from '../../model/volume';
import type { ApplianceJob, VmJob } from '../kind';

/**
 * `off`: nobody writes to it. Of a guest that is up: `backup`, a job of libvirt that copies all disks as they were at its
 * start; `snapshot`, the same from disks that are written to no more while the guest goes on in others; `pause`, with its
 * processors stopped for as long as the copy takes.
 */
export type CopyMethod = 'off' | 'backup' | 'snapshot' | 'pause';

export interface PlannedCopy {
  readonly volume: string;
  readonly type: VolumeType;
  readonly target: string;
  readonly source: DiskFile;
  /** Where the copy gets its name once it is whole. */
  readonly file: DiskFile;
  readonly virtualSizeBytes: number;
}

export interface PlannedInstance {
  readonly computerId: number;
  readonly shortName: string;
  readonly hostId: number;
  readonly domain: { readonly uuid: string; readonly name: string };
  readonly imageName: string;
  readonly prettyName: string;
  /** What the VM stands on. */
  readonly sourceRevisionId: number;
  readonly method: CopyMethod;
  /** The system volume first. */
  readonly copies: readonly PlannedCopy[];
}

export interface CapturePlan {
  readonly instances: readonly PlannedInstance[];
}

/** What a copy turned out to be. */
export interface Captured {
  readonly consistency: Consistency;
  readonly moment: string;
}

/** What is asked for. */
export interface Capture {
  readonly appliance: string;
  /** Left out: all. */
  readonly vms?: readonly string[] | undefined;
  /** The appliance is made of the new instances from now on. */
  readonly update: boolean;
  readonly requireQuiesce: boolean;
  /** All guests stand still for the moment in which the copies begin. */
  readonly oneMoment: boolean;
  /** VMs that are not captured, whose changes are lost when the appliance is undeployed. */
  readonly acknowledgeDiscard: readonly string[];
  readonly compress: boolean;
  readonly systemOnly: boolean;
  readonly timeoutSeconds?: number | undefined;
  readonly dryRun: boolean;
}

export type CaptureJob = ApplianceJob<Capture>;

export function capturePlanOf({ journal }: Pick<CaptureJob, 'journal'>): CapturePlan {
  if (journal?.capture) return journal.capture;
  throw new ProvisiondError('INTERNAL', 'a capture was begun without a plan');
}

/** @throws INTERNAL when the VM left the appliance meanwhile */
export function memberOf({ members }: CaptureJob, computerId: number): VmJob {
  const member = members.find(({ computer }) => computer.id === computerId);
  if (member) return member;
  throw new ProvisiondError('INTERNAL', `computer ${computerId} is no member of the appliance any more`);
}

export const filesOf = ({ copies }: PlannedInstance): DiskFile[] => copies.map(({ file }) => file);
