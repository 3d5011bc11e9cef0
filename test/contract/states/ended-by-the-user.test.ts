/**
 * A user may end his reservation in whatever state it is (web rows 5): what the front end writes then, and that the daemon
 * makes the computer free of it.
 */
import { describe, expect, it } from '@jest/globals';
import type { StateName } from '../../../lib/model/states';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { FakeClusterSite } from '../../support/fake-cluster-site';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

/** State and last state before, and what the front end makes of them. */
const ROWS: readonly (readonly [before: `${StateName}/${StateName}`, after: `deleted/${StateName}`])[] = [
  ['new/new', 'deleted/reserved'],
  ['pending/new', 'deleted/reserved'],
  ['reserved/new', 'deleted/reserved'],
  ['pending/reserved', 'deleted/reserved'],
  ['inuse/reserved', 'deleted/inuse'],
  ['pending/inuse', 'deleted/inuse'],
  ['inuse/inuse', 'deleted/inuse'],
  ['failed/new', 'deleted/failed'],
  ['timeout/reserved', 'deleted/timeout'],
  ['pending/timeout', 'deleted/timeout'],
  ['complete/inuse', 'deleted/complete'],
  ['maintenance/inuse', 'deleted/maintenance'],
  ['pending/maintenance', 'deleted/maintenance'],
  ['image/inuse', 'deleted/image'],
  ['pending/image', 'deleted/image'],
  ['checkpoint/inuse', 'deleted/checkpoint'],
  ['pending/checkpoint', 'deleted/checkpoint'],
  ['reload/reload', 'deleted/reload'],
  ['rebootsoft/inuse', 'deleted/rebootsoft'],
  ['pending/rebootsoft', 'deleted/rebootsoft'],
  ['reinstall/inuse', 'deleted/reinstall'],
  ['pending/reinstall', 'deleted/reinstall'],
  ['reboothard/inuse', 'deleted/reboothard'],
  ['servermodified/inuse', 'deleted/servermodified'],
  ['pending/servermodified', 'deleted/servermodified'],
  ['reloading/new', 'deleted/reloading'],
];

wherever('a reservation that its user ends', () => {
  it(`is reclaimed out of each of ${ROWS.length} states, and its computer is free`, async () => {
    const site = await FakeClusterSite.open({ computers: ROWS.length });
    try {
      const requestIds: number[] = [];
      for (const [index, [before, after]] of ROWS.entries()) {
        const [state, lastState] = before.split('/') as [StateName, StateName];
        const { requestId } = await site.request({ state, lastState, computers: [`vm${index + 1}`] });
        await site.t.frontEnd.end(requestId);
        expect(`${before} → ${await site.state(requestId)}`).toBe(`${before} → ${after}`);
        requestIds.push(requestId);
      }
      await site.startNode();
      for (const requestId of requestIds) await site.waitFor(requestId, null, 60);
      const states = await Promise.all(ROWS.map((_row, index) => site.computerState(`vm${index + 1}`)));
      expect(states).toEqual(ROWS.map(() => 'available'));
      const endings = await site.database('log').select<{ ending: string }[]>('ending');
      expect(endings).toEqual(ROWS.map(() => ({ ending: 'released' })));
    } finally {
      await site.close();
    }
  });
});
