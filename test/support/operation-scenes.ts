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
/** There must be something that they take back. */
const NEEDS_CHANGE = ['undo'];

export const OPERATION_SCENES: readonly OperationScene[] = [
  { kind: 'checkpoint', from: 'Suspended', to: 'Suspended', arguments: { name: 'kept' } },
  { kind: 'hard_reboot', from: 'Crashed', to: 'Running' },
  { kind: 'restore', from: 'Running', to: 'Running' },
  { kind: 'restore', from: 'Halted', to: 'Halted' },
  { kind: 'restore', from: 'Suspended', to: 'Halted', arguments: { discardState: true } },
  { kind: 'undo', from: 'Running', to: 'Running' },
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
  if (NEEDS_CHANGE.includes(scene.kind)) {
    const inbox = await world.startInbox();
    await world.do('restore');
    await inbox.stop('what is looked at comes now');
  }
  await world.bring('vm1', scene.from);
  return world.ask(scene.kind, scene.arguments ?? {});
}
