/**
 * The table of states and operations on real domains of a real libvirt, through rows and the daemon: six VMs, one in each
 * condition, are asked for the same. A few rows of the table here; all of them with `npm run test:life`.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CONDITIONS, type Condition, DEEDS, type Deed, resultOf } from '../../lib/model/vm-states';
import type { OperationDetails } from '../../lib/store/vm-front-end';
import { Site, eventually } from '../support/site';
import { defineTinyGuest, type Manners } from '../support/tiny-guest';

const ALL = process.env.PROVISIOND_LIFE === 'long';
const BOOT_MS = 2500;
const LIMIT_MS = 120_000;

let site: Site;
const domains = new Map<Condition, string>();

const computerOf = (condition: Condition) => `vm${CONDITIONS.indexOf(condition) + 1}`;
const MANNERS: { readonly [C in Condition]?: Manners } = { Crashed: 'panicking', Asleep: 'sleeping' };

beforeAll(async () => {
  site = await Site.open({ computers: CONDITIONS.map(() => ({})), settings: { guestShutdownTimeoutMs: 30_000 } });
}, 60_000);
afterAll(async () => site.close(), 60_000);

/** Brings a new domain into the condition with virsh, past provisiond. @param withSnapshot taken where qemu can */
async function bring(condition: Condition, withSnapshot: boolean): Promise<string> {
  const old = domains.get(condition);
  if (old !== undefined) {
    await site.virsh('destroy', old).catch(() => {});
    await site.virsh('undefine', old, '--managed-save', '--snapshots-metadata').catch(() => {});
  }
  const domain = await defineTinyGuest(site, computerOf(condition), MANNERS[condition] ?? 'obedient');
  domains.set(condition, domain);
  const takeSnapshot = () => (withSnapshot ? site.virsh('snapshot-create-as', domain, 's1') : null);
  if (condition === 'Halted') {
    await takeSnapshot();
    return domain;
  }
  await site.virsh('start', domain);
  if (condition === 'Paused') await site.virsh('suspend', domain);
  if (condition !== 'Crashed' && condition !== 'Suspended') await takeSnapshot();
  if (condition === 'Suspended') await site.virsh('managedsave', domain);
  if (condition === 'Crashed' || condition === 'Asleep') await press(domain, condition);
  if (condition === 'Running') await new Promise((resolve) => setTimeout(resolve, BOOT_MS));
  if (condition === 'Crashed' || condition === 'Suspended') await takeSnapshot();
  return domain;
}

/** Guests of such manners answer the button in their own way, once they hear it. */
async function press(domain: string, condition: 'Crashed' | 'Asleep'): Promise<void> {
  const wanted = condition === 'Crashed' ? 'crashed' : 'pmsuspended';
  await eventually(async () => {
    await site.virsh('shutdown', domain).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 300));
    return (await site.virsh('domstate', domain)).trim() === wanted;
  }, 60);
}

async function conditionOf(domain: string): Promise<Condition> {
  const state = (await site.virsh('domstate', domain)).trim();
  const isSaved = /Managed save: +yes/.test(await site.virsh('dominfo', domain));
  if (state === 'shut off') return isSaved ? 'Suspended' : 'Halted';
  return (
    ({ running: 'Running', paused: 'Paused', crashed: 'Crashed', pmsuspended: 'Asleep' } as const)[state] ?? 'Running'
  );
}

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
          const domain = await bring(condition, needsSnapshot);
          const operation = await act(condition, deed);
          return { condition, operation, now: await conditionOf(domain) };
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
