/** What a user asks for while the reservation runs: reboot, soft and hard, and the changes of groups (contract 2.6, 7.2). */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { eventually } from '../../support/eventually';
import { FakeClusterSite } from '../../support/fake-cluster-site';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

wherever('a running reservation', () => {
  let site: FakeClusterSite;
  beforeEach(async () => {
    site = await FakeClusterSite.open();
    await site.startNode();
  });
  afterEach(() => site.close());

  it('comes up, is acknowledged, and is in use when its user connects', async () => {
    await site.inuse();
    expect(await site.computerState('vm1')).toBe('inuse');
    expect(site.domainOf('vm1')).toMatchObject({ state: 'running', boots: 1 });
  });

  it('is rebooted by its own means on a soft reboot, and goes on in use', async () => {
    const { requestId } = await site.inuse();
    await site.write(requestId, 'rebootsoft');
    await site.waitFor(requestId, 'inuse/rebootsoft');
    expect(site.domainOf('vm1')).toMatchObject({ state: 'running', boots: 2 });
    expect(await site.computerState('vm1')).toBe('inuse');
  });

  it('is reset through its power when it does not obey the soft reboot', async () => {
    const { requestId } = await site.inuse();
    site.host.makeDeaf();
    await site.write(requestId, 'rebootsoft');
    await site.waitFor(requestId, 'inuse/rebootsoft', 40);
    expect(site.domainOf('vm1')).toMatchObject({ state: 'running', boots: 2 });
  });

  it('has its power reset on a hard reboot', async () => {
    const { requestId } = await site.inuse();
    await site.write(requestId, 'reboothard');
    await site.waitFor(requestId, 'inuse/reboothard');
    expect(site.domainOf('vm1')).toMatchObject({ state: 'running', boots: 2 });
  });

  it('stays with its user when the reboot fails, for he may still save his work', async () => {
    const { requestId } = await site.inuse();
    site.host.fail('virsh start', { message: 'error: Cannot allocate memory' });
    await site.write(requestId, 'reboothard');
    await site.waitFor(requestId, 'inuse/reboothard');
    expect(await site.computerState('vm1')).toBe('inuse');
  });

  it('is deleted in the middle of a reboot without waiting for its end', async () => {
    const { requestId } = await site.inuse();
    await site.write(requestId, 'reboothard');
    site.guests.behave('vm1', { reaches: 'nothing' });
    await site.waitFor(requestId, 'pending/reboothard');
    await site.write(requestId, 'deleted');
    await eventually(async () => (await site.state(requestId)) !== 'pending/reboothard', 3);
    await site.waitFor(requestId, null, 30);
  });
});
