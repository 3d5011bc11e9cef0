/** The VM host that a site of a test has: the lab's own, where the tests run, or the lab's Xen host, by ssh. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { NewHost } from '../../lib/store/front-end';
import type { Lab } from './lab';

const exec = promisify(execFile);

export interface VmHost {
  /** What the site enters it with. */
  readonly entry: Pick<NewHost, 'address' | 'hostKey'>;
  /** Of the private network: `192.168.121`. */
  readonly privateNet: string;
  /** Folder for the site's disks; made and removed by the site's own name. */
  readonly folderFor: (siteFolder: string) => string;
  run(...argv: string[]): Promise<string>;
  makeFolder(folder: string): Promise<void>;
  put(file: string, target: string): Promise<void>;
  /** Names in a folder; none where it does not exist. */
  list(folder: string): Promise<string[]>;
}

/** Tests run on it. */
export function ownVmHost(lab: Lab): VmHost {
  return {
    entry: { address: '127.0.0.1', hostKey: lab.hostKey },
    privateNet: '192.168.121',
    folderFor: (siteFolder) => siteFolder,
    run: async (program, ...argv) => (await exec(program, argv)).stdout,
    makeFolder: (folder) => Promise.resolve(void mkdirSync(folder, { recursive: true })),
    put: (file, target) => copyFile(file, target),
    list: (folder) => Promise.resolve(existsSync(folder) ? readdirSync(folder) : []),
  };
}

/** @throws when the lab has none */
export function xenVmHost(lab: Lab): VmHost {
  if (!lab.xen) throw new Error('this test needs the lab’s Xen host: test/lab/xen-host start LAB');
  const { address, hostKey } = lab.xen;
  const options = [
    '-q',
    '-i',
    lab.guestKeyFile,
    '-o',
    'StrictHostKeyChecking=no',
    '-o',
    'UserKnownHostsFile=/dev/null',
    // Its processor is emulated: each connection of its own would cost seconds.
    ...['-o', 'ControlMaster=auto', '-o', `ControlPath=${lab.folder}/xen-%C`, '-o', 'ControlPersist=30'],
  ];
  const quoted = (argv: readonly string[]) => argv.map((word) => `'${word.replace(/'/g, `'\\''`)}'`).join(' ');
  const run = async (...argv: string[]) => (await exec('ssh', [...options, `root@${address}`, quoted(argv)])).stdout;
  return {
    entry: { address, hostKey },
    privateNet: '192.168.77',
    folderFor: (siteFolder) => path.join('/var/lib/libvirt/images', path.basename(siteFolder)),
    run,
    makeFolder: async (folder) => void (await run('mkdir', '-p', folder)),
    put: async (file, target) => {
      // The lab's own files are on a disk of dom0's already.
      const copied = await run(
        'sh',
        '-c',
        'cp "/mnt/lab/$1" "$2" 2>/dev/null && echo yes || true',
        'sh',
        path.basename(file),
        target,
      );
      if (copied === '') await exec('scp', [...options, file, `root@${address}:${target}`]);
    },
    list: async (folder) =>
      (await run('sh', '-c', 'ls -A "$1" 2>/dev/null || true', 'sh', folder)).split('\n').filter(Boolean),
  };
}
