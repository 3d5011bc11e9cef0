/** The lists of steps of operations, put to the step harness in a fake world; all of them with `npm run test:life`. */
import path from 'node:path';
import { describe } from '@jest/globals';
import type { Condition } from '../../lib/model/vm-states';
import { KINDS } from '../../lib/operations';
import type { OperationJob } from '../../lib/operations/kind';
import { VmRecords } from '../../lib/operations/vm-records';
import type { Step } from '../../lib/steps/step';
import type { Operation } from '../../lib/store/operation-store';
import { prepareOperation } from '../../lib/work/operation-run';
import { NO_FAKE_GUESTS } from '../support/fake-guest';
import { describeStepList, type StepListRules, type StepWorld } from '../support/step-harness';
import { VmWorld } from '../support/vm-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

/** One row in hand: each context is the job that a new process would make of it. */
class OperationWorld implements StepWorld<OperationJob> {
  private constructor(
    private readonly world: VmWorld,
    private readonly row: Operation,
  ) {}

  static async open(kind: string, condition: Condition, more: object): Promise<OperationWorld> {
    const world = await VmWorld.open();
    if (kind === 'revert' || kind === 'delete_snapshot') {
      await world.virsh('snapshot-create-as', world.domainOf('vm1'), 's1');
    }
    await world.bring('vm1', condition);
    if (kind === 'undo') {
      await world.startInbox();
      await world.do('restore');
      await world.inbox.stop('the rest is for the harness');
    }
    const { id } = await world.ask(kind, more);
    return new OperationWorld(world, (await world.site.store.claimOperation(world.lease, id))!);
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

  traces(): string[] {
    const { snapshots, disks } = this.world.host.domain(this.world.domainOf('vm1'))!;
    // Rows have numbers of their own in every world: the first operation is number 1.
    return [
      `vm1 is ${this.world.condition('vm1')}`,
      ...snapshots.map((name) => `snapshot ${name}`),
      ...disks.map((file) => `disk ${path.basename(file)}`),
      ...this.world.host.files('vms').flatMap((file) => (file.endsWith('.load') ? [] : [`file ${file}`])),
    ];
  }

  close(): Promise<void> {
    return this.world.close();
  }
}

const SCENES: readonly (readonly [kind: string, from: Condition, to: Condition, more?: object])[] = [
  ['checkpoint', 'Suspended', 'Suspended', { name: 'kept' }],
  ['hard_reboot', 'Crashed', 'Running'],
  ['restore', 'Running', 'Running', { hard: true }],
  ...(process.env.PROVISIOND_LIFE === 'long'
    ? ([
        ['restore', 'Halted', 'Halted'],
        ['restore', 'Suspended', 'Halted', { discardState: true }],
        ['undo', 'Running', 'Running', { hard: true }],
        ['undo', 'Halted', 'Halted'],
        ['start', 'Halted', 'Running'],
        ['start', 'Halted', 'Paused', { paused: true }],
        ['pause', 'Running', 'Paused'],
        ['unpause', 'Paused', 'Running'],
        ['suspend', 'Running', 'Suspended'],
        ['resume', 'Suspended', 'Running'],
        ['clean_shutdown', 'Running', 'Halted'],
        ['hard_shutdown', 'Suspended', 'Halted'],
        ['shutdown', 'Running', 'Halted'],
        ['clean_reboot', 'Running', 'Running'],
        ['wake', 'Asleep', 'Running'],
        ['power_state_reset', 'Suspended', 'Halted'],
        ['snapshot', 'Running', 'Running', { name: 'kept' }],
        ['revert', 'Crashed', 'Halted', { snapshot: 's1' }],
        ['delete_snapshot', 'Paused', 'Paused', { snapshot: 's1' }],
      ] as const)
    : []),
];

/** What was replaced was put aside: a VM that comes back is what it was, and runs if it ran. */
const GIVES_BACK = new Set(['restore', 'undo']);
const CHANGE: StepListRules = {
  afterFailure: 'what was there before',
  givesBack: true,
  ...(process.env.PROVISIOND_LIFE !== 'long' && {
    only: ['make the new disks', 'switch to the new disks', 'watch it run', 'put the old disks aside'],
  }),
};

wherever('the steps of an operation', () => {
  for (const [kind, from, to, more = {}] of SCENES) {
    const steps = KINDS.get(kind)!.steps as readonly Step<OperationJob>[];
    // What was done to the power of a VM is not taken back; on the way it may be off, or paused.
    const besides = [to, 'Halted', 'Paused'].map((condition) => `vm1 is ${condition}`);
    describeStepList(
      `'${kind}' of a VM that is ${from} ${JSON.stringify(more)}`,
      steps,
      () => OperationWorld.open(kind, from, more),
      GIVES_BACK.has(kind) ? CHANGE : { afterFailure: 'no more than before', besides },
    );
  }
});
