/** Temporary volumes begin anew before every cold start, whoever starts the VM: operations and states, on fake worlds. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { CloneWorld } from '../../support/clone-world';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { StateWorld, used } from '../../support/state-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const DONE = { state: 'done', error: null };
const [SYSTEM, SCRATCH, HOME, FRESH] = [0x11, 0x12, 0x13, 0];

let world: CloneWorld | undefined;
let states: StateWorld | undefined;
afterEach(async () => {
  await Promise.all([world?.close(), states?.close()]);
  [world, states] = [undefined, undefined];
});

wherever('temporary volumes of a VM that an operation starts cold', () => {
  const full = { system: SYSTEM, temporary: SCRATCH, data: HOME };
  const fresh = { vda: SYSTEM, vdb: FRESH, vdc: HOME };

  it.each([
    ['a start', 'start', {}, 'Halted'],
    ['a start, paused', 'start', { paused: true }, 'Halted'],
    ['a hard reboot, which is an end and a start', 'hard_reboot', {}, 'Running'],
    ['a hard reboot after a crash', 'hard_reboot', {}, 'Crashed'],
  ] as const)('are empty after %s, and no others are', async (_what, kind, more, from) => {
    world = await CloneWorld.open({ vm1: full });
    await world.vms.bring('vm1', from);
    expect(await world.do(kind, 'vm1', more)).toMatchObject(DONE);
    expect(world.contents('vm1')).toEqual(fresh);
  });

  it('are empty when the VM is started again on its old disks, because a change of them failed', async () => {
    world = await CloneWorld.open({ vm1: full });
    await world.vms.bring('vm1', 'Running');
    world.host.fail('virsh define', { times: 1, message: 'error: the definition is refused' });
    expect(await world.do('add_volume', 'vm1', { volume: 'more', sizeMiB: 1 })).toMatchObject({ state: 'failed' });
    expect(world.vms.condition('vm1')).toBe('Running');
    expect(world.contents('vm1')).toEqual(fresh);
  });

  it.each([
    ['paused and let run', ['pause', 'unpause']],
    ['suspended and resumed', ['suspend', 'resume']],
    ['rebooted by its guest', ['clean_reboot']],
  ])('are kept when it is %s: that is no end', async (_what, kinds) => {
    world = await CloneWorld.open({ vm1: full });
    await world.vms.bring('vm1', 'Running');
    for (const kind of kinds) expect(await world.do(kind, 'vm1')).toMatchObject(DONE);
    expect(world.contents('vm1')).toEqual({ ...fresh, vdb: SCRATCH });
  });
});

wherever('temporary volumes of a reservation', () => {
  /** In use, its temporary volume written to. @returns its disk */
  async function furnish(): Promise<string> {
    states = await StateWorld.open();
    const { frontEnd } = states.site;
    await frontEnd.planVolume('computer', 'vm1', { name: 'scratch', type: 'temporary', sizeMiB: 1 });
    await used(states);
    const scratch = states.site.host.domains()[0]!.disks[1]!;
    expect(scratch).toMatch(/\.tmp-scratch-g1\.qcow2$/);
    CloneWorld.write(scratch, SCRATCH);
    return scratch;
  }
  const read = (file: string) => CloneWorld.read(file, states!.site.host);

  it('are empty after its power was reset, and after it was started again for a checkpoint', async () => {
    const scratch = await furnish();
    await states!.overwrite('reboothard');
    await states!.work();
    expect(read(scratch)).toBe(FRESH);
    CloneWorld.write(scratch, SCRATCH);
    await states!.orderCapture('checkpoint');
    await states!.work();
    expect(states!.site.host.domains()[0]!.state).toBe('running');
    expect(read(scratch)).toBe(FRESH);
  });

  it('are kept when the guest reboots as it was asked to', async () => {
    const scratch = await furnish();
    await states!.overwrite('rebootsoft');
    await states!.work();
    expect(read(scratch)).toBe(SCRATCH);
  });

  it('are empty when what crashed is started again', async () => {
    const scratch = await furnish();
    const { host } = states!.site;
    host.happen(host.domains()[0]!.name, 'panic');
    await states!.overwrite('reboothard');
    await states!.work();
    expect([host.domains()[0]!.state, read(scratch)]).toEqual(['running', FRESH]);
  });
});
