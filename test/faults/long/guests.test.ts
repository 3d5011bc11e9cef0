/**
 * Guests that answer late, or shut themselves down in the middle. Those that never boot, panic, or come up without a
 * network or an ssh server are in test/faults/bad-input.test.ts.
 */
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { audit } from '../../support/auditor';
import { round, writeTable } from '../../support/fault-table';
import { makeGuest } from '../../support/lab';
import { eventually } from '../../support/eventually';
import { Site } from '../../support/site';

const ADDRESS = '192.168.121.11';

describe('a guest', () => {
  let site: Site;
  afterEach(async () => {
    await site?.killDaemon();
    await site?.clear();
    await site?.close();
  });
  afterAll(writeTable);

  const clean = async () =>
    expect(await audit({ ...site.config, vms: site.vms, datastore: site.datastore })).toEqual([]);
  const settled = async (requestId: number, seconds: number) => {
    const isSettled = async () => /^(failed|pending\/reserved)/.test((await site.requestState(requestId)) ?? '');
    await eventually(isSettled, seconds);
    return site.requestState(requestId);
  };

  it('that answers late is waited for', async () => {
    await round('guest answers late', 'P8', async () => {
      const imageFile = makeGuest('slow', { GUEST_FAULT: 'slow' });
      site = await Site.open({ imageFile, settings: { guestBootTimeoutMs: 120_000 } });
      const requestId = await site.reserve({ computer: 'vm1' });
      await site.waitForRequest(requestId, 'pending/reserved', 150);
      await site.frontEnd.end(requestId);
      await site.waitForRequest(requestId, null, 60);
      await site.killDaemon();
    });
  });

  it('that shuts itself down in the middle of its load fails it with a reason, or is set up again', async () => {
    await round('guest shuts itself down in the middle of its load', 'P3 P8', async () => {
      site = await Site.open({ settings: { guestBootTimeoutMs: 30_000 } });
      const requestId = await site.reserve({ computer: 'vm1' });
      // As soon as anybody can log in, which is when its stages begin.
      const powerOff = '(sleep 0.2; poweroff) >/dev/null 2>&1 &';
      const obeyed = () =>
        site.inGuest(ADDRESS, powerOff).then(
          () => true,
          () => false,
        );
      await eventually(obeyed, 60);
      const state = await settled(requestId, 120);
      if (state === 'failed/new') expect(await site.failure(requestId)).toMatch(/\(GUEST_|\(OUTCOME_UNKNOWN|\(DOMAIN_/);
      await site.frontEnd.end(requestId).catch(() => {});
      await eventually(async () => [null, 'failed/new'].includes(await site.requestState(requestId)), 60);
      await clean(); // a machine that was made and not used is kept for the next
    });
  });

  it('that shuts itself down while its user is awaited costs him the reservation, with a reason', async () => {
    await round('guest shuts itself down before its user comes', 'P3 P8', async () => {
      site = await Site.open({ settings: { guestBootTimeoutMs: 20_000 } });
      const requestId = await site.reserve({ computer: 'vm1' });
      await site.waitUntilReady(requestId, 90);
      await site.inGuest(ADDRESS, 'poweroff').catch(() => {});
      await eventually(async () => (await site.virsh('list', '--name')).trim() === '', 30);
      await site.frontEnd.connect(requestId, '192.168.122.1');
      await eventually(async () => (await site.requestState(requestId)) === 'failed/reserved', 120);
      expect(await site.failure(requestId)).toMatch(/\(GUEST_/);
      await site.frontEnd.end(requestId).catch(() => {});
      await clean();
    });
  });
});
