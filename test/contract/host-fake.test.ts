import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { script } from '../../lib/host/host';
import { FakeHost } from '../support/fake-host';
import { PATIENCE } from '../support/patience';
import { describeHost, failure } from './host.contract';

const contracted = new FakeHost();
afterAll(() => contracted.close());
describeHost('FakeHost', () => contracted);

describe('a fake world', () => {
  let host: FakeHost;
  beforeEach(() => {
    host = new FakeHost();
  });
  afterEach(() => host.close());

  const domain = (name: string, more = '') =>
    `<domain type="qemu"><name>${name}</name><memory unit="MiB">64</memory><os><type>hvm</type></os>` +
    `<devices>${more}</devices></domain>`;
  const define = (name: string, more?: string) =>
    host.run(script('cat > "$1" && virsh define "$1"', host.path('xml', `${name}.xml`)), { stdin: domain(name, more) });

  it('shows what was there or what is there to whoever looks while it is changed', async () => {
    const entry = (name: string, last: number) =>
      `<host mac='52:54:00:00:00:0${last}' name='${name}' ip='192.168.121.${last}'/>`;
    const update = (command: string, what: string) =>
      `net-update private ${command} ip-dhcp-host \\"${what}\\" --live --config`;
    await define('vm1');
    await host.run(['sh', '-c', `virsh "${update('add', entry('vm1', 1))}; start vm1"`]);
    const statements = ['vm2', 'vm3', 'vm4']
      .flatMap((name, index) => ['add', 'delete'].map((command) => update(command, entry(name, index + 2))))
      .concat('suspend vm1', 'resume vm1');
    const work = host.run(['sh', '-c', `for i in $(seq 40); do virsh -q "${statements.join('; ')}" || exit 1; done`]);
    let [looks, isBusy] = [0, true];
    void work.finally(() => (isBusy = false)).catch(() => undefined);
    for (; isBusy; looks++) {
      expect(host.dhcpHosts('private').map(({ name }) => name)).toContain('vm1');
      expect(['running', 'paused']).toContain(host.domain('vm1')?.state);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await work;
    expect(looks).toBeGreaterThan(100);
  });

  it('is gone when it is closed', async () => {
    await define('vm1');
    await host.close();
    expect(existsSync(host.folder)).toBe(false);
  });

  it('keeps what was done to it, for the test to look at', async () => {
    await define(
      'vm1',
      `<interface type="network"><mac address="52:54:00:00:00:01"/><source network="private"/></interface>`,
    );
    await host.run(['virsh', 'start', 'vm1']);
    expect(host.domain('vm1')).toMatchObject({ state: 'running', boots: 1, macs: ['52:54:00:00:00:01'] });
    await host.run(['virsh', 'destroy', 'vm1']);
    expect(host.domain('vm1')).toMatchObject({ state: 'shut off', persistent: true });
    await host.run(['virsh', 'undefine', 'vm1']);
    expect(host.domains()).toEqual([]);
  });

  it('defines many domains at once, each whole', async () => {
    const names = Array.from({ length: 12 }, (_, index) => `vm${index}`);
    await Promise.all(names.map((name) => define(name)));
    await Promise.all(names.map((name) => host.run(['virsh', 'start', name])));
    expect(host.domains().map(({ name, state }) => [name, state])).toEqual(
      names.sort().map((name) => [name, 'running']),
    );
    const { stdout } = await host.run(['virsh', '-q', 'list', '--id']);
    expect(stdout.trim().split('\n').map(Number)).toEqual(names.map((_, index) => index + 1));
  });

  it('does not know what it does not play, and says so', async () => {
    const error = await failure(host.run(['virsh', 'migrate', 'vm1']), 'COMMAND_FAILED');
    expect(error.details).toMatchObject({ stderr: expect.stringContaining('fake virsh: not in this world: migrate') });
  });

  it('lets a verb fail as often as it was told to', async () => {
    await define('vm1');
    host.fail('virsh start', { message: 'error: internal error: qemu is unwell', times: 2, exitCode: 1 });
    for (let i = 0; i < 2; i++) {
      const error = await failure(host.run(['virsh', 'start', 'vm1']), 'COMMAND_FAILED');
      expect(error.message).toContain('qemu is unwell');
    }
    await host.run(['virsh', 'start', 'vm1']);
    expect(host.domain('vm1')?.boots).toBe(1);
  });

  it('can report a failure for what was done', async () => {
    await define('vm1');
    host.fail('virsh start', { after: true, times: 1 });
    await failure(host.run(['virsh', 'start', 'vm1']), 'COMMAND_FAILED');
    expect(host.domain('vm1')?.state).toBe('running');
  });

  it('can be slow, and can hang', async () => {
    host.fail('virsh list', { delayMs: 300, times: 1 });
    const startedAt = performance.now();
    await host.run(['virsh', 'list']);
    expect(performance.now() - startedAt).toBeGreaterThan(290);
    host.fail('virsh list', { hang: true });
    await failure(host.run(['virsh', 'list'], { timeoutMs: 300 }), 'COMMAND_TIMEOUT');
    host.heal();
    await host.run(['virsh', 'list']);
  });

  it('can be without libvirtd', async () => {
    host.stopLibvirtd();
    const error = await failure(host.run(['virsh', 'list']), 'COMMAND_FAILED');
    expect(error.message).toContain('Failed to connect socket');
    host.heal('virsh');
    await host.run(['virsh', 'list']);
  });

  it('lets a real program fail, and leaves the real one alone otherwise', async () => {
    host.fail('qemu-img', { message: 'qemu-img: I/O error', times: 1 });
    const argv = ['qemu-img', 'create', '-q', '-f', 'qcow2', host.path('vms', 'disk.qcow2'), '1M'];
    await failure(host.run(argv), 'COMMAND_FAILED');
    await host.run(argv);
    expect(host.files('vms')).toEqual(['disk.qcow2']);
  });

  it('answers within milliseconds', async () => {
    await define('vm1');
    await host.run(['virsh', 'list', '--all', '--name']);
    const startedAt = performance.now();
    for (let i = 0; i < 20; i++) await host.run(['virsh', '-q', 'domstate vm1; list --all --name; net-list --name']);
    expect((performance.now() - startedAt) / 20).toBeLessThan(60 * PATIENCE);
  });

  const asRoot = userInfo().uid === 0 ? it : it.skip;
  if (userInfo().uid !== 0) process.stderr.write('NOT RUN: a full disk in a fake world needs root to mount a tmpfs\n');
  asRoot('has a disk that can be full', async () => {
    const small = new FakeHost({ diskMiB: 4 });
    try {
      const emptyAgain = small.fillDisk(64);
      const argv = ['dd', 'if=/dev/zero', `of=${small.path('vms', 'disk')}`, 'bs=1M', 'count=2'];
      const error = await failure(small.run(argv), 'COMMAND_FAILED');
      expect(error.details).toMatchObject({ stderr: expect.stringContaining('No space left on device') });
      emptyAgain();
      await small.run(argv);
    } finally {
      await small.close();
    }
  });
});
