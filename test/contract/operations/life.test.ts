/** Operations on VMs of a fake world: rows go in, and what becomes of rows and domains is looked at. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { ProvisiondError } from '../../../lib/errors';
import { encounter } from '../../../lib/model/vm-rules';
import { type Condition, CONDITIONS, DEEDS, type Deed, POWER_KINDS, resultOf } from '../../../lib/model/vm-states';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { OF_BASES } from '../../support/operation-pairs';
import { VmWorld } from '../../support/vm-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

let world: VmWorld;
afterEach(async () => world.close());

function argumentsOf(deed: Deed): object {
  if (deed.endsWith(' paused')) return { paused: true };
  if (deed === 'add_volume') return { volume: 'more', sizeMiB: 1 };
  if (deed === 'remove_volume') return { volume: 'home' };
  if (deed.endsWith(' discard')) return { discardState: true };
  return deed === 'revert' || deed === 'delete_snapshot' ? { snapshot: 's1' } : {};
}

/** The kinds that the table lets through. */
const passingIn = (condition: Condition) =>
  POWER_KINDS.filter((kind) => DEEDS.some((deed) => deed.split(' ')[0] === kind && resultOf(deed, condition) !== null));

wherever('a VM of a fake world', () => {
  beforeEach(async () => {
    world = await VmWorld.open(CONDITIONS.map((condition) => condition.toLowerCase()));
    await world.startInbox();
  });

  // Those need a base, or make one, which is allowed nothing but to be one: test/contract/clones.
  it.each(DEEDS.filter((deed) => !OF_BASES.some((kind) => kind === deed.split(' ')[0])))(
    '%s: does what the table says in each condition, and nothing where it says no; then it lists what is allowed now',
    async (deed) => {
      const outcomes = await Promise.all(
        CONDITIONS.map(async (condition) => {
          const computer = condition.toLowerCase();
          if (deed === 'revert' || deed === 'delete_snapshot') {
            await world.bring(computer, condition === 'Asleep' ? 'Running' : condition);
            await world.virsh('snapshot-create-as', world.domainOf(computer), 's1');
          }
          if (deed === 'remove_volume') await world.do('add_volume', { volume: 'home', sizeMiB: 1 }, computer);
          if (deed.startsWith('undo')) await world.do('restore', {}, computer);
          await world.bring(computer, condition);
          const { state, error } = await world.do(deed.split(' ')[0]!, argumentsOf(deed), computer);
          const { powerState, allowed } = await world.site.frontEnd.showVm(computer);
          const now = world.condition(computer);
          expect([condition, now, allowed]).toEqual([condition, now, passingIn(now)]);
          return { condition, state, code: error?.code, now, powerState };
        }),
      );
      for (const { condition, state, code, now, powerState } of outcomes) {
        const result = resultOf(deed, condition);
        const isHere = deed === 'power_state_reset' && !['Halted', 'Suspended'].includes(condition);
        const isKept = result === null || result === 'same' || isHere;
        const refusal = result === null ? 'VM_BAD_POWER_STATE' : isHere ? 'DOMAIN_EXISTS' : undefined;
        // A snapshot of these kinds brings the VM back as it was when it was taken.
        const back = condition === 'Suspended' || condition === 'Crashed' || condition === 'Asleep' ? now : condition;
        const wanted = isKept ? condition : result === 'saved' ? back : result;
        const told = wanted === 'Asleep' ? 'Running' : wanted;
        expect({ condition, state, code, now, powerState }).toEqual({
          ...{ condition, state: refusal ? 'failed' : 'done', code: refusal, now: wanted, powerState: told },
        });
      }
    },
  );
});

wherever('a row of the inbox', () => {
  beforeEach(async () => {
    world = await VmWorld.open(['vm1', 'vm2']);
    await world.startInbox();
  });

  const insert = async (row: Record<string, string | number | null>) => {
    const id = await world.site.database.insert('provisiond_operation', row);
    return world.ended({ id });
  };

  it('with nonsense in it fails with a reason', async () => {
    const { id } = await world.site.computer('vm1');
    const nonsense: [Record<string, string | number | null>, string, RegExp][] = [
      [{ kind: 'fly', computerid: id }, 'OPERATION_INVALID', /there is no operation 'fly'; there are start, /],
      [{ kind: 'start', computerid: id, arguments: '{"paused": "yes"}' }, 'OPERATION_INVALID', /paused: /],
      [{ kind: 'start', computerid: id, arguments: '{"pause": true}' }, 'OPERATION_INVALID', /pause/],
      [{ kind: 'start', computerid: id, arguments: '{oops' }, 'OPERATION_INVALID', /no JSON/],
      [{ kind: 'start', computerid: id, arguments: '[1]' }, 'OPERATION_INVALID', /start/],
      [{ kind: 'snapshot', computerid: id, arguments: '{"name": "a; reboot"}' }, 'OPERATION_INVALID', /name: /],
      [{ kind: 'start', computerid: 4711 }, 'OPERATION_INVALID', /no virtual machine 4711/],
      [{ kind: 'start', computerid: null }, 'OPERATION_INVALID', /names no computer/],
      [{ kind: 'revert', computerid: id, arguments: '{"snapshot": "never"}' }, 'SNAPSHOT_NOT_FOUND', /never/],
    ];
    for (const [row, code, message] of nonsense) {
      const operation = await insert(row);
      expect(operation).toMatchObject({ state: 'failed', error: { code, message: expect.stringMatching(message) } });
      expect(operation.error).toMatchObject({ blame: 'request', hint: expect.stringMatching(/./) });
    }
    expect(world.condition('vm1')).toBe('Halted');
  });

  it('is worked once, however often it is sent with the same key', async () => {
    const wish = { kind: 'start', computer: 'vm1', arguments: {}, requestedBy: 'page', idempotencyKey: 'click 1' };
    const first = await world.site.frontEnd.addOperation(wish);
    const second = await world.site.frontEnd.addOperation(wish);
    expect(second.id).toBe(first.id);
    expect(await world.ended(first)).toMatchObject({ state: 'done' });
    expect(world.host.domain(world.domainOf('vm1'))!.boots).toBe(1);
  });

  it('tells its steps, its result, and where the VM is', async () => {
    const operation = await world.do('start');
    expect(operation).toMatchObject({ state: 'done', percent: 100, result: { powerState: 'Running' }, attempts: 1 });
    const story = await world.site.frontEnd.operationStory(operation.id);
    expect(story.filter(({ kind }) => kind === 'ended').map(({ text }) => text)).toEqual([
      'check that it is allowed',
      'start the domain',
      'confirm the power state',
    ]);
    expect(await world.site.frontEnd.showVm('vm1')).toMatchObject({
      powerState: 'Running',
      allowed: expect.arrayContaining(['pause', 'clean_shutdown', 'snapshot']),
      history: expect.arrayContaining([expect.objectContaining({ text: expect.stringMatching(/Halted → Running/) })]),
    });
  });

  it('for a computer that a request is loading waits for nobody: it is refused', async () => {
    const requestId = await world.site.reserve({ computer: 'vm1' });
    await world.site.store.claim(world.lease, { requestId, state: 'new', lastState: 'new' });
    expect(await world.do('start')).toMatchObject({
      state: 'failed',
      error: { code: 'OTHER_OPERATION_IN_PROGRESS', message: expect.stringMatching(`request ${requestId}`) },
    });
    expect(await world.do('start', {}, 'vm2')).toMatchObject({ state: 'done' });
  });

  it('of a kind that is blocked says why, whatever the power state', async () => {
    await world.site.frontEnd.blockOperation('vm1', 'pause', 'exam in progress');
    expect(await world.do('pause')).toMatchObject({
      state: 'failed',
      error: { code: 'OPERATION_BLOCKED', message: expect.stringMatching(/exam in progress/) },
    });
    await world.do('start');
    expect((await world.site.frontEnd.showVm('vm1')).allowed).not.toContain('pause');
    await world.site.frontEnd.blockOperation('vm1', 'pause', null);
    expect(await world.do('pause')).toMatchObject({ state: 'done' });
  });

  it('that was taken back before it began never begins', async () => {
    await world.inbox.stop('so that it waits');
    const asked = await world.ask('start');
    await world.site.frontEnd.cancelOperation(asked.id);
    await world.startInbox();
    expect(await world.ended(asked)).toMatchObject({ state: 'cancelled', error: { code: 'OPERATION_CANCELLED' } });
    expect(world.condition('vm1')).toBe('Halted');
  });

  it('is pruned when it is long over, and not before', async () => {
    const { id } = await world.do('start');
    expect(await world.site.store.pruneOperations(world.lease, 1)).toBe(0);
    await world.site.database.change("update provisiond_operation set ended = '2020-01-01 00:00:00'");
    expect(await world.site.store.pruneOperations(world.lease, 1)).toBe(1);
    await expect(world.site.frontEnd.showOperation(id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('survives its daemon: the next one goes on, and does nothing twice', async () => {
    world.host.makeDeaf(world.domainOf('vm1'));
    await world.bring('vm1', 'Running');
    const asked = await world.ask('shutdown', { timeoutSeconds: 3 });
    await world.reached(asked, 'ask the guest to shut down');
    await world.inbox.stop('the daemon is killed');
    expect(await world.site.frontEnd.showOperation(asked.id)).toMatchObject({ state: 'working', ended: null });
    await world.startInbox();
    expect(await world.ended(asked)).toMatchObject({ state: 'done', attempts: 2 });
    expect(world.condition('vm1')).toBe('Halted');
  });
});

wherever('a guest that does not play along', () => {
  beforeEach(async () => {
    world = await VmWorld.open();
    await world.startInbox();
  });

  it('ignores its button: the button is pressed again, and then it still runs', async () => {
    world.host.makeDeaf();
    await world.bring('vm1', 'Running');
    const operation = await world.do('clean_shutdown', { timeoutSeconds: 2 });
    expect(operation).toMatchObject({ state: 'failed', error: { code: 'VM_SHUTDOWN_TIMEOUT', blame: 'computer' } });
    const story = (await world.site.frontEnd.operationStory(operation.id)).map(({ text }) => text);
    expect(story).toContainEqual(expect.stringMatching(/pressed again/));
    expect(world.condition('vm1')).toBe('Running');
    expect(await world.do('clean_reboot', { timeoutSeconds: 2 })).toMatchObject({
      error: { code: 'VM_REBOOT_TIMEOUT' },
    });
    expect(await world.do('shutdown', { timeoutSeconds: 1 })).toMatchObject({ state: 'done' });
    expect(world.condition('vm1')).toBe('Halted');
  });

  it('whose saved memory is damaged stays suspended, says so, and is let go by a hard shut-down only', async () => {
    await world.bring('vm1', 'Suspended');
    world.host.damageSave(world.domainOf('vm1'));
    const operation = await world.do('resume');
    expect(operation).toMatchObject({ state: 'failed', error: { code: 'VM_RESUME_FAILED' } });
    expect(world.condition('vm1')).toBe('Suspended');
    expect(await world.site.frontEnd.showVm('vm1')).toMatchObject({ powerState: 'Suspended', fault: 'resume failed' });
    expect(await world.do('hard_shutdown')).toMatchObject({ state: 'done' });
    expect(await world.do('start')).toMatchObject({ state: 'done' });
    expect(await world.site.frontEnd.showVm('vm1')).toMatchObject({ powerState: 'Running', fault: null });
  });

  it('comes back paused or running, as is asked for, however it was saved', async () => {
    await world.bring('vm1', 'Paused');
    await world.virsh('managedsave', world.domainOf('vm1'));
    expect(await world.do('resume')).toMatchObject({ state: 'done' });
    expect(world.condition('vm1')).toBe('Running');
    await world.do('suspend');
    expect(await world.do('resume', { paused: true })).toMatchObject({ state: 'done' });
    expect(world.condition('vm1')).toBe('Paused');
  });

  it('is said to be off only when nobody can say otherwise', async () => {
    await world.bring('vm1', 'Running');
    expect(await world.do('power_state_reset')).toMatchObject({ error: { code: 'DOMAIN_EXISTS' } });
    world.host.stopLibvirtd();
    expect(await world.do('power_state_reset')).toMatchObject({ error: { code: 'HOST_IS_LIVE' } });
    // Its host is gone for good.
    const unreachable = new ProvisiondError('HOST_UNREACHABLE', 'host1 does not answer');
    Object.assign(world.host, { run: () => Promise.reject(unreachable) });
    expect(await world.do('power_state_reset')).toMatchObject({ state: 'done', result: { powerState: 'Halted' } });
    expect(await world.site.frontEnd.showVm('vm1')).toMatchObject({ powerState: 'Halted' });
  });

  it('is started anew by a hard reboot with the definition that it has by then', async () => {
    await world.bring('vm1', 'Running');
    const changed = world.host.path('xml', 'changed.xml');
    const { xml } = world.host.domain(world.domainOf('vm1'))!;
    writeFileSync(changed, xml.replace('<vcpu>1<', '<vcpu>2<'));
    await world.virsh('define', changed);
    const running = async () => (await world.virsh('dumpxml', world.domainOf('vm1'))).stdout;
    expect(await running()).toContain('<vcpu>1<');
    expect(await world.do('hard_reboot')).toMatchObject({ state: 'done' });
    expect(await running()).toContain('<vcpu>2<');
  });
});

wherever('two operations on one VM', () => {
  beforeEach(async () => {
    world = await VmWorld.open();
    await world.startInbox();
  });

  /** Something of each rank that takes its time, and the condition that it begins in. */
  const underWay = {
    clean_shutdown: ['Running', { timeoutSeconds: 60 }, 'ask the guest to shut down'],
    clean_reboot: ['Running', { timeoutSeconds: 60 }, 'ask the guest to reboot'],
    shutdown: ['Running', { timeoutSeconds: 60 }, 'ask the guest to shut down'],
  } as const;

  it.each(Object.keys(underWay) as (keyof typeof underWay)[])(
    'while %s is under way: softer ones are refused, a hard shut-down ends it',
    async (kind) => {
      const [condition, more, step] = underWay[kind];
      world.host.makeDeaf();
      await world.bring('vm1', condition);
      const first = await world.ask(kind, more);
      await world.reached(first, step);
      const allowed = (await world.site.frontEnd.showVm('vm1')).allowed;
      expect(allowed).toEqual(
        POWER_KINDS.filter((other) => other.startsWith('hard_') && encounter(other, kind) !== 'refuse'),
      );
      for (const other of ['pause', 'snapshot', 'suspend', 'clean_shutdown']) {
        expect([other, await world.do(other)]).toMatchObject([
          other,
          { state: 'failed', error: { code: 'OTHER_OPERATION_IN_PROGRESS', message: expect.stringMatching(kind) } },
        ]);
      }
      const harder = await world.ask('hard_shutdown');
      expect(await world.ended(harder)).toMatchObject({ state: 'done' });
      const over = await world.ended(first);
      expect(over).toMatchObject({
        state: 'cancelled',
        error: { message: expect.stringMatching(`operation ${harder.id}`) },
      });
      expect(world.condition('vm1')).toBe('Halted');
    },
  );

  it('a hard reboot waits for a shut-down, and then starts the VM', async () => {
    world.host.makeDeaf();
    await world.bring('vm1', 'Running');
    const first = await world.ask('shutdown', { timeoutSeconds: 2 });
    await world.reached(first, 'ask the guest to shut down');
    expect(await world.do('hard_reboot')).toMatchObject({ state: 'done' });
    expect(await world.ended(first)).toMatchObject({ state: 'done' });
    expect(world.condition('vm1')).toBe('Running');
  });

  it('that were sent together are worked in their order: the later one is told of the earlier', async () => {
    await world.inbox.stop('so that both wait');
    const [first, second] = [await world.ask('start'), await world.ask('snapshot')];
    await world.startInbox();
    expect(await world.ended(first)).toMatchObject({ state: 'done' });
    expect(await world.ended(second)).toMatchObject({
      state: 'failed',
      error: { code: 'OTHER_OPERATION_IN_PROGRESS' },
    });
  });

  it('snapshots come one after another', async () => {
    world.host.fail('virsh snapshot-create-as', { delayMs: 500 });
    const [first, second] = [await world.ask('snapshot'), await world.ask('snapshot')];
    expect(await world.ended(first)).toMatchObject({ state: 'done' });
    expect(await world.ended(second)).toMatchObject({ state: 'done' });
    expect([...world.host.domain(world.domainOf('vm1'))!.snapshots].sort()).toEqual([
      `snapshot-${first.id}`,
      `snapshot-${second.id}`,
    ]);
  });

  it('is taken back by whoever asked for it', async () => {
    world.host.makeDeaf();
    await world.bring('vm1', 'Running');
    const asked = await world.ask('clean_shutdown', { timeoutSeconds: 60 });
    await world.reached(asked, 'ask the guest to shut down');
    await world.site.frontEnd.cancelOperation(asked.id);
    expect(await world.ended(asked)).toMatchObject({ state: 'cancelled' });
    expect(world.condition('vm1')).toBe('Running');
  });
});
