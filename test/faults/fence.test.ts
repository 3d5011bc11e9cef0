/**
 * Commands that outlive their daemon (T2), and a daemon that was asleep (T3): work that wakes up late changes nothing of
 * what newer work has made. The remote script is stopped where it asks for the lock of its computer, the daemon is killed,
 * its successor does the whole load, and only then the script goes on.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { audit } from '../support/auditor';
import { inLongForm, LONG, round, writeTable } from '../support/fault-table';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';

/** `flock`, in the lab's own mount namespace, that stops once when its script is the one that is waited for. */
class StoppingFlock {
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = path.join(folder, 'stopping');
    mkdirSync(this.folder);
    const real = path.join(this.folder, 'flock.real');
    copyFileSync('/usr/bin/flock', real);
    const wrapper = path.join(this.folder, 'flock');
    writeFileSync(wrapper, WRAPPER.replaceAll('FOLDER', this.folder));
    [real, wrapper, this.folder].forEach((file) => chmodSync(file, 0o755));
    execFileSync('mount', ['--bind', wrapper, '/usr/bin/flock']);
  }

  /** @param text that only the script to stop has in it @param skip how often it may pass before */
  stopAt(text: string, skip = 0): void {
    rmSync(path.join(this.folder, 'stopped'), { force: true });
    writeFileSync(path.join(this.folder, 'skip'), String(skip));
    writeFileSync(path.join(this.folder, 'at'), text);
  }

  async stopped(): Promise<void> {
    await eventually(async () => existsSync(path.join(this.folder, 'stopped')), 40);
  }

  /** Lets the script go on, and waits for its end. */
  async goOn(): Promise<void> {
    const [flock, script] = readFileSync(path.join(this.folder, 'stopped'), 'utf8').trim().split(' ').map(Number);
    expect(existsSync(`/proc/${script}`)).toBe(true); // it did outlive its daemon
    process.kill(flock!, 'SIGCONT');
    await eventually(async () => !existsSync(`/proc/${script}`), 20);
  }

  close(): void {
    execFileSync('umount', ['/usr/bin/flock']);
  }
}

const WRAPPER = `#!/bin/sh
# Several ask at the same moment; one that finds no text any more must not match all texts.
at=$(cat FOLDER/at 2>/dev/null)
if [ -n "$at" ] && tr '\\0' ' ' < /proc/$PPID/cmdline | grep -qF -e "$at"; then
  skip=$(cat FOLDER/skip)
  if [ "$skip" -gt 0 ]; then echo $((skip - 1)) > FOLDER/skip; elif mv FOLDER/at FOLDER/at.$$ 2>/dev/null; then
    echo $$ $PPID > FOLDER/new && mv FOLDER/new FOLDER/stopped
    kill -STOP $$
  fi
fi
exec FOLDER/flock.real "$@"
`;

/** What a late command could harm. */
async function sight(site: Site): Promise<unknown> {
  const domains = (await site.virsh('list', '--all', '--uuid', '--name')).split('\n').filter((line) => line !== '');
  const states = await Promise.all(domains.map((line) => site.virsh('domstate', line.split(' ')[0]!)));
  const files = [site.vms, site.config.xmlDirectory].flatMap((folder) =>
    readdirSync(folder).map((name) => `${name} ${statSync(path.join(folder, name)).ino}`),
  );
  const entries = [...(await site.virsh('net-dumpxml', 'private')).matchAll(/<host mac='[^']*'[^>]*>/g)];
  return {
    domains,
    states,
    files: files.filter((file) => !file.includes('.part')).sort(),
    entries: entries.map(String),
  };
}

async function isLoaded(site: Site, requestId: number): Promise<boolean> {
  return (await site.loadStates(requestId)).includes('startvm') && (await site.requestState(requestId)) !== null;
}

describe('work that wakes up late', () => {
  let site: Site;
  let flock: StoppingFlock;
  const audited = () => ({ ...site.config, vms: site.vms, datastore: site.datastore });

  beforeAll(async () => {
    site = await Site.open({ withoutDaemon: true, settings: { leaseSeconds: 8 } });
    flock = new StoppingFlock(site.folder);
  });
  afterEach(async () => {
    await site.killDaemon();
    await site.clear();
  });
  afterAll(async () => {
    flock?.close();
    await site?.close();
    writeTable();
  });

  async function end(requestId: number): Promise<void> {
    await site.frontEnd.end(requestId);
    await site.waitForRequest(requestId, null, 40);
    expect(await audit(audited())).toEqual([]);
  }

  const commands: [string, string, number][] = [
    ['makes a disk, before it gets its name', 'qemu-img create', 3],
    ['reserves an address', 'ip-dhcp-host', 0],
    ['writes the XML file', 'the content was cut off', 0],
    ['defines the domain', 'virsh -q define', 0],
    ['starts the domain', 'autostart', 0],
  ];
  it.each(LONG ? commands : commands.filter((_command, index) => index === 3))(
    'a command that %s changes nothing once its successor has loaded the computer',
    async (_what, text, skip) => {
      await round('remote command stopped, daemon killed, successor loads, command goes on', 'P1 P5', async () => {
        flock.stopAt(text, skip);
        const requestId = await site.reserve({ computer: 'vm1' });
        await site.startDaemon();
        await flock.stopped();
        await site.killDaemon();
        await site.startDaemon();
        await eventually(() => isLoaded(site, requestId), 60);
        const before = await sight(site);
        await flock.goOn();
        expect(await sight(site)).toEqual(before);
        expect(await audit(audited(), { inHand: [requestId] })).toEqual([]);
        await end(requestId);
      });
    },
  );

  inLongForm('a removal that wakes up late does not take what the next reservation has', async () => {
    await round('removal stopped, daemon killed, next reservation loaded, removal goes on', 'P1 P5', async () => {
      const first = await site.reserve({ computer: 'vm1' });
      await site.startDaemon();
      await eventually(() => isLoaded(site, first), 60);
      flock.stopAt('undefine');
      await site.frontEnd.end(first);
      await flock.stopped();
      await site.killDaemon();
      await site.startDaemon();
      await site.waitForRequest(first, null, 40);
      const second = await site.reserve({ computer: 'vm1' });
      await eventually(() => isLoaded(site, second), 60);
      const before = await sight(site);
      await flock.goOn();
      expect(await sight(site)).toEqual(before);
      await end(second);
    });
  });

  it('a daemon that slept past its lease finds itself replaced, and harms nothing', async () => {
    await round('daemon asleep past its lease, standby takes over, daemon wakes up', 'P1 P2', async () => {
      flock.stopAt('virsh -q define');
      const requestId = await site.reserve({ computer: 'vm1' });
      await site.startDaemon();
      const sleeper = site.daemon!;
      await flock.stopped();
      sleeper.kill('SIGSTOP');
      try {
        await site.startDaemon(); // the standby
        await eventually(() => isLoaded(site, requestId), 60);
        const before = await sight(site);
        await flock.goOn();
        const logged = statSync(site.logFile).size;
        sleeper.kill('SIGCONT');
        const since = () => readFileSync(site.logFile).subarray(logged).toString();
        await eventually(async () => since().includes('waiting as standby'), 30);
        expect(await sight(site)).toEqual(before);
        expect(await audit(audited(), { inHand: [requestId] })).toEqual([]);
      } finally {
        sleeper.kill('SIGKILL');
      }
      await end(requestId);
    });
  });
});
