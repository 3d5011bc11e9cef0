/**
 * The table of states and operations on a real Xen host, through rows and the daemon: one VM goes through its conditions, and
 * in each is asked for all that the table has. What libvirt's Xen driver lacks (snapshots; sleeping guests do not exist) is
 * refused when it is asked for.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Condition, DEEDS, type Deed, resultOf } from '../../lib/model/vm-states';
import type { OperationDetails } from '../../lib/store/vm-front-end';
import { eventually, Site } from '../support/site';
import { PATIENCE, xenVmHost } from '../support/vm-host';
import { XenGuest } from '../support/xen-guest';

const MINUTE = 60_000 * PATIENCE;
let site: Site;
let guest: XenGuest;

beforeAll(async () => {
  site = await Site.open({
    vmHost: xenVmHost,
    computers: [{}],
    settings: { commandTimeoutMs: 5 * MINUTE, sshConnectTimeoutMs: MINUTE, guestShutdownTimeoutMs: 2 * MINUTE },
  });
  guest = await XenGuest.define(site, 'vm1', 'pv');
}, 5 * MINUTE);
afterAll(() => site?.close(), 2 * MINUTE);

async function begin(deed: Deed): Promise<number> {
  const [kind, option] = deed.split(' ');
  const options = { paused: { paused: true }, discard: { discardState: true } }[option ?? ''] ?? {};
  const more = /revert|delete/.test(deed) ? { snapshot: 's1' } : options;
  const wish = { kind: kind!, computer: 'vm1', arguments: more, requestedBy: 'the test' };
  return (await site.frontEnd.addOperation(wish)).id;
}

async function end(id: number): Promise<OperationDetails> {
  await eventually(async () => (await site.frontEnd.showOperation(id)).ended !== null, 300 * PATIENCE);
  return site.frontEnd.showOperation(id);
}

/** Done, and the VM is where the table says. */
async function move(deed: Deed): Promise<void> {
  const from = await guest.condition();
  const { state, error } = await end(await begin(deed));
  const was = { deed, from, state, error: error?.message };
  expect(was).toEqual({ ...was, state: 'done', error: undefined });
  expect({ deed, from, now: await guest.condition() }).toEqual({ deed, from, now: resultOf(deed, from) });
}

const SNAPSHOTS: readonly Deed[] = ['snapshot', 'checkpoint', 'revert', 'delete_snapshot'];

/** All that the table has no result for, and all that Xen has not. */
async function expectRefusals(condition: Condition): Promise<void> {
  expect(await guest.condition()).toBe(condition);
  const refused = DEEDS.filter((deed) => resultOf(deed, condition) === null);
  const lacking = SNAPSHOTS.filter((deed) => resultOf(deed, condition) !== null);
  const ended: Record<string, string | undefined> = {};
  for (const deeds of [refused, ...lacking.map((deed) => [deed])]) {
    const ids = await Promise.all(deeds.map(begin));
    for (const [index, id] of ids.entries()) ended[deeds[index]!] = (await end(id)).error?.code;
  }
  expect(ended).toEqual({
    ...Object.fromEntries(refused.map((deed) => [deed, 'VM_BAD_POWER_STATE'])),
    ...Object.fromEntries(lacking.map((deed) => [deed, 'VM_LACKS_FEATURE'])),
  });
  expect(await guest.condition()).toBe(condition);
}

const stages: readonly [string, () => Promise<unknown>][] = [
  ['off: it can be started, and nothing else', () => expectRefusals('Halted')],
  ['is started paused', () => move('start paused')],
  ['paused: what is not for paused VMs is refused', () => expectRefusals('Paused')],
  ['runs when its pause ends', () => move('unpause').then(() => guest.untilBooted(1))],
  ['running: what is not for running VMs is refused', () => expectRefusals('Running')],
  ['is paused and let run', () => move('pause').then(() => move('unpause'))],
  ['its memory is saved', () => move('suspend')],
  ['suspended: virsh would start it; here that is refused', () => expectRefusals('Suspended')],
  ['comes back with its memory, paused or running, and did not boot anew', comesBack],
  ['obeys when it is asked to reboot', () => move('clean_reboot').then(() => guest.untilBooted(3))],
  ['crashes when its kernel panics, and is kept', () => guest.panic()],
  ['crashed: virsh would wake it; here that is refused', () => expectRefusals('Crashed')],
  ['is rebooted by force after a crash', () => move('hard_reboot').then(() => guest.untilBooted(4))],
  ['obeys when it is asked to shut down', () => move('clean_shutdown')],
  ['is started and cut off', () => move('start').then(() => move('hard_shutdown'))],
];

async function comesBack(): Promise<void> {
  await move('resume paused');
  await move('hard_shutdown');
  await move('start');
  await guest.untilBooted(2);
  await move('suspend');
  await move('resume');
  expect(await guest.boots()).toBe(2);
}

describe('a VM on Xen', () => {
  it.each(stages)('%s', (_title, stage) => stage(), 8 * MINUTE);
});
