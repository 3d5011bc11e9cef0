/** Guests with UEFI on the real libvirt: what it keeps for them beside the disk comes and goes with the domain. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import kvm from '../../drivers/kvm';
import type { Host } from '../../lib/host/host';
import { LocalHost } from '../../lib/host/local-host';
import { LibvirtProvisioner } from '../../lib/libvirt/libvirt-provisioner';
import { type LoadContext, loadSteps } from '../../lib/libvirt/load-steps';
import type { BootParameters } from '../../lib/model/boot';
import { runSteps } from '../../lib/steps/step';
import { makeHostedReservation } from '../fixtures/hosted-reservation';
import { MemoryLog } from '../fixtures/memory-log';
import { readLab } from '../support/lab';
import { eventually } from '../support/eventually';

const lab = readLab();
const UEFI: BootParameters = { hvmPolicy: 'BIOS order', hvmFirmware: 'uefi', hvmOrder: 'c' };
const DOMAIN = 'vm8_TinyLinux_12-v2';
const NVRAM = `/var/lib/libvirt/qemu/nvram/${DOMAIN}_VARS.fd`;
let folder: string;
let host: LocalHost;

const virsh = (...argv: string[]) => execFileSync('virsh', ['-q', ...argv], { encoding: 'utf8' });
const vms = () => readdirSync(path.join(folder, 'vms')).filter((file) => !file.endsWith('.load'));

beforeAll(() => {
  folder = mkdtempSync(path.join(lab.folder, 'uefi-'));
  chmodSync(folder, 0o711);
  for (const name of ['images', 'vms']) mkdirSync(path.join(folder, name));
  // A disk from which nothing boots: firmware needs none to write down its variables.
  execFileSync('qemu-img', [
    'create',
    '-q',
    '-f',
    'qcow2',
    path.join(folder, 'images/vmwarelinux-Tiny12-v2.qcow2'),
    '1M',
  ]);
  host = new LocalHost({ name: 'host1' });
});
afterAll(async () => {
  await provisioner(UEFI).unload();
  await host.close();
});

function provisioner(boot: BootParameters, loadId = 'uefi', on: Host = host): LibvirtProvisioner {
  const profile = { datastorePath: path.join(folder, 'images'), vmPath: path.join(folder, 'vms') };
  const computer = { ...{ id: 8, shortName: 'vm8', privateIp: '192.168.121.18' }, privateMac: '52:54:00:0d:00:01' };
  const reservation = makeHostedReservation({ profile, computer: { ...computer, publicMac: '52:54:00:0d:00:02' } });
  const settings = { xmlDirectory: path.join(folder, 'xml'), imageTimeoutMs: 60_000 };
  return new LibvirtProvisioner(
    { reservation: { ...reservation, boot }, loadId, host: on, settings, log: new MemoryLog() },
    { chooseDriver: async () => kvm },
  );
}

async function load(subject: LibvirtProvisioner) {
  const context: LoadContext = { provisioner: subject, signal: new AbortController().signal, log: new MemoryLog() };
  return runSteps(loadSteps, context, { signal: context.signal });
}

describe('a guest with UEFI', () => {
  it('is defined with the firmware of the host, and keeps its variables over off and on', async () => {
    const subject = provisioner(UEFI);
    expect(await load(subject)).toEqual({ kind: 'done' });
    expect(virsh('dumpxml', DOMAIN)).toMatch(/type='pflash'[\s\S]*<nvram[^>]*>.*_VARS\.fd<\/nvram>/);
    // The firmware itself runs: it says so on the guest's console.
    await eventually(async () => (await subject.diagnoseGuest()).consoleTail.includes('BdsDxe'), 90);
    const made = statSync(NVRAM).ino;
    await subject.powerReset();
    expect(await subject.powerStatus()).toBe('on');
    expect(statSync(NVRAM).ino).toBe(made);
  });

  it('takes its variables with it when a load with a BIOS comes, which another than UEFI boots', async () => {
    expect(existsSync(NVRAM)).toBe(true);
    expect(await load(provisioner({ hvmPolicy: 'BIOS order' }, 'bios'))).toEqual({ kind: 'done' });
    expect([existsSync(NVRAM), virsh('dumpxml', DOMAIN).includes('pflash')]).toEqual([false, false]);
  });

  it('leaves neither domain nor disk nor variables behind, on or off', async () => {
    const subject = provisioner(UEFI, 'again');
    expect(await load(subject)).toEqual({ kind: 'done' });
    expect(existsSync(NVRAM)).toBe(true);
    await subject.unload();
    expect([existsSync(NVRAM), vms(), virsh('list', '--all', '--name').includes('vm8_')]).toEqual([false, [], false]);
  });

  it('is refused by a host that has no UEFI, before anything is made there', async () => {
    // The same libvirt, where it does not find its firmware.
    const poor: Host = {
      name: 'host1',
      run: async (argv, options) => {
        const result = await host.run(argv, options);
        return argv[2] === 'domcapabilities' ? { ...result, stdout: result.stdout.replace('efi', 'none') } : result;
      },
    };
    const outcome = await load(provisioner(UEFI, 'poor', poor));
    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'BOOT_UNSUPPORTED', blame: 'config' } });
    expect([vms(), virsh('list', '--all', '--name').includes('vm8_')]).toEqual([[], false]);
  });
});
