/** `restore` and `undo` on VMs of a fake world: real files and headers, a libvirt of files. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { emptyTrash } from '../../../lib/work/trash-keeper';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { VmWorld } from '../../support/vm-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

let world: VmWorld;
beforeEach(async () => {
  world = await VmWorld.open();
  await world.startInbox();
});
afterEach(async () => world.close());

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

wherever('a restore that cannot be', () => {
  const CASES: readonly (readonly [what: string, wish: object, code: string, message: RegExp])[] = [
    ['an image that nobody knows', { image: 'Nobody' }, 'IMAGE_NOT_FOUND', /there is no image 'Nobody'/],
    ['an ISO image for a VM that was made from an image', { iso: 'x.iso' }, 'OPERATION_INVALID', /made from an image/],
    ['an image whose files are not on the host', { image: 'Elsewhere' }, 'IMAGE_NOT_FOUND', /is not in .*datastore/],
    ['fewer MiB than the image has', { image: 'Large', sizeMiB: 1 }, 'OPERATION_INVALID', /needs 2 MiB/],
    ['a size that is none', { sizeMiB: -1 }, 'OPERATION_INVALID', /sizeMiB/],
  ];

  it.each(CASES)('%s: it is refused, and the VM runs on as it was', async (_what, wish, code, message) => {
    const facts = { os: 'vmwarelinux', ramMiB: 256, cpus: 1, sizeMiB: 1, owner: 'admin' };
    await world.site.frontEnd.addImage({ prettyName: 'Elsewhere', ...facts });
    const { fileName } = await world.site.frontEnd.addImage({ prettyName: 'Large', ...facts });
    const file = world.host.path('datastore', `${fileName}.qcow2`);
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file, '2M']);
    await world.bring('vm1', 'Running');
    const before = { domain: domain(), files: files() };
    const operation = await world.do('restore', wish);
    expect(operation).toMatchObject({
      state: 'failed',
      error: { code, message: expect.stringMatching(message) },
    });
    expect({ domain: domain(), files: files() }).toEqual(before);
  });

  it('because of snapshots, or of its image that was deleted', async () => {
    await world.virsh('snapshot-create-as', world.domainOf('vm1'), 's1');
    expect((await world.do('restore')).error).toMatchObject({ code: 'CONFLICT', message: expect.stringMatching(/s1/) });
    await world.virsh('snapshot-delete', world.domainOf('vm1'), 's1');
    await world.site.database.change('update imagerevision set deleted = 1');
    expect((await world.do('restore')).error).toMatchObject({ code: 'IMAGE_NOT_FOUND' });
    expect(world.condition('vm1')).toBe('Halted');
  });

  it('while the disk is full fails before the guest is stopped', async () => {
    await world.bring('vm1', 'Running');
    const before = { domain: domain(), files: files() };
    world.host.fail('qemu-img', { exitCode: 1, message: 'qemu-img: x: No space left on device' });
    const operation = await world.do('restore');
    world.host.heal();
    expect(operation.state).toBe('failed');
    expect({ domain: domain(), files: files() }).toEqual(before);
  });

  it('while another one is under way is told which; a hard shut-down ends that one, on the old disks', async () => {
    world.host.makeDeaf(world.domainOf('vm1'));
    await world.bring('vm1', 'Running');
    const first = disks();
    const running = await world.ask('restore', { timeoutSeconds: 20 });
    await world.reached(running, 'stop the guest');
    const second = await world.do('restore');
    expect(second.error).toMatchObject({
      code: 'OTHER_OPERATION_IN_PROGRESS',
      message: expect.stringMatching(`operation ${running.id}`),
    });
    expect((await world.do('hard_shutdown')).state).toBe('done');
    expect(await world.ended(running)).toMatchObject({ state: 'cancelled' });
    expect([world.condition('vm1'), disks()]).toEqual(['Halted', first]);
  });

  it('is undone no more once its time is over: then the trash is emptied, and not before', async () => {
    const { id } = await world.do('restore');
    const { site, lease } = world;
    const { store, hosts } = site.adapters();
    expect(await emptyTrash({ store, hosts }, lease, site.log)).toBe(0);
    expect(files().filter((file) => file.startsWith('.trash/'))).toHaveLength(1);
    await site.database.change('update provisiond_trash set expires = 1 where operationid = ?', [id]);
    expect((await world.do('undo')).error).toMatchObject({ code: 'NOT_FOUND', message: expect.stringMatching(/time/) });
    expect(await emptyTrash({ store, hosts }, lease, site.log)).toBe(1);
    expect(files().filter((file) => file.startsWith('.trash/'))).toEqual([]);
    expect(domain().disks).toHaveLength(1);
  });
});
