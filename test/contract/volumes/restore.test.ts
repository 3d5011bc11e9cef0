/** `restore` on VMs of a fake world: real files and headers, a libvirt of files. */
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { VmWorld } from '../../support/vm-world';

const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const LIMIT_MS = 60_000;

let world: VmWorld;
beforeEach(async () => {
  world = await VmWorld.open();
  await world.startInbox();
}, LIMIT_MS);
afterEach(async () => world.close(), LIMIT_MS);

wherever('restore', () => {
  it('of a running VM ends running, on a new system volume', async () => {
    await world.bring('vm1', 'Running');
    const operation = await world.do('restore');
    expect(operation).toMatchObject({ state: 'done', error: null });
    expect(world.condition('vm1')).toBe('Running');
    expect(world.host.files('vms').filter((f) => !f.endsWith('.load'))).toEqual([]);
    console.log(world.host.domain(world.domainOf('vm1'))!.xml, operation.result, execFileSync('true').toString());
  });
  it('dry', async () => {
    await world.bring('vm1', 'Running');
    const operation = await world.do('restore', { dryRun: true });
    console.log(operation);
  });
});
