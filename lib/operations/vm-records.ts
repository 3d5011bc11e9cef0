/**
 * What is known of VMs: one place that turns a look at a host into the row of the VM, the list of allowed operations and
 * the history. Only what changed is written.
 */
import type { VmSight } from '../libvirt/vm-sight';
import { powerOf } from '../libvirt/vm-sight';
import type { Log } from '../log';
import { ALL_FEATURES, allowedOperations, type UnderWay } from '../model/vm-rules';
import { type ExitReason, type PowerSight, type PowerState } from '../model/vm-states';
import type { OperationStore, VmComputer, VmRecord, VmWrite } from '../store/operation-store';
import type { Lease } from '../store/store';

/** `silent`: the host could not be asked; null: it answers and has no domain of the computer. */
export type Seen = VmSight | null | 'silent';

export interface Circumstances {
  readonly underWay?: readonly UnderWay[];
  /** How it came to be off lately, as libvirt told when it happened. */
  readonly exit?: ExitReason | undefined;
  /** It was started anew, whatever the states say. */
  readonly started?: boolean | undefined;
  /** Somebody who knows said that it is off. */
  readonly reset?: boolean;
  /** Its saved memory could not be loaded. */
  readonly resumeFailed?: boolean;
  readonly operationId?: number;
}

const RESET = 'its power state was reset';
const RESUME_FAILED = 'resume failed';

export class VmRecords {
  constructor(
    private readonly store: Pick<OperationStore, 'writeVm'>,
    private readonly log: Log,
  ) {}

  /** @returns the row as it is now; null where nothing is known @throws LEASE_LOST, DATABASE_UNAVAILABLE */
  async record(lease: Lease, computer: VmComputer, seen: Seen, more: Circumstances = {}): Promise<VmWrite | null> {
    const next = describe(computer, seen, more);
    if (next === null || isSame(computer.known, next)) return next;
    const text = change(computer.known, next);
    const line = text === null ? undefined : { operationId: more.operationId ?? null, text };
    await this.store.writeVm(lease, computer.id, next, line);
    if (text !== null) this.log.info(`${computer.shortName}: ${text}`);
    return next;
  }
}

function describe(computer: VmComputer, seen: Seen, more: Circumstances): VmWrite | null {
  const { known, host } = computer;
  const hostComputerId = host?.computerId ?? null;
  if (more.reset)
    return { ...unknown(computer, more), hostComputerId, powerState: 'Halted', reason: RESET, up: 'gone' };
  if (seen === 'silent') {
    // A host that says nothing changes nothing but what can be believed.
    if (known === null || known.reason === RESET) return null;
    return { ...known, ...unknown(computer, more), reason: 'its host does not answer' };
  }
  if (seen === null) {
    if (known === null) return null;
    return { ...known, ...unknown(computer, more), reason: 'its host has no domain of it', domain: null, uuid: null };
  }
  return ofSight(computer, seen, more);
}

function unknown(computer: VmComputer, more: Circumstances) {
  const { known } = computer;
  const was = known && known.powerState !== 'Unknown' ? known.powerState : (known?.lastPowerState ?? null);
  return {
    domain: known?.domain ?? null,
    uuid: known?.uuid ?? null,
    powerState: 'Unknown' as PowerState,
    lastPowerState: was,
    fault: null,
    guestSleeping: false,
    lastExit: known?.lastExit ?? null,
    allowed: allowed(computer, null, more),
  };
}

function ofSight(computer: VmComputer, seen: VmSight, more: Circumstances): VmWrite {
  const { known, host } = computer;
  const power = powerOf(seen, known?.powerState);
  const active = isUp(power.state);
  const was = known?.powerState === 'Unknown' ? known.lastPowerState : known?.powerState;
  const started = more.started ?? (was !== undefined && was !== null && !isUp(was) && active);
  const lastExit = (active ? null : power.lastExit) ?? more.exit ?? known?.lastExit ?? null;
  const exited = more.exit !== undefined || (known !== null && !active && was !== power.state && lastExit !== null);
  const failed = power.state === 'Suspended' && (more.resumeFailed || known?.fault === RESUME_FAILED);
  return {
    hostComputerId: host?.computerId ?? null,
    domain: seen.name,
    uuid: seen.uuid,
    powerState: power.state,
    lastPowerState: null,
    reason: power.reason,
    fault: power.fault ?? (failed ? RESUME_FAILED : null),
    guestSleeping: power.guestSleeping,
    lastExit,
    allowed: allowed(computer, { power, features: seen.features }, more),
    ...(active ? started && { up: 'started' as const } : { up: 'gone' as const }),
    ...(exited && { exited }),
  };
}

const isUp = (state: PowerState): boolean => state === 'Running' || state === 'Paused' || state === 'Crashed';

function allowed(
  { blocked, inHand }: VmComputer,
  seen: { power: PowerSight; features: VmSight['features'] } | null,
  { underWay = [] }: Circumstances,
): string[] {
  const busy = inHand && `request ${inHand.requestId} (${inHand.state}) is at work on the computer`;
  const { power, features } = seen ?? { power: null, features: ALL_FEATURES };
  return allowedOperations({ power, features, blocked, underWay, inHand: busy });
}

const COMPARED = [
  ...(['hostComputerId', 'domain', 'uuid', 'powerState', 'lastPowerState', 'reason', 'fault'] as const),
  ...(['guestSleeping', 'lastExit'] as const),
];

function isSame(known: VmRecord | null, next: VmWrite): boolean {
  if (known === null || next.up === 'started') return false;
  if (next.exited) return false;
  return COMPARED.every((key) => known[key] === next[key]) && known.allowed.join() === next.allowed.join();
}

/** For the history; null: only the allowed operations or the like changed. */
function change(known: VmRecord | null, next: VmWrite): string | null {
  const words = (vm: VmRecord | VmWrite) =>
    [vm.powerState, vm.guestSleeping && 'asleep', vm.fault].filter(Boolean).join(', ');
  const [before, after] = [known ? words(known) : 'not known', words(next)];
  return before === after ? null : `${before} → ${after}: ${next.reason}`;
}
