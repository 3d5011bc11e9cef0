/** Four daemons for one management node, twelve reservations at once, and whoever works is killed again and again. */
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { round, writeTable } from '../../support/fault-table';
import { FaultSite } from '../../support/fault-site';
import { eventually } from '../../support/eventually';
import { MariadbServer } from '../../support/store';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

const COMPUTERS = Array.from({ length: 12 }, (_, index) => ({
  name: `vm${index + 1}`,
  privateIp: `192.168.121.${11 + index}`,
}));
const WAVES = 3;
const DAEMONS = 4;
const BLOWS = 3;

async function kill(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  daemon.kill('SIGKILL');
  await once(daemon, 'exit');
}

wherever('four daemons and a storm of kills', () => {
  let fault: FaultSite | undefined;
  let server: MariadbServer | undefined;
  afterEach(async () => {
    await fault?.close();
    server?.stop();
  });
  afterAll(writeTable);

  it('give each user one machine, started once, and leave nothing', async () => {
    await round(
      `${DAEMONS} daemons, ${WAVES} times ${COMPUTERS.length} reservations at once, kills (MariaDB)`,
      'P1 P2 P3',
      () => ride(),
    );
  }, 600_000);

  async function ride(): Promise<void> {
    server = MariadbServer.start();
    const database = await server.createDatabase();
    fault = await FaultSite.open({ database, computers: COMPUTERS });
    const { site } = fault;
    const start = () => fault!.startDaemon('', { database, leaseSeconds: 4, maxLoads: 12, maxLoadsPerHost: 12 });
    const daemons = Array.from({ length: DAEMONS }, start);
    const killWhoWorks = async () => {
      const lease = await site.database.one<{ holder: string }>('select holder from provisiond_lease');
      const active = daemons.findIndex(({ pid }) => lease?.holder.split(':')[1] === String(pid));
      if (active < 0) return;
      await kill(daemons[active]!);
      daemons[active] = start();
      kills++;
    };
    let kills = 0;
    try {
      for (let wave = 0; wave < WAVES; wave++) {
        const requests = await Promise.all(COMPUTERS.map(({ name }) => site.reserve({ computer: name })));
        for (let blow = 0; blow < BLOWS; blow++) {
          await pause(1000 + Math.random() * 3000);
          await killWhoWorks();
        }
        await eventually(async () => allAre(requests, ['pending/reserved', 'reserved/new']), 150);
        const domains = site.host.domains();
        expect(domains.map(({ boots, state }) => ({ boots, state }))).toEqual(
          COMPUTERS.map(() => ({ boots: 1, state: 'running' })),
        );
        // Used once, so that the end of it clears the machine instead of keeping it for the next.
        await site.database.change(`update request set stateid = 1, laststateid = 8 where id in (${requests.join()})`);
        await pause(Math.random() * 1000);
        await killWhoWorks();
        await eventually(async () => allAre(requests, [null]), 150);
        await eventually(async () => site.host.domains().length === 0, 60);
      }
    } finally {
      await Promise.all(daemons.map(kill));
    }
    expect(kills).toBeGreaterThan(WAVES);
    expect(await fault.audit()).toEqual([]);
  }

  async function allAre(requests: readonly number[], states: readonly (string | null)[]): Promise<boolean> {
    const { site } = fault!;
    const present = await Promise.all(requests.map((requestId) => site.requestState(requestId)));
    const failed = present.findIndex((state) => state?.startsWith('failed'));
    if (failed >= 0) throw new Error(await site.failure(requests[failed]!));
    return present.every((state) => states.includes(state));
  }
});
