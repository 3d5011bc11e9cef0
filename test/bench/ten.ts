/** Ten reservations at once on one host, beside the raw script with as many at a time, and beside ten times one. */
import { Slots } from '../../lib/host/slots';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';
import type { Measure } from './measure';
import { startRaw } from './raw-load';

const TEN = 10;
/** As many at a time as the daemon allows by default (`maxLoadsPerHost`). */
const AT_A_TIME = 4;

export async function measureTen(rounds: number, say: (text: string) => void): Promise<Measure[]> {
  const log = { level: 'info', format: 'json', file: null } as const;
  const settings = { pollIntervalMs: 250, maxLoadsPerHost: AT_A_TIME, log };
  const site = await Site.open({ settings, computers: Array.from({ length: TEN }, () => ({})) });
  try {
    const { xml, one } = await loadOne(site);
    const [own, raw]: [number[], number[]] = [[], []];
    for (let round = 1; round <= rounds; round++) {
      own.push(await loadAll(site));
      raw.push(await loadAllRaw(site, xml));
      say(`ten at once, ${round} of ${rounds}: provisiond ${own.at(-1)} ms; floor ${raw.at(-1)} ms`);
    }
    return [
      { name: 'ten at once: rows → all reserved', unit: 'ms', provisiond: own, floor: raw, goal: { ratio: 1.15 } },
      { name: '· the same, beside ten times one', unit: 'ms', provisiond: own, floor: [TEN * one], goal: { ratio: 1 } },
    ];
  } finally {
    await site.close();
  }
}

/** The second of two: the first asks more. */
async function loadOne(site: Site): Promise<{ xml: string; one: number }> {
  let [xml, one] = ['', 0];
  for (let turn = 0; turn < 2; turn++) {
    const begin = performance.now();
    const requestId = await site.reserve({ computer: 'vm1' });
    await site.waitUntilReady(requestId, 120);
    one = Math.round(performance.now() - begin);
    const [domain] = await site.domains();
    xml = await site.virsh('dumpxml', '--inactive', domain!);
    await endAll(site, [requestId]);
  }
  return { xml, one };
}

async function loadAll(site: Site): Promise<number> {
  const begin = performance.now();
  const requests = await Promise.all(Array.from({ length: TEN }, (_, i) => site.reserve({ computer: `vm${i + 1}` })));
  await Promise.all(requests.map((id) => site.waitUntilReady(id, 300)));
  const took = Math.round(performance.now() - begin);
  await endAll(site, requests);
  return took;
}

/** Of vm1, vm2 … in turn; tainted, so that none is kept for the next. */
async function endAll(site: Site, requests: readonly number[]): Promise<void> {
  for (const [index, requestId] of requests.entries()) {
    await site.taint(`192.168.121.${11 + index}`);
    await site.frontEnd.end(requestId);
  }
  for (const requestId of requests) {
    await eventually(async () => (await site.requestState(requestId)) === null, 120);
  }
}

async function loadAllRaw(site: Site, xml: string): Promise<number> {
  const places = new Slots(AT_A_TIME);
  const begin = performance.now();
  const started = await Promise.all(
    Array.from({ length: TEN }, async (_, index) => {
      const leave = await places.acquire();
      const raw = startRaw(site, xml, index + 1);
      try {
        await raw.loaded;
      } finally {
        leave();
      }
      return raw;
    }),
  );
  const took = Math.round(performance.now() - begin);
  await Promise.all(started.map((raw) => raw.end()));
  return took;
}
