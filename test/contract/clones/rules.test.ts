/** Rules of bases and clones that are not about content: who asks twice, what the trash stands on, formats, whose files they are. */
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { afterEach, describe, expect, it } from '@jest/globals';
import { type BaseParts, collectGarbage } from '../../../lib/operations/bases';
import { emptyTrash } from '../../../lib/work/trash-keeper';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { CloneWorld, type Furniture } from '../../support/clone-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const DONE = { state: 'done', error: null };

let world: CloneWorld;
afterEach(async () => world.close());

const open = async (furniture: Readonly<Record<string, Furniture>>) => (world = await CloneWorld.open(furniture));
const baseFiles = () => world.files('datastore').filter((file) => file.includes('.base-'));

/** Everything in the trash is past its time. */
async function emptyIt(): Promise<void> {
  const { site, lease } = world.vms;
  const { store, hosts } = site.adapters();
  await site.database.change('update provisiond_trash set expires = 1');
  await emptyTrash({ store, hosts }, lease, site.log);
}

wherever('two that ask for the same', () => {
  it('at once, without a key: one prepares or removes the base, both are done; asked for later it is refused', async () => {
    await open({ vm1: { system: 0x11 } });
    const asked = [await world.vms.ask('prepare_base'), await world.vms.ask('prepare_base')];
    const ended = [await world.vms.ended(asked[0]!, 60), await world.vms.ended(asked[1]!, 60)];
    expect(ended).toMatchObject([DONE, { ...DONE, result: { doneBy: asked[0]!.id } }]);
    expect(baseFiles()).toEqual([`vm1.base-${asked[0]!.id}.root.qcow2`]);
    // Times are known in seconds.
    await new Promise((resolve) => setTimeout(resolve, 2100));
    expect(await world.do('prepare_base', 'vm1')).toMatchObject({
      state: 'failed',
      error: { code: 'OPERATION_BLOCKED' },
    });
    const removals = [await world.vms.ask('remove_base'), await world.vms.ask('remove_base')];
    const removed = [await world.vms.ended(removals[0]!, 60), await world.vms.ended(removals[1]!, 60)];
    expect(removed).toMatchObject([DONE, { ...DONE, result: { doneBy: removals[0]!.id } }]);
    expect([baseFiles(), world.contents('vm1')]).toEqual([[], { vda: 0x11 }]);
    // What was undone since is done again.
    expect(await world.do('prepare_base', 'vm1')).toMatchObject(DONE);
    expect(baseFiles()).toHaveLength(1);
  });
});

wherever('what only the trash stands on', () => {
  it('stays: an image that is deleted, until the time of what was restored from it is over', async () => {
    await open({ vm1: { system: 0x22 } });
    const { site } = world.vms;
    const facts = { os: 'vmwarelinux', ramMiB: 256, cpus: 1, sizeMiB: 1, owner: 'admin' };
    const { fileName } = await site.frontEnd.addImage({ prettyName: 'Other', ...facts });
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', world.host.path('datastore', `${fileName}.qcow2`), '1M']);
    const old = world.disks('vm1').vda!.backing!;
    expect(await world.do('restore', 'vm1', { image: 'Other' })).toMatchObject(DONE);
    const { id } = await site.computer('vm1');
    const { revisionId } = site.image;
    await site.database.change('update imagerevision set deleted = 1 where id = ?', [revisionId]);
    await site.database.change(
      'update computer set nextimageid = 1, imagerevisionid = 1, currentimageid = 1 where id <> ? and imagerevisionid = ?',
      [id, revisionId],
    );
    const { computerId: hostId, profile: places } = world.host.facts();
    const parts: BaseParts = {
      hosts: [{ host: world.host, hostId, places }],
      records: site.store,
      readUses: () => site.frontEnd.listImageUse(),
      timeoutMs: 20_000,
    };
    expect((await collectGarbage(parts, false)).kept).toMatchObject([{ path: old, why: 'an overlay stands on it' }]);
    expect(existsSync(old)).toBe(true);
    await emptyIt();
    expect((await collectGarbage(parts, false)).garbage).toMatchObject([{ path: old, outcome: 'removed' }]);
    expect([existsSync(old), existsSync(world.disks('vm1').vda!.backing!)]).toEqual([false, true]);
  });

  it('stays: a base whose clone went elsewhere, until what it was is forgotten', async () => {
    await open({ vm1: { system: 0x11 }, vm2: { system: 0x12 }, vm3: {} });
    for (const base of ['vm1', 'vm2']) expect(await world.do('prepare_base', base)).toMatchObject(DONE);
    expect(await world.do('clone', 'vm3', { base: 'vm1' })).toMatchObject(DONE);
    expect(await world.do('rebase', 'vm3', { base: 'vm2' })).toMatchObject(DONE);
    expect(await world.do('remove_base', 'vm1')).toMatchObject({
      state: 'failed',
      error: { code: 'CONFLICT', message: expect.stringContaining('.trash/') },
    });
    await emptyIt();
    expect(await world.do('remove_base', 'vm1')).toMatchObject(DONE);
    expect(world.contents('vm3')).toEqual({ vda: 0x12 });
  });
});

wherever('a base', () => {
  it('of a VM with a raw temporary volume has qcow2 files, which its clones record as what they are', async () => {
    await open({ vm1: { system: 0x11, temporary: 0x12 }, vm2: {} });
    const { path: scratch } = world.disks('vm1').vdb!;
    const raw = scratch.replace(/\.qcow2$/, '.raw');
    execFileSync('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', scratch, raw]);
    rmSync(scratch);
    const { xml } = world.domain('vm1');
    const block = xml.match(/<disk[\s\S]*?<\/disk>/g)!.find((text) => text.includes(scratch))!;
    await world.redefine('vm1', xml.replace(block, block.replace(scratch, raw).replace('type="qcow2"', 'type="raw"')));
    expect(await world.do('prepare_base', 'vm1')).toMatchObject(DONE);
    expect(await world.do('clone', 'vm2', { base: 'vm1' })).toMatchObject(DONE);
    const { vdb } = world.disks('vm2');
    expect(vdb).toMatchObject({ format: 'qcow2', backingFormat: 'qcow2' });
    expect(world.look(vdb!.backing!)).toMatchObject({ format: 'qcow2', backing: null });
    expect(await world.do('start', 'vm2')).toMatchObject(DONE);
    expect(world.contents('vm2')).toEqual({ vda: 0x11, vdb: 0x12 });
  });

  it('keeps what is in its own temporary volumes, and refuses whatever would start or change it', async () => {
    await open({ vm1: { system: 0x11, temporary: 0x12, data: 0x13 } });
    expect(await world.do('prepare_base', 'vm1')).toMatchObject(DONE);
    const before = world.whole('vm1');
    const refused = [
      ...(['start', 'clear_temporary', 'restore', 'flatten', 'snapshot', 'prepare_base'] as const),
      ...(['undo'] as const),
    ].map((kind) => [kind, {}] as const);
    const more = [
      ['add_volume', { volume: 'more', sizeMiB: 1 }],
      ['remove_volume', { volume: 'home' }],
      ['revert', { snapshot: 's1' }],
      ['rebase', { base: 'vm1' }],
      ['clone', { base: 'vm1' }],
    ] as const;
    await new Promise((resolve) => setTimeout(resolve, 1100));
    for (const [kind, options] of [...refused, ...more]) {
      expect([kind, await world.do(kind, 'vm1', options)]).toMatchObject([
        kind,
        { state: 'failed', error: { code: 'OPERATION_BLOCKED' } },
      ]);
    }
    expect([world.whole('vm1'), world.contents('vm1').vdb]).toEqual([before, 0x12]);
  });
});
