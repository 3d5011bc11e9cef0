/** The lists of steps of operations, put to the step harness in a fake world; all of them with `npm run test:life`. */
import path from 'node:path';
import { describe } from '@jest/globals';
import { KINDS } from '../../../lib/operations';
import type { OperationJob } from '../../../lib/operations/kind';
import { VmRecords } from '../../../lib/operations/vm-records';
import type { Step } from '../../../lib/steps/step';
import type { Operation } from '../../../lib/store/operation-store';
import { prepareOperation } from '../../../lib/work/operation-run';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { describeStepList, type StepListRules, type StepWorld } from '../../support/step-harness';
import { beginScene, OPERATION_SCENES, type OperationScene } from '../../support/operation-scenes';
import { VmWorld } from '../../support/vm-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

/** One row in hand: each context is the job that a new process would make of it. */
class OperationWorld implements StepWorld<OperationJob> {
  private constructor(
    private readonly world: VmWorld,
    private readonly row: Operation,
  ) {}

  static async open(scene: OperationScene): Promise<OperationWorld> {
    const world = await VmWorld.open();
    const { id } = await beginScene(world, scene);
    const row = (await world.site.store.claimOperation(world.lease, id))!;
    // What was done before takes seconds; a copy of what came of it does not.
    await world.site.remember();
    return new OperationWorld(world, row);
  }

  again(): Promise<void> {
    return this.world.site.restore();
  }

  async newContext(signal: AbortSignal): Promise<OperationJob> {
    const { site, lease } = this.world;
    const { config, store, hosts } = site.adapters();
    const row = (await store.pollOperations(lease)).find(({ id }) => id === this.row.id)!;
    const alone = { underWay: () => [], allUnderWay: () => [], makeRoom: () => Promise.resolve() };
    const run = { row, lease, log: site.log, signal, ...alone };
    const parts = { config, store, hosts, records: new VmRecords(store, site.log) };
    return prepareOperation(parts, run, KINDS.get(row.kind)!);
  }

  async traces(): Promise<string[]> {
    const { host } = this.world;
    const { snapshots, disks } = host.domain(this.world.domainOf('vm1'))!;
    // Rows have numbers of their own in every world: the first operation is number 1.
    return [
      `vm1 is ${this.world.condition('vm1')}`,
      ...snapshots.map((name) => `snapshot ${name}`),
      ...disks.map((file) => `disk ${path.basename(file)}`),
      ...host
        .files('datastore')
        .flatMap((file) => (file.includes('.base-') && !file.endsWith('.lock') ? [`base ${file}`] : [])),
      ...host
        .files('datastore')
        .flatMap((file) => (UUID.test(file) && !file.endsWith('.lock') ? [`copy ${file.replace(UUID, '')}`] : [])),
      ...(await this.world.site.store.instances()).map((one) => `instance ${one.imageName.replace(UUID, '')}`),
      ...host.files('vms').flatMap((file) => (file.endsWith('.load') ? [] : [`file ${file}`])),
    ];
  }

  close(): Promise<void> {
    return this.world.close();
  }
}

/** Another one in each world. */
const UUID = /-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

const LONG = process.env.PROVISIOND_LIFE === 'long';

/** What they replace is put aside: a VM that comes back is what it was, and runs if it ran. */
const GIVES_BACK = new Set([
  ...['restore', 'undo', 'add_volume', 'remove_volume', 'compact'],
  ...['clone', 'rebase', 'prepare_base'],
]);
const CHANGE: StepListRules = {
  afterFailure: 'what was there before',
  givesBack: true,
  ...(!LONG && { only: ['switch to the new disks', 'put the old disks aside'] }),
};
/** Its saved memory is what its owner gave up: it comes back with its disks, off. */
const DISCARD: StepListRules = { ...CHANGE, besides: ['vm1 is Suspended', 'vm1 is Halted'] };
/** The images stay once they are registered; the VMs come back as they were. */
const CAPTURE: StepListRules = {
  afterFailure: 'what was there before',
  givesBack: true,
  stays: {
    from: 'register the instances',
    lines: ['copy vmwarelinux-TinyLinux2-v0.qcow2', 'instance vmwarelinux-TinyLinux2-v0'],
  },
  ...(!LONG && { only: ['register the instances'] }),
};
/** What they copy they remove in the end; from then on there is nothing to come back to, nor to lose. */
const COPIES: Readonly<Record<string, StepListRules>> = {
  flatten: { afterFailure: 'what was there before', pointOfNoReturn: 'remove the old disks' },
  remove_base: { afterFailure: 'what was there before', pointOfNoReturn: 'remove the base files' },
};

wherever('the steps of an operation', () => {
  const short = OPERATION_SCENES.filter((scene, index) => index < 3 || scene.kind === 'capture_instances');
  for (const scene of LONG ? OPERATION_SCENES : short) {
    const { kind, from, to } = scene;
    const steps = KINDS.get(kind)!.steps as readonly Step<OperationJob>[];
    // What was done to the power of a VM is not taken back; on the way it may be off, or paused. Neither is a core dump.
    const besides = [...[to, 'Halted', 'Paused'].map((condition) => `vm1 is ${condition}`), 'file vm1.core'];
    describeStepList(
      `'${kind}' of a VM that is ${from} ${JSON.stringify(scene.arguments ?? {})}`,
      steps,
      () => OperationWorld.open(scene),
      kind === 'capture_instances'
        ? CAPTURE
        : GIVES_BACK.has(kind)
          ? 'discardState' in (scene.arguments ?? {})
            ? DISCARD
            : CHANGE
          : (COPIES[kind] ?? { afterFailure: 'no more than before', besides }),
    );
  }
});
