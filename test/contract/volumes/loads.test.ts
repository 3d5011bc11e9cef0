/** Volumes that a site has planned: loads make them, in a stable order; they go with the load, but data stays. */
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { StateWorld } from '../../support/state-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

let world: StateWorld;
beforeEach(async () => (world = await StateWorld.open()));
afterEach(async () => world.close());

const files = () => world.site.host.files('vms').filter((file) => !file.endsWith('.load') && !file.endsWith('.log'));

wherever('a load of a computer for which volumes are planned', () => {
  it('makes them, attaches them in order, and leaves only the data when the computer is cleared', async () => {
    const { frontEnd, host, image } = world.site;
    await frontEnd.planVolume('image', 'Tiny Linux', { name: 'scratch', type: 'temporary', sizeMiB: 1 });
    await frontEnd.planVolume('computer', 'vm1', { name: 'home', type: 'data', sizeMiB: 2 });
    await expect(
      frontEnd.planVolume('image', 'Tiny Linux', { name: 'shared', type: 'data', sizeMiB: 1 }),
    ).rejects.toMatchObject({ code: 'CONFLICT' });
    await (await world.reserve()).work();
    const base = `vm1_${image.imageId}-v0`;
    const [domain] = host.domains();
    const disks = [`${base}.qcow2`, 'vm1.data-home-g1.qcow2', `${base}.tmp-scratch-g1.qcow2`];
    expect(domain!.disks.map((file) => path.basename(file))).toEqual(disks);
    expect([...domain!.xml.matchAll(/<target dev="(vd.)"/g)].map(([, target]) => target)).toEqual([
      'vda',
      'vdb',
      'vdc',
    ]);
    expect(files().sort()).toEqual([...disks].sort());
    expect((await frontEnd.showVm('vm1')).volumes).toMatchObject([
      { name: 'root', type: 'system', target: 'vda', sizeBytes: 1 << 20 },
      { name: 'home', type: 'data', target: 'vdb', sizeBytes: 2 << 20 },
      { name: 'scratch', type: 'temporary', target: 'vdc', sizeBytes: 1 << 20 },
    ]);
    await frontEnd.end(world.requestId);
    await world.work();
    await (await world.requestFor('tomaintenance')).work();
    expect(files()).toEqual(['vm1.data-home-g1.qcow2']);
  });
});
