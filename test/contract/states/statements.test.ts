/** What a reservation asks of the database, beside the poll that goes on anyway. */
import { describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { eventually } from '../../support/eventually';
import { FakeClusterSite } from '../../support/fake-cluster-site';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

/** Nobody polls within two seconds but when there is something to do: at the start (with the look for orphans), and after each job. */
const NO_POLLS = { pollIntervalMs: 600_000 };
const AT_THE_START = 6;
const POLL = 2;

wherever('a reservation', () => {
  it('costs at most 40 statements from its row to the one that shows it ready', async () => {
    const site = await FakeClusterSite.open({ settings: NO_POLLS });
    try {
      const { requestId, reservationIds } = await site.request();
      const before = site.t.statementCount();
      const startedAt = performance.now();
      await site.startNode();
      await site.waitFor(requestId, 'pending/reserved');
      await eventually(async () => (await site.told(reservationIds[0]!)).includes('acknowledgetimeout'));
      // The story is written every two seconds, and polls are no farther apart: a slow machine has more of them.
      const ofSlowness = (2 + POLL) * Math.floor((performance.now() - startedAt) / 2000);
      expect(site.t.statementCount() - before - AT_THE_START - 2 * POLL).toBeLessThanOrEqual(40 + ofSlowness);
    } finally {
      await site.close();
    }
  });
});
