/**
 * Windows images from VMware, on disks with real registry hives, key by key. virt-win-reg boots an appliance, which takes half a minute;
 * a script stands for it that finds the hive on a FAT disk and merges with the same program of hivex. Itself, on an NTFS disk, it is in
 * test/cloud/windows-registry.test.ts.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { windowsRegistryChanges } from '../../../lib/images/windows-registry';
import { HostedComputer } from '../../../lib/libvirt/hosted-computer';
import type { Log } from '../../../lib/log';
import { makeHostedReservation } from '../../fixtures/hosted-reservation';
import { FakeHost } from '../../support/fake-host';
import { emptyHive } from '../../support/registry-hive';

const IMAGE = 'windows-Win7-v2';
const VERSION_6 = { type: 'windows', modulePackage: 'VCL::Module::OS::Windows::Version_6::7' };
const VERSION_5 = { type: 'windows', modulePackage: 'VCL::Module::OS::Windows::Version_5::XP' };
const HIVE = '::/Windows/System32/config/SYSTEM';
const VIRT_WIN_REG = `#!/bin/sh
set -eu
[ "$1 $2" = '--format=raw --merge' ]
MTOOLS_SKIP_CHECK=1 mcopy -o -i "$3" ${HIVE} "$3.hive"
hivexregedit --merge --prefix 'HKEY_LOCAL_MACHINE\\SYSTEM' "$3.hive" "$4"
MTOOLS_SKIP_CHECK=1 mcopy -o -i "$3" "$3.hive" ${HIVE}
rm "$3.hive"
`;

/** What a Windows has before any driver is installed. */
const KEYS = ['', '\\Services', '\\Control', '\\Control\\CriticalDeviceDatabase'].reduce(
  (text, key) => `${text}\n[\\ControlSet001${key}]\n`,
  'Windows Registry Editor Version 5.00\n',
);

let host: FakeHost;
let warnings: string[];
const log: Log = { debug() {}, info() {}, warn: (text) => void warnings.push(text), error() {}, child: () => log };
const run = (program: string, ...args: string[]) => execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });

/** The programs of this machine but virt-win-reg, which may be installed. */
const programs = mkdtempSync(path.join(tmpdir(), 'provisiond-programs-'));
const searchPath = process.env['PATH'];
beforeAll(() => {
  const folders = (searchPath ?? '').split(':').filter((folder) => existsSync(folder));
  const found = new Map(
    folders.reverse().flatMap((folder) => {
      const names = readdirSync(folder, { encoding: 'utf8' });
      return names.map((name) => [name, path.join(folder, name)] as const);
    }),
  );
  found.delete('virt-win-reg');
  for (const [name, file] of found) symlinkSync(file, path.join(programs, name));
  process.env['PATH'] = programs;
});
afterAll(() => {
  process.env['PATH'] = searchPath;
  rmSync(programs, { recursive: true });
});

beforeEach(() => {
  host = new FakeHost();
  warnings = [];
  mkdirSync(host.path('repository', IMAGE));
  const disk = host.path('repository', IMAGE, `${IMAGE}.raw`);
  writeFileSync(host.path('hive'), emptyHive());
  writeFileSync(host.path('keys'), KEYS);
  run('hivexregedit', '--merge', host.path('hive'), host.path('keys'));
  run('truncate', '-s', '8M', disk);
  run('mformat', '-i', disk, '-T', '16384', '-h', '16', '-s', '63', '::');
  run('mmd', '-i', disk, '::/Windows', '::/Windows/System32', '::/Windows/System32/config');
  run('mcopy', '-i', disk, host.path('hive'), HIVE);
});
afterEach(() => host.close());

const install = () => writeFileSync(host.path('bin', 'virt-win-reg'), VIRT_WIN_REG, { mode: 0o755 });

async function copy(os: { type: string; modulePackage: string }): Promise<string> {
  const facts = host.facts();
  const reservation = makeHostedReservation({
    image: { name: IMAGE },
    host: { ...facts, profile: { ...facts.profile, datastoreFormat: 'raw' } },
  });
  const withOs = { ...reservation, image: { ...reservation.image, os: { ...reservation.image.os, ...os } } };
  const settings = { xmlDirectory: host.path('xml'), imageTimeoutMs: 20_000 };
  const base = await new HostedComputer({ reservation: withOs, loadId: 'load', host, settings, log }).images.ensureBase(
    'raw',
  );
  run('mcopy', '-o', '-i', base.path, HIVE, host.path('after'));
  return base.path;
}

/** What is in the hive now, as hivex reads it. */
function values(key: string): string {
  return run('hivexregedit', '--export', host.path('after'), key).toString();
}

describe('a Windows image from VMware that comes to a host', () => {
  it('starts none of the services of VMware any more', async () => {
    install();
    const base = await copy(VERSION_6);
    for (const service of ['VClone', 'vmci', 'vmmouse', 'vmscsi', 'VMTools', 'vmx_svga', 'vmxnet'])
      expect(values(`\\ControlSet001\\Services\\${service}`)).toContain('"Start"=dword:00000004');
    expect(values('\\ControlSet001\\Control\\CriticalDeviceDatabase')).not.toContain('pci#');
    expect(statSync(base).mode & 0o777).toBe(0o444);
    expect(host.files('datastore').filter((name) => !name.startsWith('.'))).toEqual([`${IMAGE}.raw`]);
  });

  it('of Windows 5.x has the drivers of IDE started at boot, for the controller that QEMU has', async () => {
    install();
    await copy(VERSION_5);
    const devices = '\\ControlSet001\\Control\\CriticalDeviceDatabase';
    expect(values(`${devices}\\pci#ven_8086&dev_7010`)).toMatch(/"Service"=/);
    expect(run('hivexget', host.path('after'), `${devices}\\pci#ven_8086&dev_7010`, 'Service').toString().trim()).toBe(
      'IntelIde',
    );
    expect(run('hivexget', host.path('after'), `${devices}\\primary_ide_channel`, 'Service').toString().trim()).toBe(
      'atapi',
    );
    const driver = '\\ControlSet001\\Services\\atapi';
    expect(values(driver)).toContain('"Start"=dword:00000000');
    expect(run('hivexget', host.path('after'), driver, 'ImagePath').toString().trim()).toBe(
      'system32\\DRIVERS\\atapi.sys',
    );
  });

  it('is left as it is where virt-win-reg is not installed, which is said', async () => {
    await copy(VERSION_6);
    expect(readFileSync(host.path('after')).equals(readFileSync(host.path('hive')))).toBe(true);
    expect(warnings).toEqual([expect.stringContaining('virt-win-reg is not installed')]);
  });

  it('is not used when its registry cannot be read, and the reason is told', async () => {
    writeFileSync(host.path('bin', 'virt-win-reg'), '#!/bin/sh\necho "no operating system was found" >&2\nexit 1\n', {
      mode: 0o755,
    });
    await expect(copy(VERSION_6)).rejects.toMatchObject({
      code: 'IMAGE_COPY_FAILED',
      message: expect.stringContaining('no operating system was found'),
    });
    expect(host.files('datastore').filter((name) => !name.startsWith('.'))).toEqual([]);
  });

  it('of another system has no registry', async () => {
    expect(windowsRegistryChanges({ type: 'linux', modulePackage: 'VCL::Module::OS::Linux' })).toBeNull();
    install();
    await copy({ type: 'linux', modulePackage: 'VCL::Module::OS::Linux' });
    expect(readFileSync(host.path('after')).equals(readFileSync(host.path('hive')))).toBe(true);
  });
});
