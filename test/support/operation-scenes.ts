/** From where each kind of operation is tried, and where it leaves the VM: what every test of lists of steps goes through. */
import type { Condition } from '../../lib/model/vm-states';
import type { OperationDetails } from '../../lib/store/vm-front-end';
import type { VmWorld } from './vm-world';

export interface OperationScene {
  readonly kind: string;
  readonly from: Condition;
  readonly to: Condition;
  readonly arguments?: object;
}

/** Kinds that take a snapshot to work on have this one. */
const SNAPSHOT = 's1';
const NEEDS_SNAPSHOT = ['revert', 'delete_snapshot'];
/** What was done before, with which VM. */
const BEFORE: Readonly<Record<string, readonly (readonly [kind: string, computer: string, more?: object])[]>> = {
  undo: [['restore', 'vm1']],
  remove_volume: [['add_volume', 'vm1', { volume: 'home', sizeMiB: 1 }]],
  clear_temporary: [['add_volume', 'vm1', { volume: 'scratch', type: 'temporary', sizeMiB: 1 }]],
  remove_base: [['prepare_base', 'vm1']],
  clone: [['prepare_base', 'vm2']],
  rebase: [
    ['prepare_base', 'vm2'],
    ['prepare_base', 'vm3'],
    ['clone', 'vm1', { base: 'vm3' }],
  ],
  rebase_clones: [
    ['prepare_base', 'vm1'],
    ['prepare_base', 'vm2'],
  ],
};

/** They name an appliance, `shop`, which vm1 is the VM of. */
const OF_APPLIANCES = ['capture_instances', 'deploy_appliance'];

export const OPERATION_SCENES: readonly OperationScene[] = [
  { kind: 'checkpoint', from: 'Suspended', to: 'Suspended', arguments: { name: 'kept' } },
  { kind: 'hard_reboot', from: 'Crashed', to: 'Running' },
  { kind: 'restore', from: 'Running', to: 'Running' },
  { kind: 'restore', from: 'Halted', to: 'Halted' },
  { kind: 'restore', from: 'Suspended', to: 'Halted', arguments: { discardState: true } },
  { kind: 'undo', from: 'Running', to: 'Running' },
  { kind: 'prepare_base', from: 'Running', to: 'Halted' },
  { kind: 'remove_base', from: 'Halted', to: 'Halted' },
  { kind: 'clone', from: 'Running', to: 'Running', arguments: { base: 'vm2' } },
  { kind: 'flatten', from: 'Running', to: 'Running' },
  { kind: 'rebase', from: 'Running', to: 'Running', arguments: { base: 'vm2', stop: true } },
  { kind: 'rebase_clones', from: 'Halted', to: 'Halted', arguments: { base: 'vm2' } },
  { kind: 'add_volume', from: 'Running', to: 'Running', arguments: { volume: 'more', sizeMiB: 1 } },
  { kind: 'remove_volume', from: 'Running', to: 'Running', arguments: { volume: 'home' } },
  { kind: 'compact', from: 'Halted', to: 'Halted' },
  { kind: 'clear_temporary', from: 'Halted', to: 'Halted' },
  { kind: 'capture_instances', from: 'Running', to: 'Halted', arguments: { appliance: 'shop', update: true } },
  { kind: 'deploy_appliance', from: 'Halted', to: 'Running', arguments: { appliance: 'shop' } },
  { kind: 'start', from: 'Halted', to: 'Running' },
  { kind: 'hard_shutdown', from: 'Crashed', to: 'Halted', arguments: { coreDump: true } },
  { kind: 'start', from: 'Halted', to: 'Paused', arguments: { paused: true } },
  { kind: 'pause', from: 'Running', to: 'Paused' },
  { kind: 'unpause', from: 'Paused', to: 'Running' },
  { kind: 'suspend', from: 'Running', to: 'Suspended' },
  { kind: 'resume', from: 'Suspended', to: 'Running' },
  { kind: 'clean_shutdown', from: 'Running', to: 'Halted' },
  { kind: 'hard_shutdown', from: 'Suspended', to: 'Halted' },
  { kind: 'shutdown', from: 'Running', to: 'Halted' },
  { kind: 'clean_reboot', from: 'Running', to: 'Running' },
  { kind: 'wake', from: 'Asleep', to: 'Running' },
  { kind: 'power_state_reset', from: 'Suspended', to: 'Halted' },
  { kind: 'snapshot', from: 'Running', to: 'Running', arguments: { name: 'kept' } },
  { kind: 'revert', from: 'Crashed', to: 'Halted', arguments: { snapshot: SNAPSHOT } },
  { kind: 'delete_snapshot', from: 'Paused', to: 'Paused', arguments: { snapshot: SNAPSHOT } },
];

/** Brings the VM `vm1` of the world to where the scene begins, and asks for the operation. */
export async function beginScene(world: VmWorld, scene: OperationScene): Promise<OperationDetails> {
  if (NEEDS_SNAPSHOT.includes(scene.kind)) await world.virsh('snapshot-create-as', world.domainOf('vm1'), SNAPSHOT);
  const before = BEFORE[scene.kind] ?? [];
  if (before.length > 0) {
    for (const name of new Set(before.map(([, computer]) => computer))) if (name !== 'vm1') await world.add(name);
    const inbox = await world.startInbox();
    for (const [kind, computer, more] of before) await world.do(kind, more, computer);
    await inbox.stop('what is looked at comes now');
  }
  await world.bring('vm1', scene.from);
  if (!OF_APPLIANCES.includes(scene.kind)) return world.ask(scene.kind, scene.arguments ?? {});
  await world.site.frontEnd.createAppliance('shop');
  await world.site.frontEnd.addToAppliance('shop', ['vm1']);
  return world.ask(scene.kind, scene.arguments ?? {}, null);
}
