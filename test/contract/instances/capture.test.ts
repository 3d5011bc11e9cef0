/** Instances of appliances on VMs of a fake world: real files and headers, a libvirt of files. */
import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { ApplianceWorld } from '../../support/appliance-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const DONE = { state: 'done', error: null };
const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';

let world: ApplianceWorld;
afterEach(async () => world.close());

const open = async (...furniture: Parameters<typeof ApplianceWorld.open>) =>
  (world = await ApplianceWorld.open(...furniture));

wherever('the capture of an appliance', () => {
  it('makes an instance of each VM, running or stopped, named after its master and a UUID, and undeploys the appliance (65)', async () => {
    await open({ vm1: { system: 0x11 }, vm2: { system: 0x22, data: 0x23, temporary: 0x24 } });
    await world.bring('vm1', 'Running');
    expect(await world.capture()).toMatchObject(DONE);
    const instances = await world.instances();
    expect(instances).toHaveLength(2);
    for (const one of instances) {
      expect(one.imageName).toMatch(new RegExp(`^${world.master.fileName}-${UUID}$`));
      expect(one.prettyName).toMatch(new RegExp(`^Tiny Linux-${UUID}$`));
      expect(one).toMatchObject({ master: 'Tiny Linux', masterRevisionId: world.master.revisionId });
      for (const file of one.files) {
        expect(world.look(file.path).backing).toBeNull();
        expect(statSync(file.path).mode & 0o777).toBe(0o444);
        expect(file.sha256).toBe(world.sum(file.path));
      }
    }
    expect(instances.map(({ consistency }) => consistency)).toEqual(['crash-consistent', 'offline']);
    expect(world.contentsOf(instances[0]!)).toEqual({ root: 0x11 });
    expect(world.contentsOf(instances[1]!)).toEqual({ root: 0x22, home: 0x23 });
    expect(await world.deployed()).toEqual({ vm1: false, vm2: false });
    expect([world.condition('vm1'), world.condition('vm2')]).toEqual(['Halted', 'Halted']);
  });

  it('without an update leaves the appliance on its originals: what is deployed again shows them, and its data stays (71)', async () => {
    await open({ vm1: { system: 0x11, data: 0x13 } });
    expect(await world.capture()).toMatchObject(DONE);
    expect(await world.do('start', 'vm1')).toMatchObject({
      error: { code: 'OPERATION_BLOCKED', message: expect.stringContaining('appliance deploy shop') },
    });
    expect(await world.deploy()).toMatchObject(DONE);
    expect(world.condition('vm1')).toBe('Running');
    expect(world.contents('vm1')).toEqual({ vda: 0, vdc: 0x13 });
    expect(world.disks('vm1').vda!.backing).toBe(world.masterFile);
    expect(await world.imageOf('vm1')).toBe('Tiny Linux');
  });

  it('with an update makes the appliance of the instances; the versions before them are deleted, the master stays (69)', async () => {
    await open({ vm1: { system: 0x11 } });
    expect(await world.capture({ update: true })).toMatchObject(DONE);
    const [first] = await world.instances();
    expect(await world.deploy()).toMatchObject(DONE);
    expect(world.contents('vm1')).toEqual({ vda: 0x11 });
    expect(await world.imageOf('vm1')).toBe(first!.prettyName);
    await world.bring('vm1', 'Halted');
    world.write(world.disks('vm1').vda!.path, 0x44);
    expect(await world.capture({ update: true })).toMatchObject(DONE);
    const [second, ...more] = await world.instances();
    expect(more).toEqual([]);
    expect(second!.imageName).not.toBe(first!.imageName);
    expect(second).toMatchObject({ master: 'Tiny Linux', sourceRevisionId: first!.imageRevisionId });
    expect(existsSync(first!.files[0]!.path)).toBe(false);
    expect(existsSync(world.masterFile)).toBe(true);
    await world.deploy();
    expect(world.contents('vm1')).toEqual({ vda: 0x44 });
    expect(path.basename(world.disks('vm1').vda!.backing!)).toBe(`${second!.imageName}.qcow2`);
  });

  it('is refused as a whole when a VM of the selection is not deployed: no file is made, and the appliance is as before (67)', async () => {
    await open({ vm1: { system: 0x11 }, vm2: { system: 0x22 } });
    expect(await world.capture({ vms: ['vm2'], acknowledgeDiscard: ['vm1'] })).toMatchObject(DONE);
    await world.deploy({ vms: ['vm1'] });
    const before = [world.whole('vm1'), world.whole('vm2'), world.files('datastore')];
    const refused = await world.capture({ vms: ['vm1', 'vm2'] });
    expect(refused).toMatchObject({
      state: 'failed',
      error: { code: 'CONFLICT', message: expect.stringContaining('vm2 of appliance') },
    });
    expect([world.whole('vm1'), world.whole('vm2'), world.files('datastore')]).toEqual(before);
    expect(world.condition('vm1')).toBe('Running');
    expect(await world.deployed()).toEqual({ vm1: true, vm2: false });
  });

  it('is refused for an unknown appliance, none or a foreign VM, a state that cannot be captured, a job of libvirt, unsaid losses, and a guest that cannot be quieted: nothing is touched (68, 79)', async () => {
    await open({ vm1: { system: 0x11 }, vm2: { system: 0x22 } });
    await world.clones.vms.add('vm9');
    await world.bring('vm1', 'Running');
    const before = [world.whole('vm1'), world.whole('vm2'), world.files('datastore')];
    const refuse = async (more: object, code: string, says: string) => {
      const { state, error } = await world.capture(more);
      expect([more, state, error?.code, error?.message]).toEqual([more, 'failed', code, expect.stringContaining(says)]);
    };
    await refuse({ appliance: 'shelf' }, 'NOT_FOUND', "no appliance 'shelf'");
    await refuse({ vms: [] }, 'OPERATION_INVALID', 'no VM was selected');
    await refuse({ vms: ['vm9'] }, 'NOT_FOUND', "'vm9' is no VM of appliance 'shop'; it has vm1, vm2");
    await refuse({ vms: ['vm1'] }, 'CONFLICT', 'discards all changes of vm2');
    await refuse({ requireQuiesce: true }, 'VM_LACKS_FEATURE', 'vm1 cannot be brought to write all to its disks');
    world.mark('vm1', 'block-job');
    await refuse({}, 'OTHER_OPERATION_IN_PROGRESS', 'a job of libvirt is at work on vda of vm1');
    world.unmark('vm1', 'block-job');
    await world.bring('vm2', 'Suspended');
    await refuse({}, 'VM_BAD_POWER_STATE', 'vm2: it is Suspended');
    expect([world.whole('vm1'), world.whole('vm2'), world.files('datastore')]).toEqual(before);
    expect(world.condition('vm1')).toBe('Running');
    expect(world.host.domain(world.domainOf('vm1'))!.boots).toBe(1);
  });

  it('of which one copy fails makes none: the copies of the others are removed, guests thaw, and the appliance runs on (72, 78)', async () => {
    await open({ vm1: { system: 0x11 }, vm2: { system: 0x22, data: 0x23 } });
    await world.bring('vm2', 'Running');
    world.mark('vm2', 'agent');
    const before = [world.whole('vm1'), world.whole('vm2'), world.files('datastore'), world.files('vms')];
    world.host.fail('virsh backup-begin', { message: 'error: No space left on device' });
    expect(await world.capture()).toMatchObject({ state: 'failed', error: { code: 'HOST_DISK_FULL' } });
    world.host.heal();
    expect([world.whole('vm1'), world.whole('vm2'), world.files('datastore'), world.files('vms')]).toEqual(before);
    expect(await world.instances()).toEqual([]);
    expect(await world.site.store.listBaseFiles()).toEqual([]);
    expect(await world.deployed()).toEqual({ vm1: true, vm2: true });
    expect(world.condition('vm2')).toBe('Running');
    expect(world.agentHeard('vm2')).toEqual(['freeze', 'thaw']);
    // Whoever asks again gets all of them, and this one was frozen.
    expect(await world.capture({ requireQuiesce: true })).toMatchObject(DONE);
    const byVm = (await world.instances()).map(({ computer, consistency }) => [computer, consistency]);
    expect(byVm).toEqual([
      ['vm1', 'offline'],
      ['vm2', 'fs-consistent'],
    ]);
    expect(world.isMarked('vm2', 'copied-frozen')).toBe(true);
    expect(world.agentHeard('vm2')).toEqual(['freeze', 'thaw', 'freeze', 'thaw']);
  });

  it('of one moment lets all guests stand still while the copies begin, then all go on; all instances have that moment (81)', async () => {
    await open({ vm1: { system: 0x11, data: 0x13 }, vm2: { system: 0x22 } });
    for (const name of ['vm1', 'vm2']) await world.bring(name, 'Running');
    const operation = await world.capture({ oneMoment: true });
    expect(operation).toMatchObject(DONE);
    const instances = await world.instances();
    expect(new Set(instances.map(({ moment }) => moment)).size).toBe(1);
    expect(instances[0]!.moment).toMatch(/^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/);
    for (const name of ['vm1', 'vm2']) {
      expect(world.isMarked(name, 'copied-still')).toBe(true);
      expect(world.host.domain(world.domainOf(name))!.boots).toBe(1);
    }
    expect(world.contentsOf(instances[0]!)).toEqual({ root: 0x11, home: 0x13 });
  });

  it('keeps other operations off its VMs, and is cancelled by a hard shutdown: nothing is made, the others run on (83)', async () => {
    await open({ vm1: { system: 0x11 }, vm2: { system: 0x22 } });
    for (const name of ['vm1', 'vm2']) await world.bring(name, 'Running');
    const before = [world.files('datastore'), world.whole('vm2')];
    world.host.fail('virsh backup-begin', { delayMs: 4000 });
    const first = await world.ask('capture_instances');
    await world.clones.vms.reached(first, 'copy the disks');
    expect(await world.capture()).toMatchObject({ error: { code: 'OTHER_OPERATION_IN_PROGRESS' } });
    expect(await world.do('pause', 'vm2')).toMatchObject({ error: { code: 'OTHER_OPERATION_IN_PROGRESS' } });
    await expect(world.site.frontEnd.removeFromAppliance('shop', ['vm1'])).rejects.toMatchObject({
      code: 'OTHER_OPERATION_IN_PROGRESS',
    });
    expect(await world.do('hard_shutdown', 'vm1')).toMatchObject(DONE);
    expect(await world.clones.vms.ended(first)).toMatchObject({ state: 'cancelled' });
    world.host.heal();
    expect([world.condition('vm1'), world.condition('vm2')]).toEqual(['Halted', 'Running']);
    expect([world.files('datastore'), world.whole('vm2')]).toEqual(before);
    expect(await world.instances()).toEqual([]);
    expect(await world.deployed()).toEqual({ vm1: true, vm2: true });
  });

  it('told as a dry run changes nothing, and says what would be made, thrown away and repointed', async () => {
    await open({ vm1: { system: 0x11 }, vm2: { system: 0x22 } });
    const before = [world.whole('vm1'), world.files('datastore')];
    const wish = { vms: ['vm1'], acknowledgeDiscard: ['vm2'], update: true, dryRun: true };
    expect(await world.capture(wish)).toMatchObject({
      ...DONE,
      result: {
        dryRun: true,
        discards: ['vm2'],
        undeploys: ['vm1', 'vm2'],
        repoints: ['vm1'],
        instances: [{ method: 'off' }],
      },
    });
    expect([world.whole('vm1'), world.files('datastore')]).toEqual(before);
  });
});

wherever('an instance', () => {
  it('keeps its master from being deleted; promoted it is a copy that depends on nothing, and can be deleted itself; editing it leaves the master (75, 76, 82)', async () => {
    await open({ vm1: { system: 0x11 } });
    execFileSync('qemu-img', ['snapshot', '-c', 'inside', world.disks('vm1').vda!.path]);
    expect(await world.capture({ compress: true })).toMatchObject(DONE);
    const [one] = await world.instances();
    expect(world.snapshotsIn(one!.files[0]!.path)).toEqual([]);
    const gone = await world.operate('delete_image', { image: 'Tiny Linux' });
    expect(gone).toMatchObject({
      error: { code: 'CONFLICT', message: expect.stringContaining('it has 1 instances') },
    });
    const { frontEnd } = world.site;
    const master = async () => (await frontEnd.listImages()).find(({ prettyName }) => prettyName === 'Tiny Linux');
    const before = await master();
    await frontEnd.editInstance(one!.prettyName, { prettyName: 'The shop', description: 'before', ramMiB: 4096 });
    expect(await master()).toEqual(before);

    expect(await world.operate('promote_instance', { instance: 'The shop', name: 'Web shop' })).toMatchObject(DONE);
    const promoted = (await frontEnd.listImages()).find(({ prettyName }) => prettyName === 'Web shop')!;
    const file = world.host.path('datastore', `${promoted.name}.qcow2`);
    expect(world.look(file).backing).toBeNull();
    expect(await world.operate('delete_image', { image: 'The shop' })).toMatchObject(DONE);
    expect(existsSync(one!.files[0]!.path)).toBe(false);
    expect(await world.instances()).toEqual([]);
    expect(world.clones.read(file)).toBe(0x11);
    // VMs are made of the master: it stays all the same.
    const still = await world.operate('delete_image', { image: 'Tiny Linux' });
    expect(still).toMatchObject({ error: { message: expect.stringContaining('vm1 are made of it') } });
  });

  it('that another VM stands on is kept by an update, and the result says why (69)', async () => {
    await open({ vm1: { system: 0x11 } });
    await world.clones.vms.add('vm7');
    expect(await world.capture({ update: true })).toMatchObject(DONE);
    const [first] = await world.instances();
    expect(await world.do('restore', 'vm7', { image: first!.imageName })).toMatchObject(DONE);
    await world.deploy();
    await world.bring('vm1', 'Halted');
    const operation = await world.capture({ update: true });
    expect(operation).toMatchObject({
      ...DONE,
      result: { kept: [{ instance: first!.prettyName, why: expect.stringContaining('vm7') }] },
    });
    expect((await world.instances()).map(({ imageName }) => imageName)).toContain(first!.imageName);
    expect(existsSync(first!.files[0]!.path)).toBe(true);
  });
});

wherever('an appliance', () => {
  it('is a named set of VMs: each is in one at most, and unknown names are told', async () => {
    await open({ vm1: {}, vm2: {} });
    const { frontEnd } = world.site;
    await frontEnd.createAppliance('other');
    const code = async (work: Promise<unknown>) =>
      work.then(() => 'done').catch((error: { code: string }) => error.code);
    expect(await code(frontEnd.createAppliance('other'))).toBe('CONFLICT');
    expect(await code(frontEnd.addToAppliance('other', ['vm1']))).toBe('CONFLICT');
    expect(await code(frontEnd.addToAppliance('other', ['nobody']))).toBe('NOT_FOUND');
    expect(await code(frontEnd.addToAppliance('nothing', ['vm1']))).toBe('NOT_FOUND');
    expect(await code(frontEnd.removeFromAppliance('other', ['vm1']))).toBe('NOT_FOUND');
    expect(await code(frontEnd.showAppliance('nothing'))).toBe('NOT_FOUND');
    await frontEnd.removeFromAppliance('shop', ['vm1']);
    await frontEnd.addToAppliance('other', ['vm1', 'vm1']);
    const all = (await frontEnd.listAppliances()).map(({ name, vms }) => [name, vms.map(({ computer }) => computer)]);
    expect(all).toEqual([
      ['other', ['vm1']],
      ['shop', ['vm2']],
    ]);
    await frontEnd.deleteAppliance('other');
    expect(await code(frontEnd.deleteAppliance('other'))).toBe('NOT_FOUND');
    expect(world.host.domain(world.domainOf('vm1'))).toBeDefined();
  });
});
