import { expect, it } from '@jest/globals';
import type { VmWrite } from '../../../lib/store/operation-store';
import { describeOnBoth, type TestStore } from '../../support/store';

const ask = (t: TestStore, more: object = {}) =>
  t.frontEnd.addOperation({ kind: 'start', computer: 'vm1', arguments: {}, requestedBy: 'test', ...more });

const WELL = { state: 'done' } as const;

describeOnBoth('the inbox of operations', (current) => {
  it('gives each row to one daemon, by its lease', async () => {
    const t = current();
    const { id } = await ask(t);
    expect(await t.store.pollOperations(t.lease)).toMatchObject([{ id, kind: 'start', state: 'queued', attempts: 0 }]);
    expect(await t.store.claimOperation(t.lease, id)).toMatchObject({ id, state: 'working', attempts: 1 });
    expect(await t.store.claimOperation(t.lease, id)).toBeNull();
    const next = (await t.store.acquireLease(t.managementNodeId, 'test', 600))!;
    await expect(t.store.noteOperation(t.lease, id, { percent: 50 })).rejects.toMatchObject({ code: 'LEASE_LOST' });
    await expect(t.store.endOperation(t.lease, id, WELL)).rejects.toMatchObject({ code: 'LEASE_LOST' });
    await expect(t.store.claimOperation(t.lease, id)).rejects.toMatchObject({ code: 'LEASE_LOST' });
    expect(await t.store.claimOperation(next, id)).toMatchObject({ attempts: 2, token: next.token });
    await t.store.noteOperation(next, id, { percent: 50, step: 'half way', journal: '{}', result: '{"a":1}' });
    await t.store.endOperation(next, id, WELL);
    expect(await t.frontEnd.showOperation(id)).toMatchObject({
      state: 'done',
      percent: 100,
      result: { a: 1 },
      step: 'half way',
    });
    expect(await t.store.pollOperations(next)).toEqual([]);
    await expect(t.store.noteOperation(next, id, { percent: 1 })).rejects.toMatchObject({ code: 'CLAIM_LOST' });
  });

  it('gives rows to the node that has a reservation on the computer', async () => {
    const t = current();
    const other = await t.frontEnd.ensureManagementNode('other.test', '127.0.0.1', []);
    const otherLease = (await t.store.acquireLease(other, 'other', 600))!;
    const { requestId } = await t.newReservation();
    const reserved = await t.db.one<{ computerid: number }>('select computerid from reservation where requestid = ?', [
      requestId,
    ]);
    const { computers } = await t.frontEnd.ownership();
    const { shortName } = computers.find(({ computerId }) => computerId === reserved!.computerid)!;
    const { id } = await ask(t, { computer: shortName });
    const node = await t.db.one<{ id: number }>('select managementnodeid as id from reservation where requestid = ?', [
      requestId,
    ]);
    const [mine, theirs] = node!.id === other ? [otherLease, t.lease] : [t.lease, otherLease];
    expect(await t.store.pollOperations(theirs)).toEqual([]);
    expect(await t.store.pollOperations(mine)).toMatchObject([{ id }]);
  });

  it('knows a wish that is sent twice by its key', async () => {
    const t = current();
    const [first, again] = [await ask(t, { idempotencyKey: 'k' }), await ask(t, { idempotencyKey: 'k' })];
    expect(again.id).toBe(first.id);
    expect((await ask(t)).id).not.toBe(first.id);
  });

  it('tells the VMs of one host, as whoever watches that host asks for them', async () => {
    const t = current();
    const all = await t.store.vmComputers(t.managementNodeId);
    const hostId = all[0]!.host!.computerId;
    const here = all.filter(({ host }) => host!.computerId === hostId);
    expect(await t.store.vmComputers(t.managementNodeId, hostId)).toEqual(here);
    expect(await t.store.vmComputers(t.managementNodeId, all[0]!.id)).toEqual([]);
  });

  it('keeps the row of a VM, its blocks and its policy', async () => {
    const t = current();
    const [vm] = await t.store.vmComputers(t.managementNodeId);
    expect(vm).toMatchObject({ shortName: 'vm1', host: { shortName: 'host1' }, known: null, afterCrash: 'preserve' });
    const known = {
      ...{ hostComputerId: vm!.host!.computerId, domain: 'vm1_x_1-v0', uuid: 'u', powerState: 'Running' },
      ...{ lastPowerState: null, reason: 'running (booted)', fault: null, guestSleeping: false, lastExit: 'crashed' },
      allowed: ['pause'],
    } satisfies Partial<VmWrite> as Omit<VmWrite, 'up' | 'exited'>;
    await t.store.writeVm(t.lease, vm!.id, { ...known, up: 'started', exited: true });
    await t.frontEnd.blockOperation('vm1', 'pause', 'first');
    await t.frontEnd.blockOperation('vm1', 'pause', 'second');
    await t.frontEnd.setAfterCrash('vm1', 'restart');
    const read = await t.store.vmComputer(vm!.id);
    expect(read).toMatchObject({ known: { ...known, secondsUp: expect.any(Number) }, afterCrash: 'restart' });
    expect([...read!.blocked]).toEqual([['pause', 'second']]);
    const gone: VmWrite = { ...known, powerState: 'Halted', up: 'gone' };
    await t.store.writeVm(t.lease, vm!.id, gone, { operationId: null, text: 'Running → Halted' });
    expect(await t.frontEnd.showVm('vm1.test')).toMatchObject({
      ...{ powerState: 'Halted', secondsUp: null, lastExitTime: expect.any(String), blocked: { pause: 'second' } },
      history: [{ kind: 'state', text: 'Running → Halted' }],
    });
    await t.frontEnd.blockOperation('vm1', 'pause', null);
    expect((await t.frontEnd.showVm('vm1')).blocked).toEqual({});
  });

  it('writes the state of a VM with its line of the history, or neither', async () => {
    const t = current();
    const [vm] = await t.store.vmComputers(t.managementNodeId);
    const running: VmWrite = {
      ...{ hostComputerId: vm!.host!.computerId, domain: 'vm1_x_1-v0', uuid: 'u', powerState: 'Running' },
      ...{ lastPowerState: null, reason: 'running (booted)', fault: null, guestSleeping: false, lastExit: null },
      ...{ allowed: [], up: 'started' },
    };
    const change = { operationId: null, text: 'not known → Running' };
    await t.db.change('alter table provisiond_vm_event rename to away');
    await expect(t.store.writeVm(t.lease, vm!.id, running, change)).rejects.toMatchObject({ code: 'SCHEMA_MISSING' });
    expect((await t.store.vmComputer(vm!.id))!.known).toBeNull();
    await t.db.change('alter table away rename to provisiond_vm_event');
    await t.store.writeVm(t.lease, vm!.id, running, change);
    const { history, powerState } = await t.frontEnd.showVm('vm1');
    expect([powerState, history]).toMatchObject(['Running', [{ kind: 'state', text: change.text }]]);

    const next = (await t.store.acquireLease(t.managementNodeId, 'test', 600))!;
    const late = t.store.writeVm(t.lease, vm!.id, { ...running, powerState: 'Halted' }, { ...change, text: 'late' });
    await expect(late).rejects.toMatchObject({ code: 'LEASE_LOST' });
    expect(await t.frontEnd.showVm('vm1')).toMatchObject({ powerState: 'Running', history: [{ text: change.text }] });
    await t.store.writeVm(next, vm!.id, { ...running, powerState: 'Paused' }, { ...change, text: 'Running → Paused' });
    expect((await t.frontEnd.showVm('vm1')).history).toHaveLength(2);
  });

  it('prunes what is over, and asks for an end of what is not', async () => {
    const t = current();
    const { id } = await ask(t);
    expect(await t.frontEnd.cancelOperation(id)).toMatchObject({ state: 'queued' });
    expect(await t.store.pollOperations(t.lease)).toMatchObject([{ cancelWanted: true }]);
    await t.store.endOperation(t.lease, id, { state: 'cancelled' });
    expect(await t.store.pruneOperations(t.lease, 1)).toBe(0);
    await t.db.change("update provisiond_operation set ended = '2020-01-01 00:00:00'");
    expect(await t.store.pruneOperations(t.lease, 1)).toBe(1);
    expect(await t.frontEnd.listOperations(5)).toEqual([]);
  });
});
