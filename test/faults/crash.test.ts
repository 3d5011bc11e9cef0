/**
 * kill -9 at every border of every step, and inside it, on real libvirt: after a restart the same work goes on, and in the
 * end nothing is left over. The steps come from the state handlers' own lists, so new ones are covered without work.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadSteps } from '../../lib/libvirt/load-steps';
import { STATE_IDS, type WorkableState } from '../../lib/model/states';
import { STATE_HANDLERS } from '../../lib/states';
import type { CrashMoment } from '../../lib/steps/crash-point';
import { audit } from '../support/auditor';
import { LONG, round, ROUNDS, writeTable } from '../support/fault-table';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';
import { TEST_LIMIT_MS } from '../support/patience';
import type { Dialect } from '../support/site-rows';

/** Of the short form. */
const SHORT = ['make the disks', 'define the domain', 'power on the domain'];
const MOMENTS: readonly CrashMoment[] = ['before', 'inside', 'after'];
const LAST_BEFORE_GUEST = loadSteps.at(-1)!.name;

function stepsOf(state: WorkableState): string[] {
  return STATE_HANDLERS[state].steps.map(({ name }) => name);
}

/** Steps that need no guest: their crash is quick to try. */
function stepsBeforeGuest(state: WorkableState): string[] {
  const names = stepsOf(state);
  return names.slice(0, names.indexOf(LAST_BEFORE_GUEST) + 1);
}

/** Every list and moment is tried on the fake world (every-step.test.ts); here those that change the host, or a few. */
function stepsToTry(state: WorkableState): string[] {
  const onHost = stepsBeforeGuest(state).filter((name) => loadSteps.some((step) => step.name === name));
  return LONG ? onHost : onHost.filter((name) => SHORT.includes(name));
}

/**
 * Every step, its inside and its borders, on SQLite (before a step is after the one that goes before it); on MariaDB and in the short
 * form one moment a step, in turn.
 */
function pointsOf(names: readonly string[], dialect: Dialect): string[] {
  const momentsOf = (index: number): readonly CrashMoment[] => {
    if (!LONG || dialect !== 'sqlite') return [MOMENTS[(index + 1) % 3]!];
    return index === 0 ? MOMENTS : ['inside', 'after'];
  };
  return names.flatMap((name, index) => momentsOf(index).map((moment) => `${name}:${moment}`));
}

const dialects: Dialect[] = LONG ? ['sqlite', 'mysql'] : ['sqlite'];
afterAll(writeTable);

describe.each(dialects)('kill -9 at a step border, on %s', (dialect) => {
  let site: Site;
  beforeAll(async () => {
    site = await Site.open({ dialect, withoutDaemon: true });
  });
  afterAll(() => site?.close());
  afterEach(async () => {
    await site.killDaemon();
    await site.clear();
  });

  const state: WorkableState = 'new';
  const loads = pointsOf(stepsToTry(state), dialect).map((point) => ({ state, point }));

  it.each(loads)(
    'a load for $state that dies at "$point" goes on after the restart and leaves nothing',
    async ({ state, point }) => {
      await round(`kill -9 at every border of ${state} before the guest (real libvirt)`, 'P2 P3', async () => {
        await defineStaleDomain(site);
        const requestId = await site.reserve({ computer: 'vm1' });
        if (state !== 'new') await setState(site, requestId, state);
        expect(await crashAt(site, point)).toBe(true);
        await restart(site, requestId);
        await site.frontEnd.end(requestId);
        await site.waitForRequest(requestId, null, 30);
        expect(await audit(audited(site))).toEqual([]);
      });
    },
  );

  const ends = pointsOf(stepsOf('deleted'), dialect);
  it.each(LONG ? ends : ends.slice(3, 4))(
    'the end of a half loaded reservation that dies at "%s" goes on after the restart',
    async (point) => {
      await round('kill -9 at every border of deleted (real libvirt)', 'P2 P3', async () => {
        const requestId = await site.reserve({ computer: 'vm1' });
        expect(await crashAt(site, `${LAST_BEFORE_GUEST}:after`)).toBe(true);
        await site.frontEnd.end(requestId);
        expect(await crashAt(site, point, requestId)).toBe(true);
        await site.startDaemon();
        await site.waitForRequest(requestId, null, 30);
        expect(await audit(audited(site))).toEqual([]);
      });
    },
  );

  // Most of the rounds are on the fake world: random-kills.test.ts.
  for (let index = 0; index < Math.floor((ROUNDS * 0.15) / dialects.length); index++) {
    const delayMs = 300 + Math.round(Math.random() * 2500);
    it(`a load that is killed after ${delayMs} ms goes on and leaves nothing (round ${index + 1})`, async () => {
      await round('kill -9 at random moments of a load and its end (real libvirt)', 'P2 P3', async () => {
        const requestId = await site.reserve({ computer: 'vm1' });
        await site.startDaemon();
        await new Promise((resolve) => setTimeout(resolve, delayMs));
        await site.killDaemon();
        await site.startDaemon();
        await eventually(async () => (await site.requestState(requestId)) === 'pending/new', 20);
        if (Math.random() < 0.5) await new Promise((resolve) => setTimeout(resolve, Math.random() * 1000));
        await site.frontEnd.end(requestId);
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 600));
        await site.killDaemon();
        await site.startDaemon();
        await site.waitForRequest(requestId, null, 30);
        expect(await audit(audited(site))).toEqual([]);
      });
    });
  }
});

describe('a whole life', () => {
  let site: Site;
  afterEach(() => site?.close());

  it(
    'with a kill -9 after each step still gives the user the machine, and takes it back',
    async () => {
      site = await Site.open({ dialect: LONG ? 'sqlite' : 'mysql', withoutDaemon: true });
      const dead: string[] = [];
      const crashThrough = async (state: WorkableState, until: () => Promise<boolean>) => {
        for (const name of stepsOf(state)) {
          const moment = MOMENTS[dead.length % 2 === 0 ? 2 : 1]!;
          if (await crashAt(site, `${name}:${moment}`, until)) dead.push(name);
          await site.killDaemon();
        }
      };
      await round('kill -9 after each step of one life with a guest', 'P2 P3', async () => {
        const requestId = await site.reserve({ computer: 'vm1' });
        await crashThrough('new', async () => (await site.requestState(requestId)) === 'pending/reserved');
        await site.startDaemon();
        const ready = await site.waitUntilReady(requestId, 90);
        await site.killDaemon();
        const shown = await site.frontEnd.connect(requestId, '192.168.122.1');
        await crashThrough('reserved', async () => (await site.loadStates(requestId)).includes('noinitialconnection'));
        await site.startDaemon();
        await eventually(async () => (await site.asUser(shown, 'true').catch(() => 'refused')) === '', 40);
        const visit = await site.logIn(shown);
        await eventually(async () => (await site.computerState('vm1')) === 'inuse', 40);
        await visit.leave();
        expect(ready.password).toBe(shown.password);
        expect(await audit(audited(site), { inHand: [requestId] })).toEqual([]);
        await site.killDaemon();
        await site.frontEnd.end(requestId);
        await crashThrough('deleted', async () => (await site.requestState(requestId)) === null);
        await site.startDaemon();
        await site.waitForRequest(requestId, null, 40);
        expect(await audit(audited(site))).toEqual([]);
      });
      expect(dead).toEqual(expect.arrayContaining(stepsBeforeGuest('new')));
      expect(dead).toEqual(expect.arrayContaining(['wait for the guest', 'set up the guest', 'add the user']));
    },
    3 * TEST_LIMIT_MS,
  );
});

// ----------------------------------------------------------------------------------------------------

function audited(site: Site) {
  return { ...site.config, vms: site.vms, datastore: site.datastore };
}

/**
 * Starts the daemon with a crash point and waits for its death.
 * @param orUntil a request that is gone, or a condition that holds, when the step has no such moment on this path
 * @returns whether it died there
 */
async function crashAt(site: Site, point: string, orUntil?: number | (() => Promise<boolean>)): Promise<boolean> {
  await site.startDaemon({}, { PROVISIOND_CRASH_AT: point });
  const daemon = site.daemon!;
  const died = () => daemon.signalCode === 'SIGKILL';
  const passed =
    typeof orUntil === 'number' ? async () => (await site.requestState(orUntil)) === null : (orUntil ?? never);
  await eventually(async () => died() || daemon.exitCode !== null || (await passed()), 40);
  if (daemon.exitCode !== null) throw new Error(`the daemon ended with ${daemon.exitCode} instead of crashing`);
  if (died()) site.daemon = null;
  return died();
}

/** A domain of the computer that vcld left: every load has something to remove first. */
async function defineStaleDomain(site: Site): Promise<void> {
  const file = path.join(site.folder, 'stale.xml');
  const name = '<name>vm1_Old_99-v0</name>';
  writeFileSync(file, `<domain type='qemu'>${name}<memory>65536</memory><os><type>hvm</type></os></domain>`);
  await site.virsh('define', file);
}

const never = async () => false;

/** The next start takes the request up again at once (P2: within 10 s). */
async function restart(site: Site, requestId: number): Promise<void> {
  const attempts = async () => {
    const job = await site.database('provisiond_job').where({ requestid: requestId }).first<{ attempts: number }>();
    return job?.attempts ?? 0;
  };
  const before = await attempts();
  const events = async () => {
    const [row] = await site.database('provisiond_event').where({ requestid: requestId }).count({ n: '*' });
    return Number(row!.n);
  };
  const told = await events();
  await site.startDaemon();
  await eventually(async () => (await attempts()) > before && (await events()) > told, 10);
}

async function setState(site: Site, requestId: number, state: WorkableState): Promise<void> {
  await site
    .database('request')
    .where({ id: requestId })
    .update({ stateid: STATE_IDS[state], laststateid: STATE_IDS[state] });
}
