/** How long a VM is down while it is restored, beside the same by hand: stop, define, start in one script. By libvirt's own clock. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';
import { defineTinyGuest } from '../support/tiny-guest';
import type { Measure } from './measure';

const BY_HAND = 'virsh -q destroy "$1" && virsh -q define "$2" && virsh -q start "$1"';

export async function measureRestores(rounds: number, say: (text: string) => void): Promise<Measure[]> {
  const site = await Site.open({ computers: [{}], settings: { startProofMs: 0, pollIntervalMs: 250 } });
  try {
    const domain = await defineTinyGuest(site, 'vm1', 'deaf');
    const [own, floor]: [number[], number[]] = [[], []];
    const ear = new Ear(domain);
    const definition = path.join(site.folder, 'by-hand.xml');
    for (let round = 0; round < rounds; round++) {
      await site.virsh('destroy', domain).catch(() => {});
      await site.virsh('start', domain);
      await sleep(1500);
      own.push(await ear.downtimeOf(() => restore(site)));
      writeFileSync(definition, await site.virsh('dumpxml', '--inactive', domain));
      floor.push(
        await ear.downtimeOf(async () => void (await site.vmHost.run('sh', '-c', BY_HAND, 'sh', domain, definition))),
      );
      say(`restore ${round + 1} of ${rounds}: provisiond ${own.at(-1)} ms; floor ${floor.at(-1)} ms`);
    }
    ear.close();
    return [{ name: 'downtime of a restore', unit: 'ms', provisiond: own, floor, goal: { ratio: 1.2 } }];
  } finally {
    await site.close();
  }
}

async function restore(site: Site): Promise<void> {
  const wish = { kind: 'restore', computer: 'vm1', arguments: { hard: true, timeoutSeconds: 1 }, requestedBy: 'bench' };
  const { id } = await site.frontEnd.addOperation(wish);
  await eventually(async () => (await site.frontEnd.showOperation(id)).ended !== null, 60);
  const { error } = await site.frontEnd.showOperation(id);
  if (error) throw new Error(error.message);
}

/** Hears when the domain stops and when it runs again. */
class Ear {
  private text = '';
  private readonly process: ChildProcess;

  constructor(domain: string) {
    const argv = ['event', '--domain', domain, '--event', 'lifecycle', '--loop', '--timestamp'];
    this.process = spawn('virsh', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.process.stdout!.on('data', (chunk: Buffer) => (this.text += chunk.toString()));
  }

  async downtimeOf(work: () => Promise<void>): Promise<number> {
    await sleep(500);
    const from = this.text.length;
    await work();
    const at = (word: string) =>
      [...this.text.slice(from).matchAll(new RegExp(`^(\\S+ \\S+): event.*${word}`, 'gm'))].map(([, time]) =>
        Date.parse(time!.replace(' ', 'T').replace('+0000', 'Z')),
      )[0];
    await eventually(() => Promise.resolve(at('Started') !== undefined && at('Stopped') !== undefined), 10);
    return at('Started')! - at('Stopped')!;
  }

  close(): void {
    this.process.kill();
  }
}
