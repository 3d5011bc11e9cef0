import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import kvm from '../../../drivers/kvm';
import { LibvirtProvisioner } from '../../../lib/libvirt/libvirt-provisioner';
import { type LoadContext, loadSteps } from '../../../lib/libvirt/load-steps';
import type { Log } from '../../../lib/log';
import { runSteps } from '../../../lib/steps/step';
import { makeHostedReservation } from '../../fixtures/hosted-reservation';
import { FakeHost } from '../../support/fake-host';
import { type StepWorld, describeStepList } from '../../support/step-harness';

const log: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
const COMPUTER = { privateIp: '192.168.121.11' };

class LoadWorld implements StepWorld<LoadContext> {
  readonly host = new FakeHost();

  constructor() {
    execFileSync('qemu-img', [
      'create',
      '-q',
      '-f',
      'qcow2',
      this.host.path('datastore', 'vmwarelinux-Tiny12-v2.qcow2'),
      '1M',
    ]);
  }

  newContext(signal: AbortSignal, loadId = 'load-1'): LoadContext {
    const reservation = makeHostedReservation({ computer: COMPUTER, host: this.host.facts() });
    const settings = { xmlDirectory: this.host.path('xml'), imageTimeoutMs: 10_000 };
    const drivers = { chooseDriver: async () => kvm };
    const parts = { reservation, loadId, host: this.host, settings, log, signal };
    return { provisioner: new LibvirtProvisioner(parts, drivers), signal, log };
  }

  traces(): string[] {
    const { host } = this;
    const domains = host.domains().map(({ name, state, boots, disks, xml }) => {
      const loadId = /loadId="([^"]*)"/.exec(xml)?.[1];
      return `domain ${name} of ${loadId}, ${state}, started ${boots} times, from ${disks.map((disk) => disk.replace(host.folder, '')).join(' ')}`;
    });
    const files = ['vms', 'xml'].flatMap((folder) =>
      host
        .files(folder)
        .filter((file) => !file.endsWith('.load'))
        .map((file) => `file ${folder}/${file}`),
    );
    const entries = host.dhcpHosts('private', 'config').map(({ mac, name, ip }) => `address ${mac} ${name} ${ip}`);
    return [...domains, ...files, ...entries];
  }

  async load(loadId = 'load-1') {
    const { signal } = new AbortController();
    return runSteps(loadSteps, this.newContext(signal, loadId), { signal });
  }

  async close(): Promise<void> {
    await this.host.close();
  }
}

describeStepList('the steps of a load', loadSteps, () => new LoadWorld());

describe('a load on a host', () => {
  let world: LoadWorld;
  beforeEach(() => {
    world = new LoadWorld();
  });
  afterEach(() => world.close());

  const overlay = () => world.host.path('vms', 'vm1_12-v2.qcow2');

  it('replaces a stale disk of the same name, which is a former user’s data', async () => {
    writeFileSync(overlay(), 'a former user’s letters');
    expect(await world.load()).toEqual({ kind: 'done' });
    expect(readFileSync(overlay(), 'utf8')).not.toContain('letters');
  });

  it('removes the domain of an earlier load, running or not, and makes its own', async () => {
    await world.load('load-1');
    expect(await world.load('load-2')).toEqual({ kind: 'done' });
    expect(world.traces()[0]).toBe(
      'domain vm1_TinyLinux_12-v2 of load-2, running, started 1 times, from /vms/vm1_12-v2.qcow2',
    );
  });

  it('keeps the disk of a domain that is running already when it is resumed', async () => {
    await world.load();
    const { ino } = statSync(overlay());
    await world.load();
    expect(statSync(overlay()).ino).toBe(ino);
  });

  it.each([
    ['virsh define', 'error: unsupported configuration: no such bus', 'DOMAIN_REJECTED'],
    ['virsh start', 'error: Cannot allocate memory', 'DOMAIN_START_FAILED'],
    ['virsh net-update', 'error: internal error', 'LIBVIRT_FAILED'],
    ['qemu-img', 'qemu-img: out of luck', 'COMMAND_FAILED'],
    ['qemu-img', 'qemu-img: disk: No space left on device', 'HOST_DISK_FULL'],
  ])('when %s says "%s" it fails with %s and leaves nothing', async (what, message, code) => {
    world.host.fail(what, { message });
    const outcome = await world.load();
    expect(outcome).toMatchObject({ kind: 'failed', error: { code }, leftovers: [] });
    world.host.heal();
    expect(world.traces()).toEqual([]);
  });

  it.each(['virsh define', 'virsh net-update'])(
    'when %s is done and then reported as failed it leaves nothing',
    async (what) => {
      world.host.fail(what, { after: true, times: 1, message: 'error: cannot recv data: Connection reset by peer' });
      expect(await world.load()).toMatchObject({ kind: 'failed', leftovers: [] });
      expect(world.traces()).toEqual([]);
    },
  );

  it('believes what it sees: a domain that runs was started, whatever was reported', async () => {
    world.host.fail('virsh start', {
      after: true,
      times: 1,
      message: 'error: cannot recv data: Connection reset by peer',
    });
    expect(await world.load()).toEqual({ kind: 'done' });
    expect(world.host.domain('vm1_TinyLinux_12-v2')).toMatchObject({ state: 'running', boots: 1 });
  });

  it('takes a libvirt that does not answer for an outage, not for a host without domains', async () => {
    await world.load('load-1');
    const before = world.traces();
    world.host.stopLibvirtd();
    expect(await world.load('load-2')).toMatchObject({ kind: 'failed', error: { code: 'LIBVIRT_FAILED' } });
    world.host.heal();
    expect(world.traces()).toEqual(before);
  });

  it('lists what it could not take back', async () => {
    world.host.fail('virsh start', { message: 'error: no' });
    world.host.fail('virsh undefine', { message: 'error: not now' });
    const outcome = await world.load();
    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'DOMAIN_START_FAILED' } });
    const { leftovers } = outcome as { leftovers: string[] };
    expect(leftovers).toContainEqual(expect.stringContaining('domain vm1_TinyLinux_12-v2'));
    expect(leftovers).toContainEqual(expect.stringMatching(/vm1_12-v2.qcow2 .* is a disk of domain/));
  });
});
