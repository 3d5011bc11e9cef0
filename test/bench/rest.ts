/** What the daemon costs when there is nothing to do, and what the smallest questions cost. */
import type { Site } from '../support/site';
import type { Measure } from './measure';
import { cpuMs, residentMiB } from './process-cost';

export async function measureRest(site: Site, seconds: number): Promise<Measure[]> {
  const pid = site.daemon!.pid!;
  const before = { cpu: cpuMs(pid), at: performance.now() };
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const share = (100 * (cpuMs(pid) - before.cpu)) / (performance.now() - before.at);
  return [
    { name: `idle, processor for ${seconds} s`, unit: '%', provisiond: [share], goal: { atMost: 1 } },
    { name: 'resident memory at rest', unit: 'MiB', provisiond: [residentMiB(pid)], goal: { atMost: 120 } },
  ];
}

/** The poll itself, by the same code in this process, on the rows as they are. */
export async function measurePoll(site: Site, what: string): Promise<Measure[]> {
  const times: number[] = [];
  for (let i = 0; i < 60; i++) {
    const begin = performance.now();
    await site.store.poll(site.managementNodeId, []);
    times.push(performance.now() - begin);
  }
  return [{ name: `idle poll, ${what}`, unit: 'ms', provisiond: times.slice(10), goal: { atMost: 2 } }];
}
