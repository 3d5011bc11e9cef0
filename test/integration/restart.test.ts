/** Daemons that stop, die and are replaced in the middle of their work; the lab's host and guests are real. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../support/eventually';
import { Site, type SiteOptions } from '../support/site';

describe('a daemon that is replaced in the middle of its work', () => {
  let site: Site;
  const open = async (options?: SiteOptions) => (site = await Site.open(options));

  afterEach(() => site?.close());

  const defined = async () => (await site.domains()).length > 0;
  const uuidOf = async (name: string) => (await site.virsh('domuuid', name)).trim();

  async function endAndFindNothing(requestId: number): Promise<void> {
    await site.taint('192.168.121.11'); // an untouched machine would be kept for the next
    await site.frontEnd.end(requestId);
    await site.waitForRequest(requestId, null, 60);
    expect(await site.computerState('vm1')).toBe('available');
    expect(await site.leftovers()).toEqual([]);
  }

  it('stops within 10 s of SIGTERM and undoes nothing; the next one goes on with the same domain', async () => {
    await open();
    const requestId = await site.reserve({ computer: 'vm1' });
    await eventually(defined, 60);
    const [name] = await site.domains();
    const uuid = await uuidOf(name!);
    const startedAt = Date.now();
    await site.stopDaemon();
    expect(Date.now() - startedAt).toBeLessThan(10_000);
    expect(await site.requestState(requestId)).toBe('pending/new');
    expect(await site.domains()).toEqual([name]);
    await site.startDaemon();
    await site.waitUntilReady(requestId, 90);
    expect(await uuidOf(name!)).toBe(uuid);
    await endAndFindNothing(requestId);
  });

  it('killed at any moment of a load, it is resumed: ready or failed with a reason, and nothing is left', async () => {
    await open({ settings: { leaseSeconds: 8 } });
    const requestId = await site.reserve({ computer: 'vm1' });
    for (const seconds of [0.7, 1.1, 1.9, 3.1]) {
      await pause((seconds + Math.random()) * 1000);
      await site.killDaemon();
      await site.startDaemon();
      await pause(9000); // the dead one's lease
    }
    await eventually(async () => {
      const state = await site.requestState(requestId);
      return state === 'pending/reserved' || state === 'failed/new';
    }, 120);
    if ((await site.requestState(requestId)) === 'failed/new') {
      expect(await site.failure(requestId)).not.toBe('');
      expect(await site.leftovers()).toEqual([]);
    } else {
      await site.waitUntilReady(requestId, 30);
      expect(await site.domains()).toHaveLength(1);
      await endAndFindNothing(requestId);
    }
  });

  it('a second daemon of the node waits, and takes over what the first was at when it is killed', async () => {
    await open({ settings: { leaseSeconds: 8 } });
    const requestId = await site.reserve({ computer: 'vm1' });
    await eventually(defined, 60);
    const first = site.daemon;
    await site.startDaemon();
    const second = site.daemon;
    // On a busy machine it takes its time; one that has not asked for the lease yet is no standby.
    await eventually(async () => readFileSync(site.logFile, 'utf8').includes('waiting as standby'), 30);
    site.daemon = first;
    await site.killDaemon();
    site.daemon = second;
    await site.waitUntilReady(requestId, 120);
    const log = readFileSync(site.logFile, 'utf8');
    expect(log).toContain('waiting as standby');
    expect(log).toContain('resuming what was interrupted');
    await endAndFindNothing(requestId);
  });

  it('a used reservation goes on through a restart, and is reclaimed when its end comes', async () => {
    await open({ settings: { leaseSeconds: 8 } });
    const requestId = await site.reserve({ computer: 'vm1' });
    await site.waitUntilReady(requestId, 90);
    await site.database('request').where({ id: requestId }).update({ checkuser: 0 });
    await site.database('variable').where({ name: 'initialconnecttimeout' }).update({ value: 1 });
    await site.killDaemon();
    await site.startDaemon();
    await site.frontEnd.connect(requestId, '192.168.122.1');
    await eventually(async () => (await site.computerState('vm1')) === 'inuse', 90);
    await endIn(requestId, 4);
    await eventually(async () => (await site.requestState(requestId)) === 'pending/inuse', 20);
    await endIn(requestId, 1800);
    await site.waitForRequest(requestId, 'inuse/inuse', 20);
    expect(await site.domains()).toHaveLength(1);
    await endIn(requestId, 2);
    await eventually(async () => [null, 'complete/timeout'].includes(await site.requestState(requestId)), 60);
    const log = await site.database('log').where({ requestid: requestId }).first<{ ending: string }>();
    expect(log.ending).toBe('EOR');
    expect(await site.computerState('vm1')).toBe('available');
    expect(await site.leftovers()).toEqual([]);
  });

  async function endIn(requestId: number, seconds: number): Promise<void> {
    const end = site.database.raw("datetime('now', 'localtime', ?)", [`${seconds} seconds`]);
    await site.database('request').where({ id: requestId }).update({ end });
  }
});
