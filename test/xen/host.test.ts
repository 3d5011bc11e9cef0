/** The Xen host as a host, and each kind of guest that its driver makes, loaded and unloaded there. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { SshHost } from '../../lib/host/ssh-host';
import { hostFacts } from '../../lib/libvirt/host-facts';
import { LibvirtProvisioner } from '../../lib/libvirt/libvirt-provisioner';
import { type LoadContext, loadSteps } from '../../lib/libvirt/load-steps';
import type { BootParameters } from '../../lib/model/boot';
import { PluginRegistry } from '../../lib/plugins/registry';
import { runSteps } from '../../lib/steps/step';
import { describeHost } from '../contract/host.contract';
import { makeHostedReservation } from '../fixtures/hosted-reservation';
import { MemoryLog } from '../fixtures/memory-log';
import { readLab } from '../support/lab';
import { xenVmHost } from '../support/vm-host';
import { MINUTE } from '../support/xen-site';

const lab = readLab();
const dom0 = xenVmHost(lab);
const folder = `/var/lib/libvirt/images/host-test-${randomUUID().slice(0, 8)}`;
const IMAGE = 'vmwarelinux-Tiny12-v2';
const registry = new PluginRegistry(
  { pluginDirs: [], osModules: {}, predictiveModules: {}, hookTimeoutMs: MINUTE },
  new MemoryLog(),
);
let host: SshHost;

beforeAll(async () => {
  host = new SshHost({
    ...{ name: 'xen1', address: dom0.entry.address, port: 22, user: 'root', hostKey: dom0.entry.hostKey },
    ...{ keyFiles: [lab.guestKeyFile], commandTimeoutMs: 5 * MINUTE },
  });
  for (const name of ['images', 'vms']) await dom0.makeFolder(path.join(folder, name));
  const files = { qcow2: lab.imageFile, kernel: `${lab.imageFile}.kernel`, initrd: `${lab.imageFile}.initrd` };
  for (const [extension, file] of Object.entries(files)) {
    const name = extension === 'qcow2' ? `${IMAGE}.qcow2` : extension;
    await dom0.put(file, path.join(folder, 'images', name));
  }
}, 5 * MINUTE);

afterAll(async () => {
  await host.close();
  await dom0.run('rm', '-rf', folder);
}, MINUTE);

function provisioner(boot: BootParameters | null): LibvirtProvisioner {
  const profile = { datastorePath: path.join(folder, 'images'), vmPath: path.join(folder, 'vms') };
  const computer = { privateIp: '192.168.77.31', privateMac: '52:54:00:0b:00:01', publicMac: '52:54:00:0b:00:02' };
  return new LibvirtProvisioner(
    {
      reservation: { ...makeHostedReservation({ profile, computer }), boot },
      loadId: `load-${randomUUID()}`,
      host,
      settings: { xmlDirectory: path.join(folder, 'xml'), imageTimeoutMs: 5 * MINUTE },
      log: new MemoryLog(),
    },
    registry,
  );
}

async function load(subject: LibvirtProvisioner) {
  const context: LoadContext = { provisioner: subject, signal: new AbortController().signal, log: new MemoryLog() };
  return runSteps(loadSteps, context, { signal: context.signal });
}

/** A guest that is not has its reason in its console or in libxl's log. */
async function expectUp(subject: LibvirtProvisioner): Promise<void> {
  const status = await subject.powerStatus();
  const log = `tail -n 20 /var/log/libvirt/libxl/libxl-driver.log; virsh domstate --reason '${subject.domainName}'`;
  const why = /^(on|blocked)$/.test(String(status))
    ? ''
    : `${(await subject.diagnoseGuest()).consoleTail}\n${await dom0.run('sh', '-c', log)}`;
  expect({ status, why }).toEqual({ status: expect.stringMatching(/^(on|blocked)$/), why: '' });
}

describeHost('the dom0 of a Xen host', () => host);

describe('a Xen host', () => {
  it('is claimed by one driver, by what its libvirt offers', async () => {
    const facts = await hostFacts(host);
    expect(facts.domainTypes).toEqual(['xen']);
    expect(await facts.kvmWorks()).toBe(false);
    expect((await registry.chooseDriver(facts, null)).domainType).toBe('xen');
  });

  it('is told apart from its own Domain-0', async () => {
    const subject = provisioner(null);
    expect(await subject.ownDomains()).toEqual([]);
    expect(await subject.domainExists('Domain-0')).toBe(true);
  });

  it('refuses what it cannot before anything is changed', async () => {
    const outcome = await load(provisioner({ hvmPolicy: 'BIOS order', hvmFirmware: 'uefi' }));
    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'BOOT_UNSUPPORTED' } });
    expect(await dom0.list(path.join(folder, 'vms'))).toEqual([]);
  });
});

describe('guests of each kind', () => {
  const kernel = () => ({
    pvKernel: path.join(folder, 'images/kernel'),
    pvRamdisk: path.join(folder, 'images/initrd'),
    pvArgs: 'console=hvc0 net.ifnames=0 mitigations=off',
  });
  const kinds: [string, () => BootParameters, RegExp][] = [
    ['PVH, with a kernel of the host', () => ({ ...kernel(), pvMode: 'pvh' }), /<type[^>]*>xenpvh<[\s\S]*bus='xen'/],
    ['HVM, from its disk', () => ({ hvmPolicy: 'BIOS order', hvmOrder: 'c' }), /<type[^>]*>hvm<[\s\S]*bus='ide'/],
  ];

  it.each(kinds)(
    '%s: loaded, off, on, unloaded',
    async (_kind, boot, xml) => {
      const subject = provisioner(boot());
      expect(await load(subject)).toEqual({ kind: 'done' });
      await expectUp(subject);
      expect(await dom0.run('virsh', 'dumpxml', subject.domainName)).toMatch(xml);
      await subject.powerOff();
      expect(await subject.powerStatus()).toBe('off');
      await subject.powerOn();
      await expectUp(subject);
      await expect(subject.createSnapshot(subject.domainName, 'no')).rejects.toMatchObject({ code: 'LIBVIRT_FAILED' });
      await subject.unload();
      expect(await subject.ownDomains()).toEqual([]);
      // The fence's note stays.
      expect((await dom0.list(path.join(folder, 'vms'))).filter((name) => !name.endsWith('.load'))).toEqual([]);
      expect(await dom0.run('virsh', 'net-dumpxml', 'private')).not.toContain('52:54:00:0b:00:01');
    },
    8 * MINUTE,
  );
});
