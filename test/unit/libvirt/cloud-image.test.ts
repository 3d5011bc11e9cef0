import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import kvm from '../../../drivers/kvm';
import { cloudImageXml } from '../../../lib/libvirt/domain-identity';
import { masterHardware } from '../../../lib/libvirt/generate-domain';
import { LibvirtProvisioner } from '../../../lib/libvirt/libvirt-provisioner';
import { loadSteps } from '../../../lib/libvirt/load-steps';
import type { Log } from '../../../lib/log';
import { runSteps } from '../../../lib/steps/step';
import { makeHostedReservation } from '../../fixtures/hosted-reservation';
import { FakeHost } from '../../support/fake-host';
import { filesOfIso } from '../../support/iso-reader';

const log: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
const IMAGE = 'vmwarelinux-Tiny12-v2';

let host: FakeHost;
beforeEach(() => {
  host = new FakeHost();
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', host.path('key')]);
});
afterEach(() => host.close());

const seed = () => host.path('vms', 'vm1_12-v2.seed.iso');
const seedFiles = () => filesOfIso(readFileSync(seed()));

function put(folder: string, name = IMAGE): void {
  mkdirSync(folder, { recursive: true });
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path.join(folder, `${name}.qcow2`), '1M']);
  writeFileSync(path.join(folder, `${name}.xml`), cloudImageXml());
}

function provisioner(loadId: string, sshKeyFiles = [host.path('key')]) {
  const reservation = makeHostedReservation({ computer: { privateIp: '192.168.121.11' }, host: host.facts() });
  const settings = { xmlDirectory: host.path('xml'), imageTimeoutMs: 10_000, sshKeyFiles };
  return new LibvirtProvisioner({ reservation, loadId, host, settings, log }, { chooseDriver: async () => kvm });
}

async function load(loadId = 'load-1', keys?: string[]) {
  const { signal } = new AbortController();
  return runSteps(loadSteps, { provisioner: provisioner(loadId, keys), signal, log }, { signal });
}

describe('a guest of a cloud image', () => {
  it('is told its name, its addresses and our key by a volume that only it has', async () => {
    put(host.path('datastore'));
    expect(await load()).toEqual({ kind: 'done' });
    const files = seedFiles();
    expect(Object.keys(files).sort()).toEqual(['meta-data', 'network-config', 'user-data']);
    expect(JSON.parse(files['meta-data']!)).toMatchObject({ 'local-hostname': 'vm1' });
    const [type, key] = readFileSync(host.path('key.pub'), 'utf8').split(' ');
    expect(files['user-data']).toMatch(/^#cloud-config\n/);
    expect(files['user-data']).toContain(`${type} ${key} `);
    const { xml } = host.domains()[0]!;
    const macs = [...xml.matchAll(/<mac address=['"]([^'"]+)/g)].map(([, mac]) => mac);
    for (const mac of macs) expect(files['network-config']).toContain(mac);
    expect(macs).toHaveLength(2);
    expect(xml).toMatch(
      /<source file=['"][^'"]*seed\.iso['"]\/>\s*<target dev=['"]vdb['"] bus=['"]virtio['"]\/>\s*<readonly\/>/,
    );
  });

  it('is another instance after each load, so that cloud-init does its work again', async () => {
    put(host.path('datastore'));
    await load('load-1');
    const first = seedFiles()['meta-data'];
    await load('load-2');
    expect(seedFiles()['meta-data']).not.toBe(first);
  });

  it('takes its volume with it when it is removed', async () => {
    put(host.path('datastore'));
    await load();
    await provisioner('load-1').unload();
    expect(existsSync(seed())).toBe(false);
    expect(host.files('vms').filter((name) => !name.endsWith('.load'))).toEqual([]);
  });

  it('is known as one at the very load that copies its image from the repository', async () => {
    put(host.path('repository', IMAGE));
    expect(await load()).toEqual({ kind: 'done' });
    expect(existsSync(seed())).toBe(true);
    expect(host.files('datastore')).toContain(`${IMAGE}.xml`);
  });

  it('is not made when there is no key that it could be told: nobody would ever get in', async () => {
    put(host.path('datastore'));
    expect(await load('load-1', [host.path('no-key')])).toMatchObject({
      kind: 'failed',
      error: { code: 'CONFIG_INVALID', message: expect.stringContaining('no-key') },
    });
    expect(host.domains()).toEqual([]);
    expect(host.files('vms').filter((name) => !name.endsWith('.load'))).toEqual([]);
  });

  it('makes a cloud image when it is captured: the XML beside the new image says so too', async () => {
    put(host.path('datastore'));
    await load();
    const { xml } = host.domains()[0]!;
    expect(masterHardware(xml)).toEqual({ diskBus: 'virtio', networkModel: 'virtio', wantsSeed: true });
  });
});

describe('a guest of any other image', () => {
  it('gets no such volume', async () => {
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', host.path('datastore', `${IMAGE}.qcow2`), '1M']);
    await load();
    expect(existsSync(seed())).toBe(false);
    expect(masterHardware(host.domains()[0]!.xml).wantsSeed).toBe(false);
  });
});
