/** Instances of appliances on VMs of a fake world: real files and headers, a libvirt of files. */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { ApplianceWorld } from '../../support/appliance-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const LIMIT_MS = 120_000;
const DONE = { state: 'done', error: null };
const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';

let world: ApplianceWorld;
afterEach(async () => world.close(), LIMIT_MS);

const open = async (...furniture: Parameters<typeof ApplianceWorld.open>) =>
  (world = await ApplianceWorld.open(...furniture));

wherever('the capture of an appliance', () => {
  it(
    'makes an instance of each VM, running or stopped, named after its master and a UUID, and undeploys the appliance (65)',
    async () => {
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
    },
    LIMIT_MS,
  );

  it(
    'without an update leaves the appliance on its originals: what is deployed again shows them, and its data stays (71)',
    async () => {
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
    },
    LIMIT_MS,
  );

  it(
    'with an update makes the appliance of the instances; the versions before them are deleted, the master stays (69)',
    async () => {
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
    },
    LIMIT_MS,
  );

  it(
    'is refused as a whole when a VM of the selection is not deployed: no file is made, and the appliance is as before (67)',
    async () => {
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
    },
    LIMIT_MS,
  );
});
