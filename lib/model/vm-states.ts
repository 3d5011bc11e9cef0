/**
 * Power states of a VM, and which operation moves it from which to which: one table, read by the checks, by the list of
 * allowed operations and by the documentation. After the Xen API ("VM lifecycle"); where that is silent the table says so.
 */

/** `Unknown`: the host cannot be asked, or has no domain of the computer. */
export const POWER_STATES = ['Halted', 'Paused', 'Running', 'Suspended', 'Crashed', 'Unknown'] as const;
export type PowerState = (typeof POWER_STATES)[number];

/** What the table tells apart. A guest that put itself to sleep (S3) runs, but hears no button. */
export const CONDITIONS = ['Halted', 'Paused', 'Running', 'Suspended', 'Crashed', 'Asleep'] as const;
export type Condition = (typeof CONDITIONS)[number];

/** Where a VM is after an operation; `same`: where it was; `saved`: where the snapshot has it. */
export type Result = Exclude<PowerState, 'Unknown'> | 'same' | 'saved';
/** A result, or E: refused. */
type Cell = Result | 'E';
type Row = Readonly<Record<Condition, Cell>>;

const row = (...[Halted, Paused, Running, Suspended, Crashed, Asleep = 'E']: [Cell, Cell, Cell, Cell, Cell, Cell?]) =>
  ({ Halted, Paused, Running, Suspended, Crashed, Asleep }) satisfies Row;

/* prettier-ignore */
export const POWER_TABLE = {
  //                     Halted       Paused       Running      Suspended    Crashed      Asleep
  start:             row('Running',   'E',         'E',         'E',         'E'),
  'start paused':    row('Paused',    'E',         'E',         'E',         'E'),
  pause:             row('E',         'E',         'Paused',    'E',         'E'),
  unpause:           row('E',         'Running',   'E',         'E',         'E'),
  suspend:           row('E',         'E',         'Suspended', 'E',         'E'),
  resume:            row('E',         'E',         'E',         'Running',   'E'),
  'resume paused':   row('E',         'E',         'E',         'Paused',    'E'),
  clean_shutdown:    row('E',         'E',         'Halted',    'E',         'E'),
  hard_shutdown:     row('E',         'Halted',    'Halted',    'Halted',    'Halted',    'Halted'),
  shutdown:          row('E',         'Halted',    'Halted',    'Halted',    'Halted',    'Halted'),
  clean_reboot:      row('E',         'E',         'Running',   'E',         'E'),
  hard_reboot:       row('E',         'Running',   'Running',   'E',         'Running',   'Running'),
  wake:              row('E',         'E',         'E',         'E',         'E',         'Running'),
  power_state_reset: row('Halted',    'Halted',    'same',      'Halted',    'Halted',    'same'),
  snapshot:          row('same',      'same',      'same',      'same',      'E'),
  checkpoint:        row('E',         'same',      'same',      'same',      'E'),
  revert:            row('saved',     'saved',     'saved',     'saved',     'saved',     'saved'),
  delete_snapshot:   row('same',      'same',      'same',      'same',      'same'),
  restore:           row('same',      'E',         'same',      'E',         'E'),
  'restore discard': row('same',      'E',         'same',      'Halted',    'E'),
  undo:              row('same',      'E',         'same',      'E',         'E'),
  'undo discard':    row('same',      'E',         'same',      'Halted',    'E'),
  add_volume:        row('same',      'E',         'same',      'E',         'E'),
  remove_volume:     row('same',      'E',         'same',      'E',         'E'),
  clear_temporary:   row('same',      'E',         'E',         'E',         'E'),
  compact:           row('same',      'E',         'E',         'E',         'E'),
  prepare_base:      row('Halted',    'E',         'Halted',    'E',         'E'),
  remove_base:       row('same',      'E',         'E',         'E',         'E'),
  clone:             row('same',      'E',         'same',      'E',         'E'),
  flatten:           row('same',      'E',         'same',      'E',         'E'),
  rebase:            row('same',      'E',         'E',         'E',         'E'),
  'rebase stop':     row('same',      'E',         'same',      'E',         'E'),
} as const satisfies Record<string, Row>;

/** A row of the table: the name of a kind of operation, with what of its arguments matters. */
export type Deed = keyof typeof POWER_TABLE;
export const DEEDS = Object.keys(POWER_TABLE) as Deed[];

/** Kinds of operation; some have two rows. */
export type PowerKind = Exclude<Deed, `${string} ${string}`>;
export const POWER_KINDS = DEEDS.filter((deed): deed is PowerKind => !deed.includes(' '));

/** What of the arguments of an operation chooses the row. */
export interface DeedOptions {
  readonly paused?: boolean | undefined;
  readonly discardState?: boolean | undefined;
}

export function deedOf(kind: PowerKind, { paused = false, discardState = false }: DeedOptions = {}): Deed {
  const deed = `${kind}${paused ? ' paused' : ''}${discardState ? ' discard' : ''}`;
  return DEEDS.find((known) => known === deed) ?? kind;
}

/** What a look at a domain tells of its power. */
export interface PowerSight {
  readonly state: Exclude<PowerState, 'Unknown'>;
  /** virsh's words: state and reason, for example `shut off (crashed)`. */
  readonly reason: string;
  /** Why it is paused although nobody asked for it; null: it is well. */
  readonly fault: 'I/O error' | 'watchdog' | 'crashed' | 'post-copy failed' | 'api error' | null;
  /** The guest put itself to sleep (S3). */
  readonly guestSleeping: boolean;
  /** How it came to be off; null while it is active, or when the host has forgotten. */
  readonly lastExit: ExitReason | null;
  /** A job of the hypervisor (save, dump, migration) holds it. */
  readonly jobActive: boolean;
}

export const EXIT_REASONS = [
  'shutdown',
  'destroyed',
  'crashed',
  'failed',
  'saved',
  'migrated',
  'from snapshot',
] as const;
export type ExitReason = (typeof EXIT_REASONS)[number];

export function conditionOf({ state, guestSleeping }: Pick<PowerSight, 'state' | 'guestSleeping'>): Condition {
  return guestSleeping ? 'Asleep' : state;
}

/** What the operation makes of a VM in that condition; null: it is refused. */
export function resultOf(deed: Deed, condition: Condition): Result | null {
  const cell: Cell = POWER_TABLE[deed][condition];
  return cell === 'E' ? null : cell;
}

/** The conditions in which the operation is allowed. */
export function expectedFor(deed: Deed): Condition[] {
  return CONDITIONS.filter((condition) => resultOf(deed, condition) !== null);
}

/** What was asked of libvirt about a domain, in virsh's words. */
export interface DomainWords {
  /** Of `domstate --reason`: `paused` and `user`. */
  readonly state: string;
  readonly reason: string;
  /** Of `dominfo`, not of the reason: that still says "saved" after the saved memory was discarded. */
  readonly hasManagedSave: boolean;
  readonly jobActive: boolean;
}

/** Reasons for which a domain is paused by a job of the hypervisor, for as long as there is one. */
const JOB_REASONS = ['migrating', 'saving', 'dumping', 'snapshot', 'creating snapshot'];
const FAULTS = ['I/O error', 'watchdog', 'crashed', 'post-copy failed', 'api error'] as const;

/** From libvirt's words to ours. @param before what it was until now: a job does not change it */
export function powerSight(words: DomainWords, before: PowerState = 'Running'): PowerSight {
  const { state, reason, hasManagedSave, jobActive } = words;
  const said = reason === '' ? state : `${state} (${reason})`;
  const sight = { reason: said, fault: null, guestSleeping: false, lastExit: null, jobActive };
  switch (state) {
    case 'paused': {
      // libvirt says so of a domain that is just being started, and of no other.
      if (reason === 'starting up') return { ...sight, state: 'Running', jobActive: true };
      if (jobActive && JOB_REASONS.includes(reason))
        return { ...sight, state: before === 'Paused' ? 'Paused' : 'Running' };
      return { ...sight, state: 'Paused', fault: FAULTS.find((fault) => fault === reason) ?? null };
    }
    case 'pmsuspended':
      return { ...sight, state: 'Running', guestSleeping: true };
    case 'crashed':
      return { ...sight, state: 'Crashed' };
    case 'shut off': {
      const lastExit = EXIT_REASONS.find((exit) => exit === reason) ?? null;
      return { ...sight, state: hasManagedSave ? 'Suspended' : 'Halted', lastExit };
    }
    default:
      // running, idle, blocked, in shutdown, and Xen's "no state" of a guest that has nothing to do
      return { ...sight, state: 'Running' };
  }
}
