/** A daemon that has worked a thousand loads has no more files open and no more memory than after the first ones. */
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { COLLECT_GARBAGE } from '../support/fake-daemon-signals';
import { NO_FAKE_GUESTS } from '../support/fake-guest';
import { USER_ADDRESS } from '../support/fake-site';
import { LONG, round, writeTable } from '../support/fault-table';
import { FaultSite } from '../support/fault-site';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

const LOADS = Number(process.env.PROVISIOND_FAULT_LOADS ?? (LONG ? 1000 : 10));
/** After so many all that is kept on purpose (connections, compiled code) is there. */
const WARM = Math.min(200, Math.floor(LOADS * 0.4));
/** Incus' rule. */
const MORE_FILES = 5;
/** Of what is resident; what is in use grows by less. */
const MORE_MIB = 16;

wherever('a daemon that works load after load', () => {
  let fault: FaultSite | undefined;
  afterEach(() => fault?.close());
  afterAll(writeTable);

  it(`has no more files open and no more memory after ${LOADS} loads`, async () => {
    await round(`${LOADS} loads in a row (fake world)`, 'P12', async () => {
      fault = await FaultSite.open();
      fault.startDaemon();
      const [warm, end]: [Sample[], Sample[]] = [[], []];
      let done = 0;
      const work = async (computer: string) => {
        while (done < LOADS) {
          done++;
          await live(fault!, computer);
          if (done > WARM * 0.5 && done <= WARM) warm.push(await sample(fault!.daemon!));
          if (done > LOADS - Math.max(2, WARM * 0.5)) end.push(await sample(fault!.daemon!));
        }
      };
      await Promise.all([work('vm1'), work('vm2')]);
      expect(median(end, 'files') - median(warm, 'files')).toBeLessThanOrEqual(MORE_FILES);
      if (LOADS >= 500) expect(median(end, 'mib') - median(warm, 'mib')).toBeLessThanOrEqual(MORE_MIB);
      process.stderr.write(
        `after ${WARM} loads ${median(warm, 'files')} files and ${median(warm, 'mib')} MiB, ` +
          `after ${LOADS} ${median(end, 'files')} and ${median(end, 'mib')}\n`,
      );
      expect(await fault.audit()).toEqual([]);
    });
  }, 2_400_000);
});

/** A load, and its end as of a machine that somebody was on. */
async function live(fault: FaultSite, computer: string): Promise<void> {
  const { site } = fault;
  const requestId = await site.reserve({ computer });
  await fault.waitForRequest(requestId, ['pending/reserved', 'reserved/new'], 90);
  await site.database.change('update reservation set remoteIP = ? where requestid = ?', [USER_ADDRESS, requestId]);
  await site.frontEnd.end(requestId);
  await fault.waitForRequest(requestId, [null], 90);
}

interface Sample {
  readonly files: number;
  readonly mib: number;
}

/** How much garbage V8 lets lie, and for how long, is its own affair: it is collected first. */
async function sample({ pid }: ChildProcess): Promise<Sample> {
  process.kill(pid!, COLLECT_GARBAGE);
  await pause(50);
  const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
  return { files: readdirSync(`/proc/${pid}/fd`).length, mib: Math.round((pages * 4096) / 2 ** 20) };
}

function median(samples: readonly Sample[], what: keyof Sample): number {
  const sorted = samples.map((one) => one[what]).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
