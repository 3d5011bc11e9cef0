/** Every cell of the table of states and operations, on real domains of a real libvirt, through rows and the daemon. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CONDITIONS, type Condition, DEEDS, type Deed, resultOf } from '../../lib/model/vm-states';
import type { OperationDetails } from '../../lib/store/vm-front-end';
import { Site, eventually } from '../support/site';
import { defineTinyGuest, type Manners } from '../support/tiny-guest';

const BOOT_MS = 1500;

let site: Site;
let domain = '';

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Ends whatever there is of vm1, and defines it anew. */
async function makeVm(manners: Manners): Promise<void> {
  if (domain !== '') {
    await site.virsh('destroy', domain).catch(() => {});
    await site.virsh('undefine', domain, '--managed-save', '--snapshots-metadata').catch(() => {});
  }
  domain = await defineTinyGuest(site, 'vm1', manners);
}

/** Brings it into the condition with virsh, past provisiond. */
async function bring(condition: Condition): Promise<void> {
  await makeVm(({ Crashed: 'panicking', Asleep: 'sleeping' } as Record<string, Manners>)[condition] ?? 'obedient');
  if (condition === 'Halted') return;
  await site.virsh('start', domain);
  if (condition === 'Paused') await site.virsh('suspend', domain);
  if (condition === 'Suspended') await site.virsh('managedsave', domain);
  if (condition === 'Running') await pause(BOOT_MS);
  if (condition !== 'Crashed' && condition !== 'Asleep') return;
  const wanted = condition === 'Crashed' ? 'crashed' : 'pmsuspended';
  await eventually(async () => {
    await site.virsh('shutdown', domain).catch(() => {});
    await pause(200);
    return (await site.virsh('domstate', domain)).trim() === wanted;
  }, 30);
}

async function ended(id: number, seconds = 60): Promise<OperationDetails> {
  await eventually(async () => (await site.frontEnd.showOperation(id)).ended !== null, seconds);
  return site.frontEnd.showOperation(id);
}

async function ask(kind: string, more: object = {}): Promise<OperationDetails> {
  const wish = { kind, computer: 'vm1', arguments: more, requestedBy: 'the test' };
  return ended((await site.frontEnd.addOperation(wish)).id);
}

const state = async () => (await site.virsh('domstate', '--reason', domain)).trim();
const isSaved = async () => /Managed save: +yes/.test(await site.virsh('dominfo', domain));

beforeAll(async () => {
  site = await Site.open({ settings: { guestShutdownTimeoutMs: 20_000 } });
}, 60_000);
afterAll(async () => site.close(), 60_000);

async function argumentsOf(deed: Deed): Promise<object> {
  if (deed.endsWith(' paused')) return { paused: true };
  if (deed !== 'revert' && deed !== 'delete_snapshot') return {};
  return { snapshot: 's1' };
}

const REAL: Record<string, (said: string, saved: boolean) => boolean> = {
  Halted: (said, saved) => said.startsWith('shut off') && !saved,
  Suspended: (said, saved) => said.startsWith('shut off') && saved,
  Running: (said) => said.startsWith('running'),
  Paused: (said) => said.startsWith('paused'),
  Crashed: (said) => said.startsWith('crashed'),
  Asleep: (said) => said.startsWith('pmsuspended'),
};

describe.each(CONDITIONS)('a VM that is %s', (condition) => {
  it.each(DEEDS)(
    '%s',
    async (deed) => {
      await bring(condition);
      if (deed === 'revert' || deed === 'delete_snapshot') {
        if (condition === 'Asleep') return; // qemu takes no snapshots of a guest that sleeps
        await site.virsh('snapshot-create-as', domain, 's1');
      }
      const before = await state();
      const result = resultOf(deed, condition);
      const operation = await ask(deed.split(' ')[0]!, await argumentsOf(deed));
      const [after, saved] = [await state(), await isSaved()];
      if (result === null) {
        expect(operation).toMatchObject({ state: 'failed', error: { code: 'VM_BAD_POWER_STATE' } });
        expect(after).toBe(before);
        return;
      }
      if (deed === 'power_state_reset' && !['Halted', 'Suspended'].includes(condition)) {
        expect(operation).toMatchObject({ state: 'failed', error: { code: 'DOMAIN_EXISTS' } });
        expect(after).toBe(before);
        return;
      }
      expect(operation).toMatchObject({ state: 'done', percent: 100, error: null });
      const wanted = result === 'same' || result === 'saved' ? condition : result;
      expect([after, saved, REAL[wanted]!(after, saved)]).toEqual([after, saved, true]);
    },
    60_000,
  );
});
