/**
 * Every pair of states that the front end was looked at in, with a computer in every state (web rows 4): what it shows,
 * what we say that it shows, and what becomes of the request when a daemon finds it so.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { STATE_IDS, type StateName } from '../../../lib/model/states';
import { displayStatus } from '../../../lib/store/display-status';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { eventually } from '../../support/eventually';
import { FakeClusterSite } from '../../support/fake-cluster-site';
import { WebClient } from '../../support/web-client';
import { COMPUTER_STATES, shownBy, type StatusRow, STATUS_ROWS } from '../../support/web-status-rows';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

/** Our words for what the front end does not list, and for what it shows as ready because somebody is on it. */
const OURS: Readonly<Record<string, string>> = { ending: 'error (unknown requestid)', inuse: 'ready' };

wherever('what the front end shows', () => {
  let site: FakeClusterSite;
  let web: WebClient;
  beforeAll(async () => {
    site = await FakeClusterSite.open();
    web = new WebClient(site.database, site.t.managementNodeId, (minutes) => site.time(minutes));
  });
  afterAll(() => site.close());

  it(`of ${STATUS_ROWS.length} pairs of states with ${COMPUTER_STATES.length} of the computer is what the rows say, and what we say`, async () => {
    const { requestId } = await site.request();
    const told: string[] = [];
    const expected: string[] = [];
    for (const row of STATUS_ROWS) {
      for (const computer of COMPUTER_STATES) {
        await site.database('request').update({ stateid: STATE_IDS[row.state], laststateid: STATE_IDS[row.lastState] });
        await site.database('computer').where({ hostname: 'vm1.test' }).update({ stateid: STATE_IDS[computer] });
        const ours = displayStatus({
          state: row.state,
          lastState: row.lastState,
          computers: [computer],
          future: false,
        });
        const name = `${row.state}/${row.lastState}, computer ${computer}`;
        told.push(`${name}: ${await web.status(requestId)}, ${OURS[ours] ?? ours}`);
        expected.push(`${name}: ${shownBy(row, computer)}, ${shownBy(row, computer)}`);
      }
    }
    expect(told).toEqual(expected);
  });
});

/** What becomes of a request in that state (a pending one: in that last state) without a machine: `state/laststate`. */
const BECOMES: Readonly<Partial<Record<StateName, readonly [request: string, shows: string, computer: StateName]>>> = {
  new: ['pending/reserved', 'ready', 'reserved'],
  reserved: ['pending/reserved', 'ready', 'reserved'],
  reinstall: ['pending/reserved', 'ready', 'reserved'],
  inuse: ['inuse/inuse', 'ready', 'inuse'],
  // A user's machine that does not come back stays his: he may have to save his work, or reboot it again.
  rebootsoft: ['inuse/rebootsoft', 'ready', 'inuse'],
  reboothard: ['inuse/reboothard', 'ready', 'inuse'],
  servermodified: ['inuse/servermodified', 'ready', 'inuse'],
  timeout: ['complete/timeout', 'timedout', 'available'],
  // There is nothing to capture: an admin looks at it.
  image: ['maintenance/image', 'maintenance', 'maintenance'],
  checkpoint: ['maintenance/checkpoint', 'maintenance', 'maintenance'],
  reload: ['gone', 'error (unknown requestid)', 'available'],
  makeproduction: ['gone', 'error (unknown requestid)', 'available'],
  tomaintenance: ['gone', 'error (unknown requestid)', 'maintenance'],
  tovmhostinuse: ['gone', 'error (unknown requestid)', 'vmhostinuse'],
};

function becomes({ state, lastState, shows }: StatusRow): readonly [string, string, StateName] {
  // Its groups changed while it was loaded: the load goes on.
  if (state === 'servermodified' && lastState === 'new') return BECOMES.new!;
  const found = BECOMES[state === 'pending' ? lastState : state];
  return found ?? [`${state}/${lastState}`, shows, 'available'];
}

wherever('a daemon that finds requests in every pair of states', () => {
  let site: FakeClusterSite;
  let web: WebClient;
  const ids: number[] = [];
  beforeAll(async () => {
    const settings = { maxLoads: 20, maxLoadsPerHost: 20 };
    site = await FakeClusterSite.open({ computers: STATUS_ROWS.length, settings });
    web = new WebClient(site.database, site.t.managementNodeId, (minutes) => site.time(minutes));
    for (const [index, { state, lastState }] of STATUS_ROWS.entries()) {
      ids.push((await site.request({ state, lastState, computers: [`vm${index + 1}`] })).requestId);
    }
    await site.startNode();
  });
  afterAll(() => site.close());

  it('brings each to where its user or an admin goes on, and leaves alone what is nobody’s business', async () => {
    const expected = STATUS_ROWS.map((row) => [`${row.state}/${row.lastState}`, ...becomes(row)].join(' '));
    const look = () =>
      Promise.all(
        STATUS_ROWS.map(async ({ state, lastState }, index) => {
          const requestId = ids[index]!;
          const now = [(await site.state(requestId)) ?? 'gone', await web.status(requestId)];
          return [`${state}/${lastState}`, ...now, await site.computerState(`vm${index + 1}`)].join(' ');
        }),
      );
    await eventually(async () => JSON.stringify(await look()) === JSON.stringify(expected), 75).catch(() => {});
    expect(await look()).toEqual(expected);
  });

  it('takes every one away that its user ends, and frees the computer but where an admin has it', async () => {
    const left = await site.database('request').select<{ id: number }[]>('id');
    for (const { id } of left) await web.end(id);
    await eventually(async () => (await site.database('request').select('id')).length === 0, 60);
    const states = await Promise.all(STATUS_ROWS.map((_row, index) => site.computerState(`vm${index + 1}`)));
    const after = (state: StateName) => (['maintenance', 'vmhostinuse'].includes(state) ? state : 'available');
    expect(states).toEqual(STATUS_ROWS.map((row) => after(becomes(row)[2])));
  });
});
