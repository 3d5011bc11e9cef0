/** Daemons whose clocks are wrong, or jump: leases are the database's business, and how long something took is nobody's. */
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { round, writeTable } from '../../support/fault-table';
import { FaultSite } from '../../support/fault-site';
import { MariadbServer } from '../../support/store';

const LIBRARY = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';
const reason = NO_FAKE_GUESTS ?? (existsSync(LIBRARY) ? null : `${LIBRARY} is missing: apt-get install faketime`);
if (reason !== null) process.stderr.write(`NOT RUN: wrong clocks: ${reason}\n`);
const wherever = reason === null ? describe : describe.skip;

/** The clock of a process; durations are not touched, as when an admin or ntpd sets the clock. */
const clock = (more: Record<string, string>) => ({ LD_PRELOAD: LIBRARY, DONT_FAKE_MONOTONIC: '1', ...more });

/** An offset of a clock, as libfaketime reads it. */
const signed = (seconds: number) => `${seconds < 0 ? '' : '+'}${seconds}\n`;

wherever('the clock', () => {
  let fault: FaultSite | undefined;
  let server: MariadbServer | undefined;
  afterEach(async () => {
    await fault?.close();
    server?.stop();
    [fault, server] = [undefined, undefined];
  });
  afterAll(writeTable);

  it('of a standby that is an hour ahead steals no lease', async () => {
    await round('clock of the standby 1 h ahead, and 1 h behind (MariaDB)', 'P1', async () => {
      server = MariadbServer.start();
      fault = await FaultSite.open({ database: await server.createDatabase() });
      const lease = () =>
        fault!.site.database.one<{ holder: string; token: number }>('select holder, token from provisiond_lease');
      const first = fault.startDaemon('', { leaseSeconds: 6 });
      const isActive = () => readFileSync(fault!.logFile, 'utf8').includes('active now');
      while (!isActive()) await pause(50);
      const before = await lease();
      const others = ['+1h', '-1h'].map((FAKETIME) => fault!.startDaemon('', { leaseSeconds: 6 }, clock({ FAKETIME })));
      await pause(9000);
      expect(await lease()).toEqual(before);
      expect(readFileSync(fault.logFile, 'utf8').match(/waiting as standby/g)).toHaveLength(2);
      for (const daemon of [first, ...others]) daemon.kill('SIGKILL');
    });
  });

  it('that jumps in the middle of a load and of a wait ends nothing early', async () => {
    await round('clock jumps by 2 h forth and back in a load (SQLite)', 'P2', async () => {
      fault = await FaultSite.open();
      const { site } = fault;
      const file = path.join(site.folder, 'clock');
      const set = (offset: string) => writeFileSync(file, `${offset}\n`);
      set('+0');
      const env = clock({ FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1' });
      fault.startDaemon('', {}, env);
      const requestId = await site.reserve({ computer: 'vm1', minutes: 600 });
      await fault.waitForRequest(requestId, ['pending/new']);
      for (const offset of ['+2h', '-2h', '+2h', '+0']) {
        set(offset);
        await pause(400);
      }
      await fault.waitForRequest(requestId, ['pending/reserved'], 60);
      for (const offset of ['+2h', '-2h', '+0']) {
        set(offset);
        await pause(700);
      }
      expect(await site.requestState(requestId)).toBe('pending/reserved');
      expect(fault.daemon).toMatchObject({ exitCode: null, signalCode: null });
      await site.frontEnd.end(requestId);
      await fault.waitForRequest(requestId, [null], 60);
    });
  });

  it.each([
    { change: 'begins', before: '2027-03-28 01:58:00', at: '2027-03-28T01:00:00Z', end: '2027-03-28 09:00:00' },
    { change: 'ends', before: '2026-10-25 02:58:00', at: '2026-10-25T01:00:00Z', end: '2026-10-25 09:00:00' },
  ])(
    'changes with daylight saving, which $change in the middle of a load and of a wait, and ends nothing early',
    async ({ change, before, at, end }) => {
      await round(`daylight saving ${change} in a load and in a wait (SQLite)`, 'P2', async () => {
        for (const wanted of ['pending/new', 'pending/reserved'] as const) {
          fault = await FaultSite.open({ settings: { guestBootTimeoutMs: 30_000 } });
          const { site } = fault;
          const requestId = await site.reserve({ computer: 'vm1' });
          const times = 'update request set start = ?, daterequested = ?, `end` = ? where id = ?';
          await site.database.change(times, [before, before, end, requestId]);
          const file = path.join(site.folder, 'clock');
          const setSecondsBefore = (seconds: number) =>
            writeFileSync(file, signed(Math.round((Date.parse(at) - Date.now()) / 1000) - seconds));
          setSecondsBefore(60);
          const berlin = { TZ: 'Europe/Berlin', FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1' };
          fault.startDaemon('', {}, clock(berlin));
          await fault.waitForRequest(requestId, [wanted], 60);
          setSecondsBefore(1);
          await pause(3000);
          await fault.waitForRequest(requestId, ['pending/reserved'], 60);
          expect(fault.daemon).toMatchObject({ exitCode: null, signalCode: null });
          await site.frontEnd.end(requestId);
          await fault.waitForRequest(requestId, [null], 60);
          await fault.close();
        }
      });
    },
  );
});
