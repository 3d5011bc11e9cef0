/**
 * The table of states and operations on real domains of a real libvirt, through rows and the daemon: six VMs, one in each
 * condition, are asked for the same. A few rows of the table here; all of them with `npm run test:life`.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CONDITIONS, type Condition, DEEDS, type Deed, resultOf } from '../../lib/model/vm-states';
import type { OperationDetails } from '../../lib/store/vm-front-end';
import { Site, eventually } from '../support/site';
import { TinyGuests } from '../support/tiny-conditions';

const ALL = process.env.PROVISIOND_LIFE === 'long';
const LIMIT_MS = 120_000;

let site: Site;
let guests: TinyGuests;

const computerOf = (condition: Condition) => `vm${CONDITIONS.indexOf(condition) + 1}`;

beforeAll(async () => {
  site = await Site.open({ computers: CONDITIONS.map(() => ({})), settings: { guestShutdownTimeoutMs: 30_000 } });
  guests = new TinyGuests(site);
}, 60_000);
afterAll(async () => site.close(), 60_000);

async function act(condition: Condition, deed: Deed): Promise<OperationDetails> {
  const more = deed.endsWith(' paused') ? { paused: true } : /revert|delete/.test(deed) ? { snapshot: 's1' } : {};
  const wish = { kind: deed.split(' ')[0]!, computer: computerOf(condition), arguments: more, requestedBy: 'the test' };
  const { id } = await site.frontEnd.addOperation(wish);
  await eventually(async () => (await site.frontEnd.showOperation(id)).ended !== null, 90);
  return site.frontEnd.showOperation(id);
}

describe('six VMs, one in each condition', () => {
  it.each(ALL ? DEEDS : (['suspend', 'checkpoint', 'hard_reboot'] as const))(
    '%s: is done where the table says so, and nothing is where it says no',
    async (deed) => {
      const needsSnapshot = deed === 'revert' || deed === 'delete_snapshot';
      const outcomes = await Promise.all(
        CONDITIONS.map(async (condition) => {
          const computer = computerOf(condition);
          await guests.bring(computer, condition, needsSnapshot);
          const operation = await act(condition, deed);
          return { condition, operation, now: await guests.condition(computer) };
        }),
      );
      for (const { condition, operation, now } of outcomes) {
        const { state, error } = operation;
        const result = resultOf(deed, condition);
        const isHere = deed === 'power_state_reset' && !['Halted', 'Suspended'].includes(condition);
        const code = result === null ? 'VM_BAD_POWER_STATE' : isHere ? 'DOMAIN_EXISTS' : undefined;
        const isKept = code !== undefined || result === 'same';
        // Snapshots that virsh took here were taken of a VM that was off, where it was saved, and awake, where it sleeps.
        const back =
          ({ Suspended: 'Halted', Asleep: 'Running' } as { [C in Condition]?: Condition })[condition] ?? condition;
        const wanted = isKept ? condition : result === 'saved' ? (condition === 'Crashed' ? now : back) : result;
        const was = { condition, state, code: error?.code, message: error?.message, now };
        expect(was).toEqual({ ...was, state: code === undefined ? 'done' : 'failed', code, now: wanted });
      }
    },
    LIMIT_MS,
  );
});
