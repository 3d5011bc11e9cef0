/** The registry: every kind of operation that a row of `provisiond_operation` may ask for. */
import { ProvisiondError } from '../errors';
import type { OperationKind } from './kind';
import { clone } from './clones/clone';
import { flatten } from './clones/flatten';
import { prepare_base } from './clones/prepare';
import { rebase } from './clones/rebase';
import { rebase_clones } from './clones/rebase-clones';
import { remove_base } from './clones/remove';
import { capture_instances } from './instances/capture';
import { delete_image } from './instances/delete-image';
import { deploy_appliance } from './instances/deploy';
import { promote_instance } from './instances/promote';
import { pause, unpause, wake } from './power/pause';
import { clean_reboot, hard_reboot } from './power/reboot';
import { power_state_reset } from './power/reset';
import { clean_shutdown, hard_shutdown, shutdown } from './power/shutdown';
import { resume, start } from './power/start';
import { suspend } from './power/suspend';
import { add_volume, remove_volume } from './volumes/data';
import { compact } from './volumes/compact';
import { restore } from './volumes/restore';
import { clear_temporary } from './volumes/temporary';
import { undo } from './volumes/undo';
import { checkpoint, delete_snapshot, revert, snapshot } from './snapshots';

const ALL: readonly OperationKind[] = [
  ...[start, pause, unpause, suspend, resume],
  ...[clean_shutdown, hard_shutdown, shutdown, clean_reboot, hard_reboot, wake, power_state_reset],
  ...[snapshot, checkpoint, revert, delete_snapshot],
  ...[restore, undo, add_volume, remove_volume, clear_temporary, compact],
  ...[prepare_base, remove_base, clone, flatten, rebase, rebase_clones],
  ...[capture_instances, deploy_appliance, promote_instance, delete_image],
];

export const KINDS: ReadonlyMap<string, OperationKind> = new Map(ALL.map((kind) => [kind.name, kind]));

/** @throws OPERATION_INVALID with the kinds that there are */
export function kindNamed(name: string): OperationKind {
  const kind = KINDS.get(name);
  if (kind) return kind;
  const message = `there is no operation '${name.slice(0, 40)}'; there are ${[...KINDS.keys()].join(', ')}`;
  throw new ProvisiondError('OPERATION_INVALID', message);
}
