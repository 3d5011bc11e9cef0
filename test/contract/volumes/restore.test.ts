/** `restore` and `undo` on VMs of a fake world: real files and headers, a libvirt of files. */
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { VmWorld } from '../../support/vm-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const LIMIT_MS = 60_000;

let world: VmWorld;
beforeEach(async () => {
  world = await VmWorld.open();
  await world.startInbox();
}, LIMIT_MS);
afterEach(async () => world.close(), LIMIT_MS);

const domain = () => world.host.domain(world.domainOf('vm1'))!;
const disks = () => domain().disks.map((file) => path.basename(file));
const files = () => world.host.files('vms').filter((file) => !file.endsWith('.load'));

wherever('restore', () => {
  it('of a running VM ends running, on a new system volume; the old one is kept, and undo gives it back', async () => {
    await world.bring('vm1', 'Running');
    const first = path.basename(domain().disks[0]!);
    const { uuid } = domain();
    const operation = await world.do('restore');
    expect(operation).toMatchObject({ state: 'done', error: null, result: { undoUntil: expect.any(String) } });
    expect(world.condition('vm1')).toBe('Running');
    const second = first.replace('.qcow2', '.root-g1.qcow2');
    expect(disks()).toEqual([second]);
    expect(files()).toEqual([`.trash/vm1.${operation.id}/${first}`, second]);
    expect(domain().uuid).toBe(uuid);
    const { volumes, undoable } = await world.site.frontEnd.showVm('vm1');
    expect(volumes).toMatchObject([{ name: 'root', type: 'system', target: 'vda', generation: 1, attached: true }]);
    expect(undoable).toMatchObject([{ operationId: operation.id }]);
    const undone = await world.do('undo');
    expect(undone).toMatchObject({ state: 'done', error: null });
    expect(disks()).toEqual([first]);
    expect(files()).toEqual([`.trash/vm1.${undone.id}/${second}`, first]);
    expect(world.condition('vm1')).toBe('Running');
  });

  it('that is only tried out tells what it would do, and does nothing', async () => {
    await world.bring('vm1', 'Running');
    const { xml, boots } = domain();
    const before = files();
    const operation = await world.do('restore', { dryRun: true });
    expect(operation).toMatchObject({
      state: 'done',
      result: {
        dryRun: true,
        makes: [expect.stringMatching(/root-g1\.qcow2 \(overlay\)$/)],
        putsAside: [expect.stringMatching(/→.*\.trash/)],
        expectedDowntimeSeconds: { most: expect.any(Number) },
        definition: [expect.stringMatching(/^-.*_\d+-v\d+\.qcow2/), expect.stringMatching(/^\+.*root-g1/)],
      },
    });
    expect(files()).toEqual(before);
    expect(domain()).toMatchObject({ xml, boots });
  });

  it('whose new disks do not start goes back to the old ones, and starts those', async () => {
    await world.bring('vm1', 'Running');
    const before = { disks: disks(), files: files() };
    world.host.fail('virsh start', { times: 1, message: 'error: the kernel is not bootable' });
    const operation = await world.do('restore', { hard: true });
    expect(operation).toMatchObject({ state: 'failed', error: { code: 'DOMAIN_START_FAILED' } });
    expect({ disks: disks(), files: files() }).toEqual(before);
    expect(world.condition('vm1')).toBe('Running');
  });
});
