/** The disk is full when a file of a change is made, whichever: real qemu-img on real small file systems, VMs of a fake world. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { CloneWorld, type Furniture } from '../../support/clone-world';
import { SmallDisks } from '../../support/small-disks';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null && process.getuid?.() === 0 ? describe : describe.skip;
const DONE = { state: 'done', error: null };
const FULL: Furniture = { system: 0x11, temporary: 0x12, data: 0x13 };

type Earlier = readonly (readonly [kind: string, computer: string, more?: object])[];
interface Case {
  readonly kind: string;
  readonly more?: object;
  readonly earlier?: Earlier;
  /** Files that are made. */
  readonly files: number;
  /** Those that are made when it goes well, with the temporary volume of a guest that is started again; else the same. */
  readonly made?: number;
  /** What is read whole needs a guest that is down. */
  readonly stops?: true;
}

const ON_VM2: Earlier = [['prepare_base', 'vm2']];
const ALL: readonly Case[] = [
  { kind: 'restore', files: 2 },
  { kind: 'flatten', files: 1, made: 2, stops: true },
  { kind: 'prepare_base', files: 6, stops: true },
  { kind: 'add_volume', more: { volume: 'more', sizeMiB: 1 }, files: 1, made: 2 },
  {
    kind: 'clone',
    more: { base: 'vm2' },
    earlier: [...ON_VM2, ['remove_volume', 'vm1', { volume: 'home' }]],
    files: 3,
  },
  {
    kind: 'rebase',
    more: { base: 'vm3', stop: true },
    earlier: [
      ...ON_VM2,
      ['prepare_base', 'vm3'],
      ['remove_volume', 'vm1', { volume: 'home' }],
      ['clone', 'vm1', { base: 'vm2' }],
    ],
    files: 2,
  },
];
/** All of them with `npm run test:life`. */
const CASES = process.env.PROVISIOND_LIFE === 'long' ? ALL : ALL.slice(0, 2);

let world: CloneWorld;
let disks: SmallDisks;
afterEach(async () => {
  disks.close();
  await world.close();
});

wherever('a disk that is full', () => {
  it.each(CASES.map((one) => [one.kind, one] as const))(
    'when any of the files of %s is made leaves the VM as it was, running, and nothing else; with room it goes well',
    async (kind, { more = {}, earlier = [], files, made = files, stops }) => {
      world = await CloneWorld.open({ vm1: FULL, vm2: FULL, vm3: FULL });
      disks = new SmallDisks(world.host);
      for (const [what, computer, options] of earlier) {
        expect([what, await world.do(what, computer, options)]).toMatchObject([what, DONE]);
      }
      await world.vms.bring('vm1', 'Running');
      const seen = () => ({
        whole: world.whole('vm1'),
        vms: world.files('vms').filter((file) => file !== '.filler'),
        datastore: world.files('datastore').filter((file) => file !== '.filler'),
        condition: world.vms.condition('vm1'),
      });
      const { boots } = world.domain('vm1');
      // Where the guest is stopped, its temporary volume begins anew.
      if (stops) world.write(world.disks('vm1').vdb!.path, 0);
      const before = seen();
      for (let file = 1; file <= files; file++) {
        disks.fillAt(file);
        const operation = await world.do(kind, 'vm1', more);
        expect([file, operation]).toMatchObject([file, { state: 'failed', error: { code: 'HOST_DISK_FULL' } }]);
        if (!stops) expect(world.domain('vm1').boots).toBe(boots);
        disks.fillNever();
        if (stops) expect(world.contents('vm1').vdb).toBe(0);
        expect([file, stops ? { ...seen(), whole: '' } : seen()]).toEqual([
          file,
          stops ? { ...before, whole: '' } : before,
        ]);
      }
      expect(await world.do(kind, 'vm1', more)).toMatchObject(DONE);
      expect(disks.made).toBe(made);
    },
  );
});
