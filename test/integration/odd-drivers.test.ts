/** Two drivers that no built-in resembles, as an admin would drop them in, on the real libvirt. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { reviewPlugin } from '../../lib/cli/plugins-test';
import { LocalHost } from '../../lib/host/local-host';
import { hostFacts } from '../../lib/libvirt/host-facts';
import { LibvirtProvisioner } from '../../lib/libvirt/libvirt-provisioner';
import { type LoadContext, loadSteps } from '../../lib/libvirt/load-steps';
import { programTrust } from '../../lib/plugins/file-trust';
import { PluginRegistry } from '../../lib/plugins/registry';
import { runSteps } from '../../lib/steps/step';
import { makeHostedReservation } from '../fixtures/hosted-reservation';
import { MemoryLog } from '../fixtures/memory-log';
import { readLab } from '../support/lab';
import { eventually } from '../support/eventually';

const lab = readLab();
const DRIVERS = path.join(__dirname, '../fixtures/drivers');
const IMAGE = 'vmwarelinux-Tiny12-v2';
const DOMAIN = 'vm9_TinyLinux_12-v2';
const registry = new PluginRegistry(
  { pluginDirs: [], osModules: {}, predictiveModules: {}, hookTimeoutMs: 60_000 },
  new MemoryLog(),
  {
    driver: [{ path: DRIVERS, trust: programTrust(DRIVERS), configured: true }],
  },
);
let folder: string;
let host: LocalHost;

const virsh = (...argv: string[]) => execFileSync('virsh', ['-q', ...argv], { encoding: 'utf8' });
/** The fence's note stays. */
const vms = () => readdirSync(path.join(folder, 'vms')).filter((file) => !file.endsWith('.load'));

beforeAll(() => {
  folder = mkdtempSync(path.join(lab.folder, 'odd-'));
  chmodSync(folder, 0o711);
  for (const name of ['images', 'vms']) mkdirSync(path.join(folder, name));
  copyFileSync(lab.imageFile, path.join(folder, 'images', `${IMAGE}.qcow2`));
  copyFileSync(`${lab.imageFile}.kernel`, path.join(folder, 'images/kernel'));
  copyFileSync(`${lab.imageFile}.initrd`, path.join(folder, 'images/initrd'));
  if (hasLoop) makeLoopDevices();
  host = new LocalHost({ name: 'host1' });
});

afterAll(() => host.close());

/** The lab's own /dev has none. */
function makeLoopDevices(): void {
  const make = (node: string, ...numbers: string[]) => {
    if (!existsSync(node)) execFileSync('mknod', [node, ...numbers]);
  };
  make('/dev/loop-control', 'c', '10', '237');
  for (let number = 0; number < 16; number++) make(`/dev/loop${number}`, 'b', '7', String(number));
}

function provisioner(driver: string, loadId = driver): LibvirtProvisioner {
  const profile = { datastorePath: path.join(folder, 'images'), vmPath: path.join(folder, 'vms') };
  const computer = { ...{ id: 9, shortName: 'vm9', privateIp: '192.168.121.19' }, privateMac: '52:54:00:0c:00:01' };
  const reservation = makeHostedReservation({ profile, computer: { ...computer, publicMac: '52:54:00:0c:00:02' } });
  const log = new MemoryLog();
  const settings = { xmlDirectory: path.join(folder, 'xml'), imageTimeoutMs: 60_000 };
  return new LibvirtProvisioner(
    { reservation, loadId, host, settings, log },
    { chooseDriver: async () => registry.chooseDriver(await hostFacts(host), driver) },
  );
}

async function load(subject: LibvirtProvisioner) {
  const context: LoadContext = { provisioner: subject, signal: new AbortController().signal, log: new MemoryLog() };
  return runSteps(loadSteps, context, { signal: context.signal });
}

describe.each(['volume-group', 'diskless'])('the driver %s', (name) => {
  it('is what a reviewer wants', async () => {
    const { findings } = await reviewPlugin(path.join(DRIVERS, `${name}.js`), 'driver', 10_000);
    expect(findings.filter(({ verdict }) => verdict !== 'passed')).toEqual([]);
  });
});

/** Some containers have none: then these tests are skipped, and the run says so. */
const hasLoop = readFileSync('/proc/misc', 'utf8').includes('loop-control');

(hasLoop ? describe : describe.skip)('guests on block devices (by the kernel’s loop driver)', () => {
  const DEVICE = '/run/volume-group/guest-vm9';

  it('are loaded, and boot from them', async () => {
    const subject = provisioner('volume-group');
    expect(await load(subject)).toEqual({ kind: 'done' });
    expect(virsh('domblklist', DOMAIN)).toContain(DEVICE);
    await eventually(async () => (await subject.diagnoseGuest()).sshPortOpen, 60);
    expect(await load(subject)).toEqual({ kind: 'done' }); // resumed: nothing is made again
    await subject.powerReset();
    expect(await subject.powerStatus()).toBe('on');
  });

  it('leave no device and no volume when a new load comes, or they go', async () => {
    expect(await load(provisioner('volume-group', 'later'))).toEqual({ kind: 'done' });
    expect(virsh('domblklist', DOMAIN)).toContain(DEVICE);
    await provisioner('volume-group', 'later').unload();
    expect([existsSync(DEVICE), vms(), readdirSync(path.join(folder, 'vms/volume-group'))]).toEqual([
      false,
      ['volume-group'],
      [],
    ]);
    expect(virsh('list', '--all', '--name').trim()).toBe('');
  });
});

describe('guests without a disk', () => {
  it('run a kernel of the host and are gone without a trace', async () => {
    const subject = provisioner('diskless');
    expect(await load(subject)).toEqual({ kind: 'done' });
    expect(virsh('domblklist', DOMAIN).trim()).toBe('');
    await eventually(async () => (await subject.diagnoseGuest()).consoleTail.includes('Kernel panic'), 60);
    expect(await load(subject)).toEqual({ kind: 'done' });
    await subject.unload();
    expect(virsh('list', '--all', '--name').trim()).toBe('');
    expect(vms().filter((file) => file !== 'volume-group')).toEqual([]);
  });
});
