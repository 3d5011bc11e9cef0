import { describe, expect, it } from '@jest/globals';
import {
  afterCrash,
  ALL_FEATURES,
  allowedOperations,
  checkOperation,
  encounter,
  type VmFacts,
} from '../../../lib/model/vm-rules';
import {
  CONDITIONS,
  type Condition,
  DEEDS,
  type Deed,
  expectedFor,
  POWER_KINDS,
  type PowerKind,
  powerSight,
  resultOf,
} from '../../../lib/model/vm-states';

/** The table of the Xen API with our decisions, written down a second time: - is refused. */
const TABLE = `
                  | Halted  | Paused  | Running   | Suspended | Crashed | Asleep
start             | Running | -       | -         | -         | -       | -
start paused      | Paused  | -       | -         | -         | -       | -
pause             | -       | -       | Paused    | -         | -       | -
unpause           | -       | Running | -         | -         | -       | -
suspend           | -       | -       | Suspended | -         | -       | -
resume            | -       | -       | -         | Running   | -       | -
resume paused     | -       | -       | -         | Paused    | -       | -
clean_shutdown    | -       | -       | Halted    | -         | -       | -
hard_shutdown     | -       | Halted  | Halted    | Halted    | Halted  | Halted
shutdown          | -       | Halted  | Halted    | Halted    | Halted  | Halted
clean_reboot      | -       | -       | Running   | -         | -       | -
hard_reboot       | -       | Running | Running   | -         | Running | Running
wake              | -       | -       | -         | -         | -       | Running
power_state_reset | Halted  | Halted  | same      | Halted    | Halted  | same
snapshot          | same    | same    | same      | same      | -       | -
checkpoint        | -       | same    | same      | same      | -       | -
revert            | saved   | saved   | saved     | saved     | saved   | saved
delete_snapshot   | same    | same    | same      | same      | same    | -
restore           | same    | -       | same      | -         | -       | -
restore discard   | same    | -       | same      | Halted    | -       | -
undo              | same    | -       | same      | -         | -       | -
undo discard      | same    | -       | same      | Halted    | -       | -
add_volume        | same    | -       | same      | -         | -       | -
remove_volume     | same    | -       | same      | -         | -       | -
clear_temporary   | same    | -       | -         | -         | -       | -
compact           | same    | -       | -         | -         | -       | -
prepare_base      | Halted  | -       | Halted    | -         | -       | -
remove_base       | same    | -       | -         | -         | -       | -
clone             | same    | -       | same      | -         | -       | -
flatten           | same    | -       | same      | -         | -       | -
rebase            | same    | -       | -         | -         | -       | -
rebase stop       | same    | -       | same      | -         | -       | -
`;

const cells = TABLE.trim()
  .split('\n')
  .slice(1)
  .flatMap((line) => {
    const [deed, ...results] = line.split('|').map((cell) => cell.trim());
    return CONDITIONS.map((condition, index) => [deed as Deed, condition, results[index]!] as const);
  });

const facts = (condition: Condition, more: Partial<VmFacts> = {}): VmFacts => ({
  power:
    condition === 'Asleep' ? { state: 'Running', guestSleeping: true } : { state: condition, guestSleeping: false },
  features: ALL_FEATURES,
  blocked: new Map(),
  underWay: [],
  inHand: null,
  ...more,
});
const kindOf = (deed: Deed) => deed.replace(/ (paused|discard|stop)$/, '') as PowerKind;
const running = (kind: string) => ({ underWay: [{ id: 7, kind }] });

describe('the table of states and operations', () => {
  it('has a row for each operation', () => {
    expect(new Set(cells.map(([deed]) => deed))).toEqual(new Set(DEEDS));
  });

  it.each(cells)('%s of a VM that is %s: %s', (deed, condition, result) => {
    expect(resultOf(deed, condition)).toBe(result === '-' ? null : result);
    const verdict = checkOperation(kindOf(deed), deed, facts(condition));
    if (result !== '-') return expect(verdict).toEqual({ allowed: true });
    const details = { expected: expectedFor(deed), actual: condition };
    expect(verdict).toMatchObject({ allowed: false, code: 'VM_BAD_POWER_STATE', details });
  });

  it.each(CONDITIONS)('lists for a VM that is %s exactly the operations that pass', (condition) => {
    const passing = cells.filter(([, where, result]) => where === condition && result !== '-');
    const kinds = new Set(passing.map(([deed]) => kindOf(deed)));
    expect(new Set(allowedOperations(facts(condition)))).toEqual(kinds);
  });

  it('allows nothing but a look when the host cannot be asked', () => {
    expect(allowedOperations({ ...facts('Running'), power: null })).toEqual(['power_state_reset']);
  });
});

describe('the order of the checks', () => {
  const blocked = new Map([['start', 'its disk is being copied by hand']]);

  it('a blocked operation says why, whatever the power state', () => {
    expect(checkOperation('start', 'start', facts('Running', { blocked }))).toMatchObject({
      code: 'OPERATION_BLOCKED',
      details: { reason: 'its disk is being copied by hand' },
    });
    expect(allowedOperations(facts('Halted', { blocked }))).not.toContain('start');
  });

  it('the power state comes before what is under way, that before what the guest cannot', () => {
    const features = { ...ALL_FEATURES, noButton: 'the guest has no ACPI' };
    const code = (condition: Condition, more: Partial<VmFacts>) =>
      (checkOperation('clean_shutdown', 'clean_shutdown', facts(condition, more)) as { code?: string }).code;
    expect(code('Halted', { ...running('pause'), features })).toBe('VM_BAD_POWER_STATE');
    expect(code('Running', { ...running('pause'), features })).toBe('OTHER_OPERATION_IN_PROGRESS');
    expect(code('Running', { inHand: 'request 3 is loading it', features })).toBe('OTHER_OPERATION_IN_PROGRESS');
    expect(code('Running', { features })).toBe('VM_LACKS_FEATURE');
  });
});

describe('two operations on one VM', () => {
  it.each(POWER_KINDS)('%s keeps every softer one from beginning', (under) => {
    for (const kind of POWER_KINDS) {
      const met = encounter(kind, under);
      if (kind === 'hard_shutdown') expect([kind, met === 'refuse']).toEqual([kind, under === 'hard_shutdown']);
      else if (kind === 'hard_reboot') expect([kind, met === 'refuse']).toEqual([kind, under.startsWith('hard_')]);
      else {
        const groups = [
          ['snapshot', 'checkpoint'],
          ['start', 'clear_temporary'],
        ];
        const together = groups.some((group) => [kind, under].every((name) => group.includes(name)));
        expect([kind, met]).toEqual([kind, together ? 'wait' : 'refuse']);
      }
    }
  });

  it('a hard shut-down cancels what it makes pointless, a hard reboot all but a shut-down', () => {
    const softer = ['clean_shutdown', 'clean_reboot', 'hard_reboot', 'shutdown', 'migrate', 'suspend'];
    expect(softer.map((kind) => encounter('hard_shutdown', kind))).toEqual(softer.map(() => 'cancel'));
    expect(softer.map((kind) => encounter('hard_reboot', kind))).toEqual([
      ...['cancel', 'cancel', 'refuse', 'wait', 'cancel', 'cancel'],
    ]);
  });

  it('a clean shut-down may be asked for during a migration only', () => {
    expect(encounter('clean_shutdown', 'migrate')).toBe('wait');
    expect(encounter('pause', 'migrate')).toBe('refuse');
  });
});

describe('what libvirt says, in our words', () => {
  const words = (state: string, reason: string, more: object = {}) =>
    powerSight({ state, reason, hasManagedSave: false, jobActive: false, ...more });

  it.each([
    ['running', 'booted', { state: 'Running' }],
    ['running', 'crashed', { state: 'Running', reason: 'running (crashed)' }],
    ['idle', 'unknown', { state: 'Running' }],
    ['in shutdown', 'user', { state: 'Running' }],
    ['paused', 'user', { state: 'Paused', fault: null }],
    ['paused', 'migrating', { state: 'Paused', fault: null }],
    ['paused', 'starting up', { state: 'Running', jobActive: true }],
    ['paused', 'I/O error', { state: 'Paused', fault: 'I/O error' }],
    ['paused', 'watchdog', { state: 'Paused', fault: 'watchdog' }],
    ['paused', 'crashed', { state: 'Paused', fault: 'crashed' }],
    ['paused', 'post-copy failed', { state: 'Paused', fault: 'post-copy failed' }],
    ['paused', 'api error', { state: 'Paused', fault: 'api error' }],
    ['blocked', '', { state: 'Running', reason: 'blocked' }],
    ['shut off', 'shutdown', { state: 'Halted', lastExit: 'shutdown' }],
    ['shut off', 'failed', { state: 'Halted', lastExit: 'failed' }],
    ['shut off', 'migrated', { state: 'Halted', lastExit: 'migrated' }],
    ['shut off', 'from snapshot', { state: 'Halted', lastExit: 'from snapshot' }],
    ['shut off', 'destroyed', { state: 'Halted', lastExit: 'destroyed' }],
    ['shut off', 'crashed', { state: 'Halted', lastExit: 'crashed' }],
    ['shut off', 'unknown', { state: 'Halted', lastExit: null }],
    ['crashed', 'panicked', { state: 'Crashed' }],
    ['pmsuspended', 'unknown', { state: 'Running', guestSleeping: true }],
  ])('%s (%s)', (state, reason, expected) => {
    expect(words(state, reason)).toMatchObject(expected);
  });

  it('is suspended by its saved memory, not by the reason', () => {
    expect(words('shut off', 'unknown', { hasManagedSave: true }).state).toBe('Suspended');
    expect(words('shut off', 'saved').state).toBe('Halted');
  });

  it('is what it was while a job of the hypervisor holds it', () => {
    for (const reason of ['saving', 'dumping', 'snapshot', 'migrating']) {
      expect(words('paused', reason, { jobActive: true })).toMatchObject({ state: 'Running', jobActive: true });
      expect(words('paused', reason)).toMatchObject({ state: 'Paused', jobActive: false });
    }
    const saving = { state: 'paused', reason: 'saving', hasManagedSave: false, jobActive: true };
    expect(powerSight(saving, 'Paused').state).toBe('Paused');
  });
});

describe('a crash', () => {
  const answer = (kind: PowerKind, coreDump = false) => ({ kind, coreDump });

  it('is left for somebody to look at, unless the policy of the VM says otherwise', () => {
    expect(afterCrash('preserve', 'Crashed', 1000)).toBeNull();
    expect(afterCrash('destroy', 'Crashed', 1000)).toEqual(answer('hard_shutdown'));
    expect(afterCrash('restart', 'Crashed', 1000)).toEqual(answer('hard_reboot'));
    expect(afterCrash('rename-restart', 'Crashed', 1000)).toEqual(answer('hard_reboot'));
    expect(afterCrash('restart', 'Halted', 1000)).toEqual(answer('start'));
  });

  it('leaves the memory of the guest in a file where the policy asks for it, and there is one', () => {
    expect(afterCrash('coredump-destroy', 'Crashed', 1000)).toEqual(answer('hard_shutdown', true));
    expect(afterCrash('coredump-restart', 'Crashed', 1000)).toEqual(answer('hard_reboot', true));
    expect(afterCrash('coredump-restart', 'Crashed', 3)).toEqual(answer('hard_shutdown', true));
    expect(afterCrash('coredump-restart', 'Halted', 1000)).toEqual(answer('start'));
    expect(afterCrash('coredump-destroy', 'Halted', 1000)).toBeNull();
  });

  it('within 120 s of the start is not answered by another start', () => {
    expect(afterCrash('restart', 'Crashed', 119)).toEqual(answer('hard_shutdown'));
    expect(afterCrash('restart', 'Halted', 119)).toBeNull();
    expect(afterCrash('restart', 'Crashed', 120)).toEqual(answer('hard_reboot'));
  });
});
