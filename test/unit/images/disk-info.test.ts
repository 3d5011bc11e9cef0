import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { readDiskInfo } from '../../../lib/images/disk-info';
import { FakeHost } from '../../support/fake-host';
import { makeSound, qemuImg } from '../../support/hostile-images';

let host: FakeHost;
beforeEach(() => {
  host = new FakeHost();
  makeSound(host.path('datastore', 'base.qcow2'), 'qcow2');
});
afterEach(() => host.close());

describe('what is known of a virtual disk', () => {
  it('is its sizes in bytes and MiB, its base and its snapshots', async () => {
    const disk = host.path('vms', 'vm1.qcow2');
    qemuImg('create', '-q', '-f', 'qcow2', '-b', '../datastore/base.qcow2', '-F', 'qcow2', disk);
    qemuImg('snapshot', '-c', 'before the update', disk);
    expect(await readDiskInfo(host, disk, 'qcow2')).toEqual({
      image: disk,
      format: 'qcow2',
      virtualSizeBytes: 2 ** 20,
      virtualSizeMiB: 1,
      diskSizeBytes: statSync(disk).blocks * 512,
      diskSizeMiB: 1,
      clusterSizeBytes: 65_536,
      backingFile: '../datastore/base.qcow2',
      backingFormat: 'qcow2',
      backingFileActualPath: expect.stringMatching(/datastore\/base\.qcow2$/),
      snapshots: [
        {
          id: '1',
          tag: 'before the update',
          date: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/),
          vmSizeBytes: 0,
          vmClock: '00:00:00.000',
        },
      ],
    });
  });

  it('is told while a guest has the disk open', async () => {
    const disk = host.path('datastore', 'base.qcow2');
    const guest = spawn('qemu-io', ['-f', 'qcow2', disk], { stdio: ['pipe', 'pipe', 'ignore'] });
    await new Promise<void>((resolve) => guest.stdout.once('data', () => resolve()));
    try {
      expect(await readDiskInfo(host, disk, 'qcow2')).toMatchObject({ backingFile: null, snapshots: [] });
    } finally {
      guest.stdin.end('quit\n');
    }
  });

  it('is nothing when the format is another: it is never guessed', async () => {
    execFileSync('sh', ['-c', 'echo plain > "$1"', 'sh', host.path('vms', 'plain.raw')]);
    await expect(readDiskInfo(host, host.path('vms', 'plain.raw'), 'qcow2')).rejects.toMatchObject({
      code: 'COMMAND_FAILED',
    });
    await expect(readDiskInfo(host, host.path('vms', 'gone.raw'), 'raw')).rejects.toMatchObject({
      code: 'COMMAND_FAILED',
    });
  });
});
