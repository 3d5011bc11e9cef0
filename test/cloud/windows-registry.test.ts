/**
 * A Windows image from VMware, with virt-win-reg itself on a real NTFS disk: it boots an appliance that finds the Windows on it and
 * merges into its hives. What becomes of each key is in test/unit/images/windows-registry.test.ts.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { HostedComputer } from '../../lib/libvirt/hosted-computer';
import type { Log } from '../../lib/log';
import { makeHostedReservation } from '../fixtures/hosted-reservation';
import { FakeHost } from '../support/fake-host';
import { emptyHive } from '../support/registry-hive';

const LIMIT_MS = 900_000;
const IMAGE = 'windows-Win7-v2';
const TEXT = 'Windows Registry Editor Version 5.00\n';
const SYSTEM = `${TEXT}
[\\Select]
"Current"=dword:00000001
"Default"=dword:00000001

[\\ControlSet001]

[\\ControlSet001\\Control]

[\\ControlSet001\\Control\\CriticalDeviceDatabase]

[\\ControlSet001\\Services]

[\\ControlSet001\\Services\\vmci]
"Start"=dword:00000000
"Type"=dword:00000001
`;
const SOFTWARE = `${TEXT}
[\\Microsoft]

[\\Microsoft\\Windows NT]

[\\Microsoft\\Windows NT\\CurrentVersion]
"ProductName"="Windows 7 Professional"
"CurrentVersion"="6.1"
"InstallationType"="Client"
`;

let host: FakeHost;
const warnings: string[] = [];
const log: Log = { debug() {}, info() {}, warn: (text) => void warnings.push(text), error() {}, child: () => log };
const run = (program: string, ...args: string[]) =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

function writeHive(file: string, keys: string): void {
  writeFileSync(file, emptyHive());
  writeFileSync(`${file}.reg`, keys);
  run('hivexregedit', '--merge', file, `${file}.reg`);
}

/** A program of 64 bits that does nothing: by it an inspection knows which Windows this is. */
function emptyProgram(): Buffer {
  const file = Buffer.alloc(512);
  file.write('MZ', 0, 'latin1');
  file.writeUInt32LE(0x40, 0x3c);
  file.write('PE\0\0', 0x40, 'latin1');
  file.writeUInt16LE(0x8664, 0x44);
  file.writeUInt16LE(0xf0, 0x54); // the optional header
  file.writeUInt16LE(0x22, 0x56);
  file.writeUInt16LE(0x20b, 0x58);
  file.writeUInt16LE(3, 0x58 + 68); // a console
  return file;
}

beforeAll(() => {
  host = new FakeHost();
  mkdirSync(host.path('repository', IMAGE));
  const config = host.path('tree', 'Windows', 'System32', 'config');
  mkdirSync(config, { recursive: true });
  mkdirSync(host.path('hives'));
  for (const [name, keys] of Object.entries({ SYSTEM, SOFTWARE })) {
    writeHive(host.path('hives', name), keys);
    run('cp', host.path('hives', name), config);
  }
  writeFileSync(path.join(config, '..', 'cmd.exe'), emptyProgram());
  const disk = host.path('repository', IMAGE, `${IMAGE}.raw`);
  run('virt-make-fs', '--partition=mbr', '--type=ntfs', '--format=raw', '--size=+8M', host.path('tree'), disk);
}, LIMIT_MS);
afterAll(() => host.close());

describe('a Windows image from VMware', () => {
  it(
    'comes to a host without what VMware left in its registry, in the datastore’s format',
    async () => {
      const reservation = makeHostedReservation({ image: { name: IMAGE }, host: host.facts() });
      const os = { ...reservation.image.os, type: 'windows', modulePackage: 'VCL::Module::OS::Windows::Version_6::7' };
      const windows = { ...reservation, image: { ...reservation.image, os } };
      const settings = { xmlDirectory: host.path('xml'), imageTimeoutMs: LIMIT_MS };
      const computer = new HostedComputer({ reservation: windows, loadId: 'load', host, settings, log });
      const base = await computer.images.ensureBase('qcow2');
      expect(warnings).toEqual([]);
      expect(statSync(base.path).mode & 0o777).toBe(0o444);
      const vmci = run('virt-win-reg', '--format=qcow2', base.path, 'HKLM\\SYSTEM\\ControlSet001\\Services\\vmci');
      expect(vmci).toContain('"Start"=dword:00000004');
      expect(vmci).toContain('"Type"=dword:00000001');
    },
    LIMIT_MS,
  );
});
