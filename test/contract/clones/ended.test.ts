/** A clone is as volatile as the reservation that has its computer: at its end nothing of it is left. On a fake world. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { emptyTrash } from '../../../lib/work/trash-keeper';
import { CloneWorld } from '../../support/clone-world';
import { untilRequest } from '../../support/eventually';
import { FakeDaemon } from '../../support/fake-daemon';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const DONE = { state: 'done', error: null };

let world: CloneWorld;
let daemon: FakeDaemon | undefined;
afterEach(async () => {
  await daemon?.stop();
  await world.close();
});

const until = (requestId: number, state: string | null) => untilRequest(world.vms.site, requestId, [state]);

wherever('a clone whose reservation ends', () => {
  it('is gone with its domain, its disks and its place among the clones, whoever takes the end up; then its base can go', async () => {
    world = await CloneWorld.open({ vm1: {}, vm2: { system: 0x11 } });
    const { site } = world.vms;
    expect(await world.do('prepare_base', 'vm2')).toMatchObject(DONE);
    daemon = new FakeDaemon(site);
    const requestId = await site.reserve({ computer: 'vm1' });
    await until(requestId, 'pending/reserved');
    expect(await world.do('clone', 'vm1', { base: 'vm2' })).toMatchObject(DONE);
    const mine = () => world.files('vms').filter((file) => /^vm1[._].*qcow2$/.test(file));
    expect(mine()).toEqual([expect.stringMatching(/\.root-g1\.qcow2$/)]);
    // The daemon dies; its successor finds the end of the reservation.
    await daemon.stop();
    await site.frontEnd.end(requestId);
    daemon = new FakeDaemon(site);
    await until(requestId, null);
    expect([mine(), world.host.domains().filter(({ name }) => name.startsWith('vm1_'))]).toEqual([[], []]);
    // What was put aside for it can come back to nobody: its time is the last that keeps it.
    const { store, hosts } = site.adapters();
    await site.database.change('update provisiond_trash set expires = 1');
    await emptyTrash({ store, hosts }, world.vms.lease, site.log);
    expect(world.files('vms').filter((file) => file.includes('vm1'))).toEqual([]);
    expect(await world.do('remove_base', 'vm2')).toMatchObject(DONE);
    expect(world.files('datastore').filter((file) => file.includes('.base-'))).toEqual([]);
  });
});
