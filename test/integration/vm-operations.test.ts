/**
 * The table of states and operations on real domains of a real libvirt, through rows and the daemon: six VMs, one in each
 * condition, are asked for the same. A few rows of the table here; all of them with `npm run test:life`.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CONDITIONS, type Condition, DEEDS, type Deed, type PowerKind, resultOf } from '../../lib/model/vm-states';
import { KINDS } from '../../lib/operations';
import type { OperationDetails } from '../../lib/store/vm-front-end';
import { LIFE_KINDS, OF_BASES } from '../support/operation-pairs';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';
import { TinyGuests } from '../support/tiny-conditions';

const ALL = process.env.PROVISIOND_LIFE === 'long';

let site: Site;
let guests: TinyGuests;

const computerOf = (condition: Condition) => `vm${CONDITIONS.indexOf(condition) + 1}`;

beforeAll(async () => {
  site = await Site.open({ computers: CONDITIONS.map(() => ({})), settings: { guestShutdownTimeoutMs: 30_000 } });
  guests = new TinyGuests(site);
});
afterAll(async () => site.close());

const kindOf = (deed: Deed) => deed.split(' ')[0] as PowerKind;

function argumentsOf(deed: Deed): object {
  if (deed.endsWith(' paused')) return { paused: true };
  if (deed.endsWith(' discard')) return { discardState: true };
  if (/revert|delete/.test(deed)) return { snapshot: 's1' };
  return LIFE_KINDS.includes(kindOf(deed)) ? {} : (KINDS.get(kindOf(deed))!.example as object);
}

async function act(condition: Condition, deed: Deed): Promise<OperationDetails> {
  const who = { computer: computerOf(condition), requestedBy: 'the test' };
  const wish = { kind: kindOf(deed), arguments: argumentsOf(deed), ...who };
  const { id } = await site.frontEnd.addOperation(wish);
  await eventually(async () => (await site.frontEnd.showOperation(id)).ended !== null, 90);
  return site.frontEnd.showOperation(id);
}

describe('six VMs, one in each condition', () => {
  const ofLife = DEEDS.filter((deed) => LIFE_KINDS.includes(kindOf(deed)));
  it.each(ALL ? ofLife : (['suspend', 'checkpoint', 'hard_reboot'] as const))(
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
  );

  // Where it is done: volumes.test.ts, clones.test.ts and their like, beside this file.
  const ofMaking = DEEDS.filter((deed) => !LIFE_KINDS.includes(kindOf(deed)));
  it.each(ALL ? ofMaking : (['remove_volume'] as const))('%s: nothing is where the table says no', async (deed) => {
    const refused = CONDITIONS.filter((condition) => resultOf(deed, condition) === null);
    await Promise.all(
      refused.map(async (condition) => {
        const computer = computerOf(condition);
        await guests.bring(computer, condition, false);
        const { state, error } = await act(condition, deed);
        const now = await guests.condition(computer);
        const code = OF_BASES.includes(kindOf(deed)) ? error?.code : 'VM_BAD_POWER_STATE';
        const expected = { condition, state: 'failed', code, now: condition };
        expect({ condition, state, code: error?.code, now }).toEqual(expected);
      }),
    );
  });
});
