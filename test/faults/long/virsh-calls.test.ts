/** libvirtd killed, or stopped and gone on with, at every single virsh call of a load and of its end. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { audit } from '../../support/auditor';
import { round, writeTable } from '../../support/fault-table';
import { eventually } from '../../support/eventually';
import { Site } from '../../support/site';
import { startedUp } from '../../support/started-up';

const PID_FILE = '/run/libvirtd.pid';

/** `virsh`, in the lab's own mount namespace, that does something to libvirtd before its n-th call from now. */
class CountingVirsh {
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = path.join(folder, 'counting');
    mkdirSync(this.folder);
    const real = path.join(this.folder, 'virsh.real');
    copyFileSync('/usr/bin/virsh', real);
    const wrapper = path.join(this.folder, 'virsh');
    writeFileSync(wrapper, WRAPPER.replaceAll('FOLDER', this.folder));
    [real, wrapper, this.folder].forEach((file) => chmodSync(file, 0o755));
    execFileSync('mount', ['--bind', wrapper, '/usr/bin/virsh']);
  }

  /** @param signal KILL or STOP */
  strikeAt(call: number, signal: string): void {
    writeFileSync(path.join(this.folder, 'signal'), signal);
    writeFileSync(path.join(this.folder, 'at'), String(call));
  }

  get hasStruck(): boolean {
    return !existsSync(path.join(this.folder, 'at'));
  }

  close(): void {
    execFileSync('umount', ['/usr/bin/virsh']);
  }
}

const WRAPPER = `#!/bin/sh
exec 9>>FOLDER/lock
flock 9
if [ -e FOLDER/at ]; then
  at=$(cat FOLDER/at)
  if [ "$at" -gt 0 ]; then echo $((at - 1)) > FOLDER/at; else
    kill -"$(cat FOLDER/signal)" "$(cat ${PID_FILE})"
    rm FOLDER/at
  fi
fi
exec 9>&-
exec FOLDER/virsh.real "$@"
`;

describe('libvirtd at every virsh call of a life', () => {
  let site: Site;
  let virsh: CountingVirsh;
  beforeAll(async () => {
    const settings = { retryAttempts: 8, retryDelayMs: 300, commandTimeoutMs: 4000 };
    site = await Site.open({ settings });
    virsh = new CountingVirsh(site.folder);
  });
  afterEach(async () => {
    await site.killDaemon();
    await site.clear();
    await site.startDaemon();
  });
  afterAll(async () => {
    virsh?.close();
    await site?.close();
    writeTable();
  });

  const calls = Array.from({ length: 14 }, (_, index) => index);
  it.each([
    ...calls.map((call) => ({ call, signal: 'KILL' })),
    ...calls.filter((call) => call % 2 === 0).map((call) => ({ call, signal: 'STOP' })),
  ])('gets $signal before call $call, and the reservation goes on', async ({ call, signal }) => {
    await round(`libvirtd gets ${signal} before the n-th virsh call`, 'P2 P3', async () => {
      virsh.strikeAt(call, signal);
      const requestId = await site.reserve({ computer: 'vm1' });
      const mending = mend(signal);
      await startedUp(site, requestId, 90);
      await site.endAsUsed(requestId);
      await site.waitForRequest(requestId, null, 90);
      // A life of fewer calls: the blow falls on those of the auditor's eyes.
      while (!virsh.hasStruck) await site.domains().catch(() => {});
      await mending;
      expect(await audit({ ...site.config, vms: site.vms, datastore: site.datastore })).toEqual([]);
    });
  });

  /** Puts libvirtd right a while after the blow. */
  async function mend(signal: string): Promise<void> {
    await eventually(async () => virsh.hasStruck, 150);
    if (signal === 'STOP') {
      await pause(5000);
      process.kill(Number(readFileSync(PID_FILE, 'utf8').trim()), 'SIGCONT');
      return;
    }
    await pause(700);
    spawn('libvirtd', ['-d'], { stdio: 'ignore', detached: true }).unref();
    await eventually(async () => {
      try {
        execFileSync('virsh', ['-q', 'list'], { timeout: 3000, stdio: 'ignore' });
        return true;
      } catch {
        return false;
      }
    }, 40);
  }
});
