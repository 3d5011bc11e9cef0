/** What happens to VMs behind the back of the daemon, in a fake world: what is known of it, and what is done about it. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import type { CrashPolicy } from '../../../lib/model/vm-rules';
import type { OperationDetails, VmDetails } from '../../../lib/store/vm-front-end';
import { eventually } from '../../support/eventually';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { VmWorld } from '../../support/vm-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const ALL = process.env.PROVISIOND_LIFE === 'long';

wherever('a VM that is watched', () => {
  let world: VmWorld;
  const domain = () => world.domainOf('vm1');

  beforeEach(async () => {
    world = await VmWorld.open();
    await world.startInbox();
    world.startWatcher();
    await world.bring('vm1', 'Running');
    await known(({ powerState }) => powerState === 'Running');
  });
  afterEach(async () => world.close());

  async function known(isSo: (vm: VmDetails) => boolean, seconds = 15): Promise<VmDetails> {
    let vm!: VmDetails;
    const isKnown = async () => isSo((vm = await world.site.frontEnd.showVm('vm1')));
    await eventually(isKnown, seconds, () => `the VM is known as ${JSON.stringify(vm)}`);
    return vm;
  }

  /** It has been up for longer than a crash loop takes. */
  const grow = () => world.site.database.change('update provisiond_vm set startedat = startedat - 1000');

  /** @returns the operation that answers the crash */
  async function crash(
    policy: CrashPolicy,
    what: 'panic' | 'panic on Xen' | 'killed' = 'panic',
  ): Promise<OperationDetails> {
    await world.site.frontEnd.setAfterCrash('vm1', policy);
    world.host.happen(domain(), what);
    const { operations } = await known(
      (vm) => vm.operations[0]?.requestedBy === `provisiond (after a crash: ${policy})`,
    );
    return world.ended(operations[0]!);
  }

  it.each(ALL ? (['restart', 'rename-restart'] as const) : (['restart'] as const))(
    'that panics is started anew where its policy says %s, but not within 120 s of its start: that would go on and on',
    async (policy) => {
      await grow();
      expect(await crash(policy)).toMatchObject({ kind: 'hard_reboot', state: 'done' });
      expect(world.condition('vm1')).toBe('Running');
      expect(world.host.domain(domain())!.boots).toBe(2);
      expect(await known(({ powerState }) => powerState === 'Running')).toMatchObject({
        secondsUp: expect.any(Number),
      });
      world.host.happen(domain(), 'panic');
      await known(({ operations, powerState }) => operations[0]?.kind === 'hard_shutdown' && powerState === 'Halted');
      await new Promise((resolve) => setTimeout(resolve, 1500));
      expect(world.host.domain(domain())).toMatchObject({ state: 'shut off', boots: 2 });
    },
  );

  it('whose QEMU was killed is started again, and its last exit stays known', async () => {
    await grow();
    expect(await crash('restart', 'killed')).toMatchObject({ kind: 'start', state: 'done' });
    expect(await known(({ powerState }) => powerState === 'Running')).toMatchObject({ lastExit: 'crashed' });
    world.host.happen(domain(), 'killed');
    await known(({ powerState, lastExit }) => powerState === 'Halted' && lastExit === 'crashed');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(world.condition('vm1')).toBe('Halted');
  });

  it('that panics is left as it is by default, and switched off where its policy says destroy', async () => {
    world.host.happen(domain(), 'panic');
    expect(await known(({ powerState }) => powerState === 'Crashed')).toMatchObject({ operations: [] });
    expect(await world.do('hard_reboot')).toMatchObject({ state: 'done' });
    expect(await crash('destroy')).toMatchObject({ kind: 'hard_shutdown', state: 'done' });
    expect(await known(({ powerState }) => powerState === 'Halted')).toMatchObject({ lastExit: 'destroyed' });
  });

  it.each([
    ['coredump-restart', 'hard_reboot', 'Running'],
    ['coredump-destroy', 'hard_shutdown', 'Halted'],
  ] as const)(
    'that panics leaves its memory in a file beside its disks, for its admin alone: %s',
    async (policy, kind, condition) => {
      await grow();
      const file = world.host.path('vms', 'vm1.core');
      expect(await crash(policy)).toMatchObject({ kind, state: 'done', result: { coreDump: file } });
      expect(readFileSync(file, 'utf8')).toContain(domain());
      expect(execFileSync('stat', ['-c', '%a', file]).toString().trim()).toBe('600');
      expect(world.condition('vm1')).toBe(condition);
    },
  );

  it('that panics on Xen leaves its memory as well: libvirt’s driver there does not know the flag for nothing but memory', async () => {
    await grow();
    const message = 'error: unsupported flags (0x10) in function libxlDomainCoreDump';
    world.host.fail('virsh dump', { message, times: 1 });
    const file = world.host.path('vms', 'vm1.core');
    expect(await crash('coredump-restart', 'panic on Xen')).toMatchObject({
      state: 'done',
      result: { coreDump: file },
    });
    expect(readFileSync(file, 'utf8')).toContain(domain());
    expect(world.condition('vm1')).toBe('Running');
  });

  it('that panics is started anew even where its memory cannot be kept, and nothing is left of that', async () => {
    await grow();
    world.host.fail('virsh dump', { message: 'error: no space left on device' });
    const operation = await crash('coredump-restart');
    expect(operation).toMatchObject({ kind: 'hard_reboot', state: 'done' });
    const story = (await world.site.frontEnd.operationStory(operation.id)).map(({ text }) => text);
    expect(story).toContainEqual(expect.stringMatching(/could not be kept: .*no space left/));
    expect(existsSync(world.host.path('vms', 'vm1.core'))).toBe(false);
    expect(world.host.files('vms').filter((name) => name.includes('core'))).toEqual([]);
  });

  it('that stands because of an I/O error is paused with that fault, and runs on when it is let', async () => {
    world.host.happen(domain(), 'I/O error');
    expect(await known(({ fault }) => fault === 'I/O error')).toMatchObject({ powerState: 'Paused' });
    expect(await world.do('unpause')).toMatchObject({ state: 'done' });
    expect(await known(({ powerState }) => powerState === 'Running')).toMatchObject({ fault: null });
  });

  it('is known again after the connection that events come by was cut: what was missed is found, what comes is heard', async () => {
    cutEvents();
    await world.virsh('suspend', domain());
    await known(({ powerState }) => powerState === 'Paused');
    await world.virsh('resume', domain());
    await known(({ powerState }) => powerState === 'Running');
    // Listened to again: nobody would look for a minute.
    await new Promise((resolve) => setTimeout(resolve, 4000));
    expect(listeners()).toHaveLength(1);
    world.host.happen(domain(), 'power off');
    await known(({ powerState, lastExit }) => powerState === 'Halted' && lastExit === 'shutdown');
    const { history } = await world.site.frontEnd.showVm('vm1');
    expect(history.filter(({ kind }) => kind === 'state').map(({ text }) => text.split(':')[0])).toEqual([
      expect.stringMatching(/→ (Halted|Running)$/),
      ...(history.length > 4 ? [expect.stringMatching(/→ Running$/)] : []),
      'Running → Paused',
      'Paused → Running',
      'Running → Halted',
    ]);
  });

  /** Processes that listen to this world's events. */
  function listeners(): number[] {
    const events = world.host.path('events');
    const found = execFileSync('sh', ['-c', `pgrep -f "tail -q -n 0 -f ${events}$" || true`]).toString();
    return found
      .split('\n')
      .filter(Boolean)
      .map(Number)
      .filter((pid) => existsSync(`/proc/${pid}/exe`));
  }

  function cutEvents(): void {
    const pids = listeners();
    expect(pids).not.toEqual([]);
    for (const pid of pids) process.kill(pid, 'SIGKILL');
  }
});
