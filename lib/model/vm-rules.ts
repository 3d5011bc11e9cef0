/**
 * Which operation may be begun: the checks in their order, and what becomes of one that is under way already.
 * Pure: whoever calls has looked at the host and at the rows. (Xen API, `xapi_vm_lifecycle`.)
 */
import {
  conditionOf,
  DEEDS,
  type Deed,
  expectedFor,
  POWER_KINDS,
  type PowerKind,
  type PowerSight,
  type PowerState,
  resultOf,
} from './vm-states';

/** What a VM cannot, with the reason for people. */
export interface VmFeatures {
  /** Why the guest cannot be asked to shut down or to reboot; null: it can. */
  readonly noButton: string | null;
  /** Why its memory cannot be saved. */
  readonly noSuspend: string | null;
  /** Why there can be no snapshots. */
  readonly noSnapshots: string | null;
}

export const ALL_FEATURES: VmFeatures = { noButton: null, noSuspend: null, noSnapshots: null };

/** An operation that is under way on the same VM. */
export interface UnderWay {
  readonly id: number;
  readonly kind: string;
}

export interface VmFacts {
  /** Null: the host cannot be asked. */
  readonly power: Pick<PowerSight, 'state' | 'guestSleeping'> | null;
  readonly features: VmFeatures;
  /** Operations that somebody blocked, with his reasons. */
  readonly blocked: ReadonlyMap<string, string>;
  readonly underWay: readonly UnderWay[];
  /** What the daemon does with the computer for a reservation at this moment; null: nothing that an operation disturbs. */
  readonly inHand: string | null;
}

export type Verdict =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly code: RefusalCode; readonly why: string; readonly details?: object };

export type RefusalCode =
  'OPERATION_BLOCKED' | 'VM_BAD_POWER_STATE' | 'OTHER_OPERATION_IN_PROGRESS' | 'VM_LACKS_FEATURE';

/** What becomes of an operation that is under way when another one is asked for. */
export type Encounter = 'refuse' | 'cancel' | 'wait';

const CANCELLED_BY_HARD_SHUTDOWN = new Set<string>([
  ...['clean_shutdown', 'clean_reboot', 'hard_reboot', 'shutdown', 'suspend', 'migrate'],
  // Beyond the Xen API: a harder operation is never held up by a softer one, whichever that is.
  ...['start', 'resume', 'pause', 'unpause', 'wake', 'snapshot', 'checkpoint', 'revert', 'delete_snapshot'],
  // They go back to the old disks on their way out.
  ...['restore', 'undo', 'add_volume', 'remove_volume', 'clear_temporary', 'compact'],
  ...['clone', 'rebase', 'rebase_clones', 'flatten', 'prepare_base'],
  ...['capture_instances', 'deploy_appliance'],
]);
const CANCELLED_BY_HARD_REBOOT = new Set<string>(
  [...CANCELLED_BY_HARD_SHUTDOWN].filter((kind) => kind !== 'shutdown' && kind !== 'hard_reboot'),
);
/** Each group may be asked for together; its operations are worked one after another. */
const TOGETHER: readonly (readonly string[])[] = [
  ['snapshot', 'checkpoint'],
  ['start', 'clear_temporary'],
  // What the Xen API calls clone only reads its VM; ours gives a VM other disks.
  ['copy', 'export'],
];

/** What a base may be asked for: others stand on its disks, so it is never started and its disks never change. */
const FOR_BASES: readonly PowerKind[] = ['remove_base', 'hard_shutdown', 'power_state_reset', 'delete_snapshot'];
export const NOT_FOR_BASES: readonly PowerKind[] = POWER_KINDS.filter((kind) => !FOR_BASES.includes(kind));
export const WHY_NOT_FOR_BASES = 'it is a base, and others may stand on its disks; remove_base makes a VM of it again';

/** @param kind what is asked for @param running what is under way */
export function encounter(kind: string, running: string): Encounter {
  if (kind === 'hard_shutdown') {
    if (running === 'hard_shutdown') return 'refuse';
    return CANCELLED_BY_HARD_SHUTDOWN.has(running) ? 'cancel' : 'wait';
  }
  if (kind === 'hard_reboot') {
    if (running === 'hard_shutdown' || running === 'hard_reboot') return 'refuse';
    // What shuts down goes on to its end; the reboot then starts the VM.
    return CANCELLED_BY_HARD_REBOOT.has(running) ? 'cancel' : 'wait';
  }
  if (running === 'migrate' && ['clean_shutdown', 'clean_reboot'].includes(kind)) return 'wait';
  return TOGETHER.some((group) => group.includes(kind) && group.includes(running)) ? 'wait' : 'refuse';
}

const NEEDS: { readonly [K in PowerKind]?: keyof VmFeatures } = {
  clean_shutdown: 'noButton',
  clean_reboot: 'noButton',
  suspend: 'noSuspend',
  checkpoint: 'noSnapshots',
  snapshot: 'noSnapshots',
  revert: 'noSnapshots',
  delete_snapshot: 'noSnapshots',
};

/** The first reason against it, in the order of the Xen API: blocked, power state, other operations, features. */
export function checkOperation(kind: PowerKind, deed: Deed, facts: VmFacts): Verdict {
  const reason = facts.blocked.get(kind);
  if (reason !== undefined) {
    return { allowed: false, code: 'OPERATION_BLOCKED', why: `${kind} is blocked: ${reason}`, details: { reason } };
  }
  return checkPower(deed, facts) ?? checkOthers(kind, facts) ?? checkFeatures(kind, facts) ?? { allowed: true };
}

function checkPower(deed: Deed, { power }: VmFacts): Verdict | null {
  // Asking whether a VM is gone is what one does when nobody answers for it.
  if (power === null && deed === 'power_state_reset') return null;
  if (power !== null && resultOf(deed, conditionOf(power)) !== null) return null;
  const actual = power === null ? 'Unknown' : conditionOf(power);
  const expected = expectedFor(deed);
  const why = `it is ${actual}, and '${deed}' is for VMs that are ${expected.join(' or ')}`;
  return { allowed: false, code: 'VM_BAD_POWER_STATE', why, details: { expected, actual } };
}

function checkOthers(kind: PowerKind, { underWay, inHand }: VmFacts): Verdict | null {
  const code = 'OTHER_OPERATION_IN_PROGRESS';
  const rival = underWay.find((other) => encounter(kind, other.kind) === 'refuse');
  if (rival) {
    const why = `operation ${rival.id} (${rival.kind}) is under way`;
    return { allowed: false, code, why, details: { operation: rival.id, kind: rival.kind } };
  }
  return inHand === null ? null : { allowed: false, code, why: inHand };
}

function checkFeatures(kind: PowerKind, { features }: VmFacts): Verdict | null {
  const need = NEEDS[kind];
  const lack = need === undefined ? null : features[need];
  return lack === null ? null : { allowed: false, code: 'VM_LACKS_FEATURE', why: lack };
}

/** All operations that would be begun now. A hint for front ends: the call checks again. Never throws. */
export function allowedOperations(facts: VmFacts): PowerKind[] {
  return POWER_KINDS.filter((kind) => {
    const deeds = DEEDS.filter((deed) => deed === kind || deed.startsWith(`${kind} `));
    return deeds.some((deed) => checkOperation(kind, deed, facts).allowed);
  });
}

/** A crash so soon after the start turns a restart into a shutdown: no crash loop. */
export const CRASH_LOOP_SECONDS = 120;

/** libvirt's words, which hold for what it cannot do by itself on every hypervisor as well. */
export const CRASH_POLICIES = [
  ...(['preserve', 'restart', 'destroy'] as const),
  ...(['coredump-restart', 'coredump-destroy', 'rename-restart'] as const),
] as const;
/**
 * What becomes of a VM whose guest crashed: left as it is, started anew, or switched off; the latter two also with its
 * memory kept in a file. `rename-restart` is Xen's, and counts as `restart`.
 */
export type CrashPolicy = (typeof CRASH_POLICIES)[number];

export interface CrashAnswer {
  readonly kind: PowerKind;
  /** Keep the memory of the crashed guest first. */
  readonly coreDump: boolean;
}

/**
 * What follows a crash.
 * @param state where the VM is now: a crashed guest is kept (`Crashed`), or its domain is gone (`Halted`)
 * @param secondsUp since its last start; null: not known, so not soon
 * @returns null: nothing
 */
export function afterCrash(policy: CrashPolicy, state: PowerState, secondsUp: number | null): CrashAnswer | null {
  const soon = secondsUp !== null && secondsUp < CRASH_LOOP_SECONDS;
  if (policy === 'preserve' || (state !== 'Crashed' && state !== 'Halted')) return null;
  const coreDump = policy.startsWith('coredump') && state === 'Crashed';
  if (policy.endsWith('destroy') || soon) return state === 'Crashed' ? { kind: 'hard_shutdown', coreDump } : null;
  return { kind: state === 'Crashed' ? 'hard_reboot' : 'start', coreDump };
}
