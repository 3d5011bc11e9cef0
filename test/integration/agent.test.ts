/**
 * Guests that QEMU's own agent runs in: their file systems are frozen for the moment that a copy begins at, and thaw whatever
 * happens (lib/operations/instances/README.md; 78 and 79 of the rules of a capture). Each freeze and thaw is noted by the guest.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { makeGuest } from '../support/lab';
import { ask, ended, well } from '../support/operate';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';

const ADDRESS = '192.168.121.11';
const CAPTURE = { appliance: 'shop', requireQuiesce: true, timeoutSeconds: 10 };

let site: Site;
let domain: string;

const inGuest = (command: string) => site.inGuest(ADDRESS, command);
const freezes = async () => (await inGuest('cat /run/freezes 2>/dev/null || true')).split('\n').slice(0, -1);
const askAgent = async (command: string): Promise<unknown> => {
  const said = await site.virsh('qemu-agent-command', domain, JSON.stringify({ execute: command }));
  return (JSON.parse(said) as { return: unknown }).return;
};
const agentAnswers = () =>
  askAgent('guest-ping').then(
    () => true,
    () => false,
  );
const isFreezing = async () => (await freezes()).at(-1) === 'freeze';
const unfinished = () => readdirSync(site.datastore).filter((file) => file.includes('.part') || file.includes('shop'));

beforeAll(async () => {
  const imageFile = makeGuest('agent', { GUEST_AGENT: '1' });
  site = await Site.open({ imageFile, computers: [{}], settings: { guestShutdownTimeoutMs: 10_000 } });
  const load = await site.orderReload('vm1');
  await site.waitForRequest(load, null, 120);
  domain = (await site.domains())[0]!;
  await eventually(agentAnswers, 60);
  await site.frontEnd.createAppliance('shop');
  await site.frontEnd.addToAppliance('shop', ['vm1']);
});
afterAll(async () => site.close());

describe('the capture of a guest with an agent', () => {
  it('freezes its file systems for the beginning only: when no copy can be begun they are thawed, and the guest goes on', async () => {
    await inGuest('echo 3 > /run/freeze-seconds');
    const { id } = await ask(site, null, 'capture_instances', CAPTURE);
    await eventually(isFreezing, 60);
    execFileSync('mount', ['--bind', site.datastore, site.datastore]);
    execFileSync('mount', ['-o', 'remount,bind,ro', site.datastore]);
    try {
      expect(await ended(site, { id })).toMatchObject({ state: 'failed', error: { code: 'LIBVIRT_FAILED' } });
    } finally {
      execFileSync('umount', [site.datastore]);
    }
    expect((await freezes()).at(-1)).toBe('thaw');
    expect(await askAgent('guest-fsfreeze-status')).toBe('thawed');
    expect(await inGuest('echo written > /root/note && sync && cat /root/note')).toBe('written\n');
    expect(unfinished()).toEqual([]);
    expect(await site.frontEnd.listInstances()).toEqual([]);
  });

  it('thaws also when the daemon dies while they freeze; its successor makes the instance, and says that its file systems are whole', async () => {
    await inGuest('rm -f /run/freezes; echo 3 > /run/freeze-seconds; echo kept > /root/note; sync');
    const { id } = await ask(site, null, 'capture_instances', CAPTURE);
    await eventually(isFreezing, 60);
    await site.killDaemon();
    await eventually(async () => (await freezes()).at(-1) === 'thaw', 60);
    expect(await askAgent('guest-fsfreeze-status')).toBe('thawed');
    await inGuest('rm -f /run/freeze-seconds');
    await site.startDaemon();
    expect(await ended(site, { id })).toMatchObject({ state: 'done', error: null });
    const [instance] = await site.frontEnd.listInstances();
    expect(instance).toMatchObject({ consistency: 'fs-consistent' });
    await well(site, null, 'deploy_appliance', { appliance: 'shop' });
    await eventually(agentAnswers, 60);
  });

  it('that will not freeze is refused where whole file systems are asked for; else it is copied as after a power cut, and says so', async () => {
    await inGuest('touch /run/freeze-refused');
    const refused = await ask(site, null, 'capture_instances', CAPTURE);
    expect(await ended(site, refused)).toMatchObject({ state: 'failed', error: { code: 'VM_LACKS_FEATURE' } });
    expect(await askAgent('guest-fsfreeze-status')).toBe('thawed');
    const said = await well(site, null, 'capture_instances', { ...CAPTURE, requireQuiesce: false });
    expect(said.result).toMatchObject({ undeployed: ['vm1'] });
    const instances = await site.frontEnd.listInstances();
    expect(instances.map(({ consistency }) => consistency)).toContain('crash-consistent');
    await well(site, null, 'deploy_appliance', { appliance: 'shop' });
    await eventually(agentAnswers, 60);
  });

  it('that asks for whole file systems touches nothing when the agent does not answer', async () => {
    await inGuest('kill $(cat /run/qemu-ga.pid)');
    await eventually(async () => !(await agentAnswers()), 30);
    const before = readdirSync(site.datastore).sort();
    const { id } = await ask(site, null, 'capture_instances', CAPTURE);
    expect(await ended(site, { id })).toMatchObject({ state: 'failed', error: { code: 'VM_LACKS_FEATURE' } });
    expect(readdirSync(site.datastore).sort()).toEqual(before);
    expect((await site.virsh('domstate', domain)).trim()).toBe('running');
  });
});
