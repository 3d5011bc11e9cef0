/**
 * kill -9 at random moments, on the fake world: rounds of users who come and go while the daemon dies again and again.
 * Each round ends with the auditor. The moments come from a seed, which is told, so that a round can be played again:
 * PROVISIOND_FAULT_SEED.
 */
import { afterAll, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { NO_FAKE_GUESTS } from '../support/fake-guest';
import { USER_ADDRESS } from '../support/fake-site';
import { LONG, round, ROUNDS, writeTable } from '../support/fault-table';
import { FaultSite } from '../support/fault-site';
import { eventually } from '../support/eventually';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

const SEED = Number(process.env.PROVISIOND_FAULT_SEED ?? Date.now() % 1_000_000);
/** Rounds in a test, half of them at the same time on a site of its own. */
const IN_A_TEST = LONG ? 10 : 2;
const LANES = 2;

/** mulberry32: small, and the same numbers everywhere. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One life of a reservation, in which the daemon is killed at two to four moments; beside it, sometimes, a reload. */
async function liveThrough(fault: FaultSite, random: () => number): Promise<void> {
  const { site } = fault;
  const inHand = async (requestId: number) => (await site.requestState(requestId))?.startsWith('pending/') ?? true;
  const kill = async (withinMs: number) => {
    await pause(random() * withinMs);
    await fault.killDaemon();
    fault.startDaemon();
  };
  fault.startDaemon();
  const requestId = await site.reserve({ computer: 'vm1' });
  const reload = random() < 0.3 ? await site.requestFor('vm2', 'reload') : null;
  await eventually(() => inHand(requestId), 20);
  await kill(1500);
  if (random() < 0.5) await kill(2500);
  if (random() < 0.4) {
    await fault.waitForRequest(requestId, ['pending/reserved']);
    await eventually(async () => (await site.frontEnd.show(requestId)).status === 'ready');
    await site.frontEnd.connect(requestId, USER_ADDRESS);
    await kill(1500);
    await fault.waitForRequest(requestId, ['inuse/reserved', 'inuse/inuse']);
    if (random() < 0.5) {
      await site.overwrite(requestId, random() < 0.5 ? 'reinstall' : 'reboothard');
      await kill(2000);
    }
  }
  await site.frontEnd.end(requestId);
  await kill(700);
  await fault.waitForRequest(requestId, [null]);
  if (reload !== null) await fault.waitForRequest(reload, [null]);
  await fault.killDaemon();
  expect(await site.computerState('vm1')).toBe('available');
  expect(await fault.audit()).toEqual([]);
}

wherever('kill -9 at random moments', () => {
  afterAll(writeTable);
  const rounds = LONG ? Math.ceil(ROUNDS * 0.85) : IN_A_TEST;

  for (let first = 0; first < rounds; first += IN_A_TEST) {
    const last = Math.min(rounds, first + IN_A_TEST);
    it(`leaves nothing and loses nothing (seed ${SEED}, rounds ${first + 1} to ${last})`, async () => {
      const numbers = Array.from({ length: last - first }, (_, index) => first + index);
      const lanes = Array.from({ length: LANES }, (_, lane) => numbers.filter((number) => number % LANES === lane));
      const results = await Promise.allSettled(
        lanes.map(async (lane) => {
          for (const number of lane) await oneRound(number);
        }),
      );
      for (const result of results) if (result.status === 'rejected') throw result.reason;
    });
  }

  async function oneRound(number: number): Promise<void> {
    await round('kill -9 at random moments of a life (fake world)', 'P2 P3', async () => {
      const fault = await FaultSite.open();
      try {
        await liveThrough(fault, randomFrom(SEED + number));
      } catch (error) {
        process.stderr.write(`seed ${SEED}, round ${number + 1}: ${String(error)}\n${fault.lastWords(40)}\n`);
        throw error;
      } finally {
        await fault.close();
      }
    });
  }
});
