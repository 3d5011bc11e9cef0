/**
 * The table of states and operations on a real Xen host, through rows and the daemon: one VM goes through its conditions. In
 * each it is asked for what virsh would wrongly do there, and for what libvirt's Xen driver has not: snapshots. Guests of Xen do
 * not sleep.
 */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import path from 'node:path';
import { type Condition, DEEDS, type Deed, resultOf } from '../../../lib/model/vm-states';
import type { OperationDetails } from '../../../lib/store/vm-front-end';
import { ask, ended } from '../../support/operate';
import type { Site } from '../../support/site';
import { XenGuest } from '../../support/xen-guest';
import { MINUTE, openXenSite } from '../../support/xen-site';

// Each begins where the one before it ended: none can be tried again by itself.
jest.retryTimes(0);

let site: Site;
let guest: XenGuest;

beforeAll(async () => {
  site = await openXenSite();
  guest = await XenGuest.define(site, 'vm1', 'pv');
}, 5 * MINUTE);
afterAll(() => site?.close(), 2 * MINUTE);

function begin(deed: Deed): Promise<OperationDetails> {
  const [kind, option] = deed.split(' ');
  const options = { paused: { paused: true }, discard: { discardState: true } }[option ?? ''] ?? {};
  const more = /revert|delete/.test(deed) ? { snapshot: 's1' } : options;
  return ask(site, 'vm1', kind!, more);
}

const end = (operation: OperationDetails) => ended(site, operation, 300);

/** Done, and the VM is where the table says. */
async function move(deed: Deed): Promise<void> {
  const from = await guest.condition();
  const { state, error } = await end(await begin(deed));
  const was = { deed, from, state, error: error?.message };
  expect(was).toEqual({ ...was, state: 'done', error: undefined });
  expect({ deed, from, now: await guest.condition() }).toEqual({ deed, from, now: resultOf(deed, from) });
}

/** A move that the guest boots after. */
async function boot(deed: Deed): Promise<void> {
  const before = await guest.boots();
  await move(deed);
  await guest.untilBooted(before + 1);
}

const SNAPSHOTS: readonly Deed[] = ['snapshot', 'checkpoint', 'revert', 'delete_snapshot'];
/** What virsh does there, or says it does, although it makes no sense. */
const PERMITTED_BY_VIRSH: { readonly [C in Condition]?: readonly Deed[] } = {
  Paused: ['pause', 'suspend', 'clean_reboot'],
  Suspended: ['start', 'hard_reboot'],
  Crashed: ['unpause', 'pause', 'suspend'],
};

async function expectRefusals(condition: Condition): Promise<void> {
  expect(await guest.condition()).toBe(condition);
  const all = DEEDS.filter((deed) => resultOf(deed, condition) === null);
  const refused = PERMITTED_BY_VIRSH[condition] ?? all.slice(0, 1);
  const [lacking] = SNAPSHOTS.filter((deed) => resultOf(deed, condition) !== null);
  const codes: Record<string, string | undefined> = {};
  // Together: the power state is looked at before what else is under way.
  for (const deeds of [refused, [lacking!]]) {
    const asked = await Promise.all(deeds.map(begin));
    for (const [index, operation] of asked.entries()) codes[deeds[index]!] = (await end(operation)).error?.code;
  }
  const expected = [...refused.map((deed) => [deed, 'VM_BAD_POWER_STATE']), [lacking!, 'VM_LACKS_FEATURE']];
  expect(codes).toEqual(Object.fromEntries(expected));
  expect(await guest.condition()).toBe(condition);
}

const stages: readonly [string, () => Promise<unknown>][] = [
  ['off: what is not for VMs that are off is refused, and so are snapshots', () => expectRefusals('Halted')],
  ['is started paused', () => move('start paused')],
  ['paused: what is not for paused VMs is refused', () => expectRefusals('Paused')],
  ['runs when its pause ends', () => boot('unpause')],
  ['running: what is not for running VMs is refused', () => expectRefusals('Running')],
  ['is paused and let run', () => move('pause').then(() => move('unpause'))],
  ['its memory is saved', () => move('suspend')],
  ['suspended: virsh would start it; here that is refused', () => expectRefusals('Suspended')],
  ['comes back with its memory, paused or running, and did not boot anew', comesBack],
  ['obeys when it is asked to reboot', () => boot('clean_reboot')],
  ['crashes when its kernel panics, and is kept', () => guest.panic()],
  ['crashed: virsh would wake it; here that is refused', () => expectRefusals('Crashed')],
  ['is rebooted by force after a crash, and its memory is kept', rebootsWithDump],
  ['obeys when it is asked to shut down', () => move('clean_shutdown')],
  ['is started and cut off', () => move('start').then(() => move('hard_shutdown'))],
  ['is started and shut down, by itself or else by force', shutsDown],
];

async function comesBack(): Promise<void> {
  await move('resume paused');
  await move('hard_shutdown');
  await boot('start');
  const boots = await guest.boots();
  await move('suspend');
  await move('resume');
  expect(await guest.boots()).toBe(boots);
}

async function rebootsWithDump(): Promise<void> {
  const boots = await guest.boots();
  const operation = await end(await ask(site, 'vm1', 'hard_reboot', { coreDump: true }));
  const file = path.posix.join(site.vms, 'vm1.core');
  expect(operation).toMatchObject({ state: 'done', error: null, result: { coreDump: file } });
  await guest.untilBooted(boots + 1);
  expect(await site.vmHost.run('stat', '-c', '%a %U', file)).toBe('600 root\n');
  expect(await site.vmHost.run('sh', '-c', 'head -c 4 "$1" | tail -c 3', 'sh', file)).toBe('ELF');
  await site.vmHost.run('rm', file);
}

async function shutsDown(): Promise<void> {
  await boot('start');
  await move('shutdown');
}

describe('a VM on Xen', () => {
  it.each(stages)('%s', (_title, stage) => stage(), 8 * MINUTE);
});
