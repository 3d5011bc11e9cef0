/**
 * What the steps of a capture do and ask (lib/states/capture-steps.ts), for one reservation's computer. VCL: `capture` of
 * its libvirt module.
 *
 * Why a crash between any two steps is harmless: the disk itself says how far a capture is. Its state before all is kept in
 * it under a name (BEFORE_CAPTURE), so is that it is ready to be copied, by which load; and the copy has its name only when
 * it is whole, with the load's mark beside it.
 */
import { script } from '../host/host';
import { BEFORE_CAPTURE, GIVE_DISK_BACK, KEEP_DISK, preparedBy } from '../images/capture-scripts';
import { CaptureCopy } from './capture-copy';
import { CaptureSight } from './capture-sight';
import type { CapturedMachine } from './capture-source';
import { DOMAIN_STATE } from './domain-state';
import type { HostedComputer } from './hosted-computer';
import { startDomain, stopDomain } from './power';
import { virshError } from './virsh';

const PRESS_POWER_BUTTON = `
set -u
fence
exec virsh -q shutdown "$1"
`;

/** `$1` UUID. Changes nothing. */
const SAY_STATE = `
set -u
${DOMAIN_STATE}
domain_state "$1"
`;
/** States of a guest that does not go down any further by itself. */
const DOWN = ['shut off', 'crashed'] as const;
type Down = (typeof DOWN)[number];

/** How often a guest that goes down is looked at. */
const LOOK_MS = 500;

export class DomainCapture {
  /** The files of the new image. */
  readonly image: CaptureCopy;
  private readonly sight: CaptureSight;

  constructor(private readonly computer: HostedComputer) {
    this.sight = new CaptureSight(computer);
    this.image = new CaptureCopy(this.sight);
  }

  /** The base name of the new files. */
  get imageName(): string {
    return this.sight.imageName;
  }

  /** @throws DOMAIN_NOT_FOUND, CONFLICT */
  machine(): Promise<CapturedMachine> {
    return this.sight.machine();
  }

  // ------------------------------------------------------------------------------------------------------ the guest

  /** Off, with nothing saved that is not on its disk. */
  async isAtRest(): Promise<boolean> {
    const { domain } = await this.machine();
    return domain.state === 'shut off' && !domain.hasManagedSave;
  }

  /** Starts it, wakes it, or brings back what was saved. */
  async start(): Promise<void> {
    const { domain } = await this.machine();
    await startDomain(this.computer, domain);
  }

  async stop(): Promise<void> {
    const { domain } = await this.machine();
    await stopDomain(this.computer, domain);
    this.computer.view.forget();
  }

  /** For a guest that cannot be asked otherwise. */
  async pressPowerButton(): Promise<void> {
    const { domain } = await this.machine();
    const doing = `shutting down domain ${domain.name} on host ${this.computer.host.name}`;
    const result = await this.computer.runScript(PRESS_POWER_BUTTON, [domain.uuid], doing);
    if (result.exitCode !== 0) throw virshError('LIBVIRT_FAILED', doing, result);
  }

  /** @param pause between two looks @returns how it went down; null: it did not in time */
  async waitUntilDown(timeoutMs: number, pause: (milliseconds: number) => Promise<void>): Promise<Down | null> {
    const { domain } = await this.machine();
    const deadline = performance.now() + timeoutMs;
    try {
      for (;;) {
        const result = await this.computer.run(script(SAY_STATE, domain.uuid), { expect: 'any' });
        const down = DOWN.find((state) => state === result.stdout.trim());
        if (result.exitCode === 0 && down !== undefined) return down;
        if (performance.now() >= deadline) return null;
        await pause(LOOK_MS);
      }
    } finally {
      this.computer.view.forget();
    }
  }

  // ------------------------------------------------------------------------------------------------------- the disk

  /** Only qcow2 can hold the state before the capture. */
  async canKeepDisk(): Promise<boolean> {
    return (await this.machine()).disk.format === 'qcow2';
  }

  async hasKeptDisk(): Promise<boolean> {
    return (await this.sight.look()).disk?.snapshots.includes(BEFORE_CAPTURE) ?? false;
  }

  async keepDisk(): Promise<void> {
    await this.nameState(BEFORE_CAPTURE);
  }

  /** The guest was prepared by this very load and has been off since. */
  async isPrepared(): Promise<boolean> {
    if (await this.image.exists()) return true;
    const noted =
      (await this.sight.look()).disk?.snapshots.includes(preparedBy(this.computer.identity.loadId)) ?? false;
    return noted && (await this.isAtRest());
  }

  async notePrepared(): Promise<void> {
    if (await this.canKeepDisk()) await this.nameState(preparedBy(this.computer.identity.loadId));
  }

  /** The state before the capture again; the machine is off then. Nothing kept: nothing is done. */
  async giveDiskBack(): Promise<void> {
    const { disk } = await this.sight.look();
    if (!disk?.snapshots.includes(BEFORE_CAPTURE)) return;
    if (!(await this.isAtRest())) await this.stop();
    const machine = await this.machine();
    const names = disk.snapshots.filter((name) => name.startsWith(preparedBy('')));
    await this.sight.change(
      GIVE_DISK_BACK,
      [machine.disk.path, machine.disk.format, BEFORE_CAPTURE, ...names],
      `giving back ${machine.disk.path}`,
    );
  }

  private async nameState(name: string): Promise<void> {
    const { disk } = await this.machine();
    await this.sight.change(KEEP_DISK, [disk.path, disk.format, name], `keeping the state of ${disk.path}`);
  }
}
