/**
 * Where virsh is too obliging (`start` of a suspended VM resumes it, `resume` wakes a panicked one, `suspend` of that says
 * that all went well): a VM that changes between the checks and the deed is left as it is by then.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Condition, PowerKind } from '../../../lib/model/vm-states';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { HeldFence } from '../../support/operation-pairs';
import { VmWorld } from '../../support/vm-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

type Row = readonly [kind: PowerKind, from: Condition, meanwhile: Condition, more?: object];
const ALL: readonly Row[] = [
  ['start', 'Halted', 'Suspended'],
  ['start', 'Halted', 'Suspended', { paused: true }],
  ['pause', 'Running', 'Crashed'],
  ['unpause', 'Paused', 'Crashed'],
  ['suspend', 'Running', 'Paused'],
  ['suspend', 'Running', 'Crashed'],
  ['resume', 'Suspended', 'Halted'],
  ['clean_shutdown', 'Running', 'Paused'],
  ['clean_reboot', 'Running', 'Asleep'],
  ['wake', 'Asleep', 'Paused'],
];
/** All of them with `npm run test:life`. */
const ROWS =
  process.env.PROVISIOND_LIFE === 'long' ? ALL : ALL.filter(([kind]) => kind === 'start' || kind === 'unpause');

wherever('a VM that somebody changes between the checks of an operation and its deed', () => {
  let world: VmWorld;
  const computerOf = (row: Row) => `vm${ROWS.indexOf(row) + 1}`;

  beforeAll(async () => {
    world = await VmWorld.open(ROWS.map(computerOf));
    await world.startInbox();
  });
  afterAll(async () => world.close());

  it.each(ROWS.map((row) => [...row.slice(0, 3), row] as const))(
    '%s of one that was %s and is %s by then is refused, and leaves it so',
    async (...titled) => {
      const [kind, from, meanwhile, more = {}] = titled[3] as Row;
      const computer = computerOf(titled[3] as Row);
      await world.bring(computer, from);
      const held = await HeldFence.of(world.host.path('vms', `.${computer}.load`));
      try {
        const asked = await world.ask(kind, more, computer);
        const isAtIt = async () => !/^check|^$/.test((await world.site.frontEnd.showOperation(asked.id)).step ?? '');
        while (!(await isAtIt())) await new Promise((resolve) => setTimeout(resolve, 20));
        // It has looked for the last time by then, and waits to act.
        await new Promise((resolve) => setTimeout(resolve, 1500));
        await world.bring(computer, meanwhile);
        await held.release();
        const { state, error } = await world.ended(asked);
        expect({ state, code: error?.code }).toEqual({ state: 'failed', code: 'VM_BAD_POWER_STATE' });
        expect(world.condition(computer)).toBe(meanwhile);
      } finally {
        await held.release();
      }
    },
  );
});
