/** A host whose libvirtd dies or hangs, whose way breaks or swallows everything, whose disk is full. */
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { audit } from '../support/auditor';
import { inLongForm, round, writeTable } from '../support/fault-table';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';
import { startedUp } from '../support/started-up';
import { TcpProxy } from '../support/tcp-proxy';

/** The lab's own libvirtd: it has a process namespace to itself. */
function libvirtd(): number {
  return Number(readFileSync('/run/libvirtd.pid', 'utf8').trim());
}

function startLibvirtd(): void {
  spawn('libvirtd', ['-d'], { stdio: 'ignore', detached: true }).unref();
}

async function libvirtdAnswers(): Promise<void> {
  await eventually(async () => {
    try {
      execFileSync('virsh', ['-q', 'list'], { timeout: 3000, stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  }, 40);
}

/** For whoever opens a file of the folder meanwhile; what is open stays so, as with a disk that has just failed. */
async function whileReadOnly<T>(folder: string, work: () => Promise<T>): Promise<T> {
  execFileSync('mount', ['--bind', folder, folder]);
  try {
    execFileSync('mount', ['-o', 'remount,bind,ro', folder]);
    return await work();
  } finally {
    execFileSync('umount', ['-l', folder]);
  }
}

describe('a load', () => {
  let site: Site;
  let proxy: TcpProxy | undefined;
  afterEach(async () => {
    proxy?.pass();
    await site?.killDaemon();
    await site?.clear();
    await site?.close();
    await proxy?.close();
    proxy = undefined;
  });
  afterAll(writeTable);

  async function clearUp(...requestIds: number[]): Promise<void> {
    for (const requestId of requestIds) await site.frontEnd.end(requestId);
    for (const requestId of requestIds) await site.waitForRequest(requestId, null, 60);
    expect(await audit({ ...site.config, vms: site.vms, datastore: site.datastore })).toEqual([]);
  }

  const begun = (requestId: number) =>
    eventually(async () => (await site.loadStates(requestId)).includes('startload'), 20);

  inLongForm('goes on when libvirtd is killed in its middle and started again', async () => {
    await round('libvirtd killed with kill -9 in a load and restarted', 'P2 P3', async () => {
      site = await Site.open({ settings: { retryAttempts: 6, retryDelayMs: 500 } });
      const requestId = await site.reserve({ computer: 'vm1' });
      await begun(requestId);
      process.kill(libvirtd(), 'SIGKILL');
      await pause(1500);
      startLibvirtd();
      await libvirtdAnswers();
      await startedUp(site, requestId);
      await clearUp(requestId);
    });
  });

  inLongForm('goes on when libvirtd hangs for longer than a command may take', async () => {
    await round('libvirtd stopped (SIGSTOP) longer than the time limit of a command', 'P2 P3 P7', async () => {
      site = await Site.open({ settings: { retryAttempts: 6, retryDelayMs: 500, commandTimeoutMs: 3000 } });
      const requestId = await site.reserve({ computer: 'vm1' });
      await begun(requestId);
      const pid = libvirtd();
      process.kill(pid, 'SIGSTOP');
      try {
        await pause(5000);
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      await startedUp(site, requestId);
      await clearUp(requestId);
    });
  });

  inLongForm('goes on when the way to the host breaks again and again', async () => {
    await round('ssh cut with RST five times in a load', 'P2 P3', async () => {
      proxy = await TcpProxy.to(22);
      site = await Site.open({ host: { port: proxy.port }, settings: { retryAttempts: 12 } });
      const requestId = await site.reserve({ computer: 'vm1' });
      for (let cut = 0; cut < 5; cut++) {
        await pause(300 + Math.random() * 300);
        proxy.reset();
      }
      await startedUp(site, requestId);
      await clearUp(requestId);
    });
  });

  it('on another host is not held up by a host that swallows everything', async () => {
    await round('one host is a black hole, the other works', 'P7', async () => {
      proxy = await TcpProxy.to(22);
      site = await Site.open({
        host: { port: proxy.port },
        withoutDaemon: true,
        settings: { retryAttempts: 20, commandTimeoutMs: 3000, sshConnectTimeoutMs: 2000 },
      });
      const node = site.managementNodeId;
      await site.putHost('host2', {}, node);
      await site.putComputer('vm2', 'host2', node);
      await site.startDaemon();
      proxy.swallow();
      const [hung, well] = [await site.reserve({ computer: 'vm1' }), await site.reserve({ computer: 'vm2' })];
      const startedAt = Date.now();
      await startedUp(site, well, 20);
      expect(Date.now() - startedAt).toBeLessThan(12_000);
      expect(await site.loadStates(hung)).not.toContain('startload');
      await pause(2000);
      proxy.reset(); // what was swallowed stays lost
      proxy.pass();
      await startedUp(site, hung, 90);
      await clearUp(hung, well);
    });
  });

  it('fails with the reason when the disk is full, and leaves nothing', async () => {
    await round('folder of the disks is full', 'P3', async () => {
      site = await Site.open();
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m,mode=711', 'tmpfs', site.vms]);
      try {
        const requestId = await site.reserve({ computer: 'vm1' });
        await eventually(async () => (await site.requestState(requestId)) === 'failed/new', 40);
        expect(await site.failure(requestId)).toMatch(/HOST_DISK_FULL/);
        expect(await site.computerState('vm1')).toBe('available');
        expect(await audit({ ...site.config, vms: site.vms, datastore: site.datastore })).toEqual([]);
      } finally {
        execFileSync('umount', ['-l', site.vms]);
      }
    });
  });

  inLongForm('fails with the reason when the disk fills up in the middle of it, and leaves nothing', async () => {
    await round('folder of the XML files is full, after the disk was made', 'P3', async () => {
      site = await Site.open({ withoutDaemon: true });
      const { xmlDirectory } = site.config;
      mkdirSync(xmlDirectory, { mode: 0o700 });
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k,mode=700', 'tmpfs', xmlDirectory]);
      try {
        execFileSync('sh', ['-c', 'cat /dev/zero > "$1/filler" 2>/dev/null || true', 'sh', xmlDirectory]);
        await site.startDaemon();
        const requestId = await site.reserve({ computer: 'vm1' });
        await eventually(async () => (await site.requestState(requestId)) === 'failed/new', 60);
        expect(await site.failure(requestId)).toMatch(/HOST_DISK_FULL/);
        expect(await site.computerState('vm1')).toBe('available');
      } finally {
        execFileSync('umount', ['-l', xmlDirectory]);
      }
      expect(await audit({ ...site.config, vms: site.vms, datastore: site.datastore })).toEqual([]);
    });
  });

  inLongForm(
    'fails with the reason when its file system has gone read-only, and goes on when that is mended',
    async () => {
      await round('file system read-only before a load, and before its end', 'P3', async () => {
        site = await Site.open();
        const first = await whileReadOnly(site.vms, async () => {
          const requestId = await site.reserve({ computer: 'vm1' });
          await eventually(async () => (await site.requestState(requestId)) === 'failed/new', 60);
          return requestId;
        });
        expect(await site.failure(first)).toMatch(/[Rr]ead-only file system/);
        const second = await site.reserve({ computer: 'vm1' });
        await startedUp(site, second);
        await whileReadOnly(site.vms, async () => {
          await site.frontEnd.end(second);
          await pause(3000);
        });
        await site.waitForRequest(second, null, 90);
        expect(await audit({ ...site.config, vms: site.vms, datastore: site.datastore })).toEqual([]);
      });
    },
  );

  inLongForm('is late, not wrong, when the disk of the host is slow', async () => {
    await round('qemu-img takes 4 s for everything', 'P3', async () => {
      site = await Site.open();
      const folder = path.join(site.folder, 'slow');
      mkdirSync(folder);
      copyFileSync('/usr/bin/qemu-img', path.join(folder, 'qemu-img.real'));
      writeFileSync(path.join(folder, 'qemu-img'), `#!/bin/sh\nsleep 4\nexec ${folder}/qemu-img.real "$@"\n`);
      [folder, `${folder}/qemu-img`, `${folder}/qemu-img.real`].forEach((file) => chmodSync(file, 0o755));
      execFileSync('mount', ['--bind', path.join(folder, 'qemu-img'), '/usr/bin/qemu-img']);
      try {
        const requestId = await site.reserve({ computer: 'vm1' });
        await startedUp(site, requestId, 90);
        await clearUp(requestId);
      } finally {
        execFileSync('umount', ['-l', '/usr/bin/qemu-img']);
      }
    });
  });
});
