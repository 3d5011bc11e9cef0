import { expect, it } from '@jest/globals';
import type { Reservation } from '../../../lib/model/reservation';
import type { Claim } from '../../../lib/store/store';
import { describeOnBoth, type TestStore } from '../../support/store';

async function takeNew(t: TestStore): Promise<{ claim: Claim; reservation: Reservation; requestId: number }> {
  const { requestId } = await t.newReservation();
  const claim = await t.take(requestId);
  const [reservation] = await t.store.readReservations(claim);
  return { claim, reservation: reservation!, requestId };
}

const names = async (t: TestStore, reservationId: number): Promise<string[]> => {
  const rows = await t.db.rows<{ name: string }>(
    `select s.loadstatename as name from computerloadlog l join computerloadstate s on s.id = l.loadstateid
     where l.reservationid = ? order by l.id`,
    [reservationId],
  );
  return rows.map(({ name }) => name);
};

const requestOf = (t: TestStore, id: number) =>
  t.db.one<{ stateid: number; laststateid: number }>('select stateid, laststateid from request where id = ?', [id]);
const computerOf = (t: TestStore, id: number) =>
  t.db.one<{ stateid: number }>('select stateid from computer where id = ?', [id]);
const logOf = (t: TestStore) => t.db.one<{ ending: string; loaded: string | null }>('select ending, loaded from log');

describeOnBoth('the end of a claim', (current) => {
  it('moves request and computer on, keeps the story of a load but its begin, and is the next state due', async () => {
    const t = current();
    const { claim, reservation, requestId } = await takeNew(t);
    const line = { reservationId: reservation.id, computerId: reservation.computer.id };
    await t.store.tell([
      { ...line, loadState: 'startload', text: 'one' },
      { ...line, loadState: 'transfervm', text: 'two' },
    ]);
    expect(await t.store.finish(claim, [reservation], { request: 'reserved', computer: 'reserved' })).toBe('done');
    expect(await requestOf(t, requestId)).toEqual({ stateid: 3, laststateid: 13 });
    expect(await computerOf(t, reservation.computer.id)).toEqual({ stateid: 3 });
    expect(await names(t, reservation.id)).toEqual(['startload', 'transfervm', 'exited']);
    expect(await t.take(requestId)).toMatchObject({ state: 'reserved', lastState: 'new' });
    expect(await names(t, reservation.id)).toEqual(['startload', 'transfervm', 'begin']);
  });

  it('removes the whole story after any state that no user waits for', async () => {
    const t = current();
    const { claim, reservation, requestId } = await takeNew(t);
    await t.store.finish(claim, [reservation], { request: 'inuse', computer: 'inuse' });
    await t.db.change('update reservation set lastcheck = null');
    const inUse = await t.take(requestId);
    await t.store.tell([
      { reservationId: reservation.id, computerId: reservation.computer.id, loadState: 'connected', text: '' },
    ]);
    await t.store.finish(inUse, [reservation], { request: 'inuse' });
    expect(await names(t, reservation.id)).toEqual(['exited']);
  });

  it('leaves a state that the front end wrote meanwhile, and moves the computer as if it had come later', async () => {
    const t = current();
    const { claim, reservation, requestId } = await takeNew(t);
    await t.frontEnd.end(requestId);
    const outcome = await t.store.finish(claim, [reservation], {
      request: 'failed',
      computer: 'failed',
      ending: 'failed',
    });
    expect(outcome).toBe('overtaken');
    expect(await requestOf(t, requestId)).toEqual({ stateid: 1, laststateid: 3 });
    expect(await computerOf(t, reservation.computer.id)).toEqual({ stateid: 5 });
    expect(await logOf(t)).toMatchObject({ ending: 'released' });
  });

  it('frees the computer of a request that the front end deleted, once it was cleared', async () => {
    const t = current();
    const { claim, reservation, requestId } = await takeNew(t);
    await t.store.setComputerState(claim, reservation.computer.id, 'reloading');
    await t.db.change('delete from request where id = ?', [requestId]);
    await t.db.change("insert into provisiond_guest (computerid, hostkey) values (?, 'key')", [
      reservation.computer.id,
    ]);
    expect(await t.store.finish(claim, [reservation], { request: 'reserved', computer: 'reserved' })).toBe('gone');
    expect(await computerOf(t, reservation.computer.id)).toEqual({ stateid: 6 });
    const cleared = { request: 'complete', unloaded: true } as const;
    expect(await t.store.finish(claim, [reservation], cleared)).toBe('overtaken');
    expect(await computerOf(t, reservation.computer.id)).toEqual({ stateid: 2 });
    expect(await t.db.rows('select * from provisiond_guest')).toEqual([]);
  });

  it('never takes a computer out of maintenance', async () => {
    const t = current();
    const { claim, reservation } = await takeNew(t);
    await t.db.change('update computer set stateid = 10 where id = ?', [reservation.computer.id]);
    await t.store.setComputerState(claim, reservation.computer.id, 'reloading');
    await t.store.finish(claim, [reservation], { request: 'complete', computer: 'available' });
    expect(await computerOf(t, reservation.computer.id)).toEqual({ stateid: 10 });
  });

  it('removes a request with all that hangs on it, while its log and its events stay', async () => {
    const t = current();
    const { claim, reservation, requestId } = await takeNew(t);
    const event = { requestId, loadId: claim.loadId, state: 'new', step: 'remove', kind: 'ended' } as const;
    await t.store.setPassword(claim, reservation, 'secret');
    await t.store.tell([
      { reservationId: reservation.id, computerId: reservation.computer.id, loadState: 'startload', text: 'x', event },
    ]);
    await t.store.finish(claim, [reservation], { request: 'remove', computer: 'available', ending: 'released' });
    for (const table of ['request', 'reservation', 'reservationaccounts', 'computerloadlog', 'provisiond_job']) {
      expect(await t.db.rows(`select * from ${table}`)).toEqual([]);
    }
    expect(await logOf(t)).toMatchObject({ ending: 'released' });
    expect(await t.frontEnd.show(requestId)).toMatchObject({
      status: 'released',
      user: 'admin',
      image: 'Tiny Linux',
      computer: reservation.computer.hostname,
      timeline: [{ step: 'remove', kind: 'ended', loadState: 'startload', text: 'x' }],
    });
  });

  it('closes the log once: how it ended first is how it ended', async () => {
    const t = current();
    const { claim, reservation, requestId } = await takeNew(t);
    await t.store.setLoaded(claim, reservation);
    await t.store.finish(claim, [reservation], { request: 'timeout', ending: 'noack' });
    const again = await t.take(requestId);
    expect(again).toMatchObject({ state: 'timeout', lastState: 'new' });
    await t.store.finish(again, [reservation], { request: 'complete', computer: 'available', ending: 'timeout' });
    expect((await logOf(t))!.ending).toBe('noack');
    expect((await logOf(t))!.loaded).toMatch(/^\d{4}-/);
  });
});

describeOnBoth('while a request is in hand', (current) => {
  it('refuses to write once the front end took it out of our hands', async () => {
    const t = current();
    const { claim, reservation, requestId } = await takeNew(t);
    await t.frontEnd.end(requestId);
    const lost = { code: 'CLAIM_LOST' };
    await expect(t.store.setComputerState(claim, reservation.computer.id, 'reloading')).rejects.toMatchObject(lost);
    await expect(t.store.setPassword(claim, reservation, 'secret')).rejects.toMatchObject(lost);
    await expect(t.store.insertReload(claim, reservation, { id: 2, revisionId: 2 })).rejects.toMatchObject(lost);
  });

  it('shows the poller the present row, with the address that the user connects from', async () => {
    const t = current();
    const { claim, reservation, requestId } = await takeNew(t);
    await t.store.finish(claim, [reservation], { request: 'reserved', computer: 'reserved' });
    await t.take(requestId);
    const before = await t.store.poll(t.managementNodeId, [requestId, 9999]);
    expect([...before.inHand.keys()]).toEqual([requestId]);
    expect(before.inHand.get(requestId)).toMatchObject({ state: 'pending', lastState: 'reserved', remoteIp: null });
    await t.frontEnd.connect(requestId, '10.1.2.3');
    expect((await t.store.poll(t.managementNodeId, [requestId])).inHand.get(requestId)).toMatchObject({
      remoteIp: '10.1.2.3',
    });
  });

  it('puts a password where owner and front end look for it', async () => {
    const t = current();
    const { claim, reservation, requestId } = await takeNew(t);
    await t.store.setPassword(claim, reservation, 'first');
    await t.store.setPassword(claim, reservation, 'second');
    expect(await t.db.rows('select userid, password from reservationaccounts')).toEqual([
      { userid: reservation.user.id, password: 'second' },
    ]);
    expect((await t.frontEnd.show(requestId)).password).toBe('second');
  });

  it('remembers the key of a guest until another load', async () => {
    const t = current();
    const { claim, reservation } = await takeNew(t);
    const key = async () => (await t.store.readReservations(claim))[0]!.computer.guestKey;
    await t.store.setGuestKey(claim, reservation.computer.id, 'SHA256:one');
    await t.store.setGuestKey(claim, reservation.computer.id, 'SHA256:two');
    expect(await key()).toBe('SHA256:two');
    await t.store.setGuestKey(claim, reservation.computer.id, null);
    expect(await key()).toBeNull();
  });

  it('queues one reload of the computer and no second', async () => {
    const t = current();
    const { claim, reservation, requestId } = await takeNew(t);
    const image = { id: t.image.imageId, revisionId: t.image.revisionId };
    const reload = await t.store.insertReload(claim, reservation, image);
    expect(await t.store.insertReload(claim, reservation, image)).toBe(reload);
    await t.store.finish(claim, [reservation], { request: 'complete', computer: 'reload' });
    const reloading = await t.take(reload);
    const [read] = await t.store.readReservations(reloading);
    expect(reloading).toMatchObject({ state: 'reload', lastState: 'new' });
    expect(read).toMatchObject({
      user: { login: 'vclreload' },
      request: { logId: null, durationMinutes: 30 },
      computer: { id: reservation.computer.id },
    });
    expect(requestId).toBeLessThan(reload);
  });

  it('names those that stand in the way, and completes one that still is as it was seen', async () => {
    const t = current();
    const { claim, reservation, requestId } = await takeNew(t);
    const image = { id: t.image.imageId, revisionId: t.image.revisionId };
    const reload = await t.store.insertReload(claim, reservation, image);
    const [competitor] = await t.store.competitors(reservation.computer.id, requestId);
    expect(competitor).toMatchObject({ requestId: reload, state: 'reload', lastState: 'new' });
    await t.store.completeCompetitor(claim, competitor!);
    expect(await requestOf(t, reload)).toEqual({ stateid: 12, laststateid: 19 });
    expect(await t.store.competitors(reservation.computer.id, requestId)).toEqual([]);
    await t.store.removeAtRest(t.lease, reload);
    expect(await requestOf(t, reload)).toBeUndefined();
  });

  it('tells its story although the reservation of one line was deleted meanwhile', async () => {
    const t = current();
    const { reservation } = await takeNew(t);
    const { id: computerId } = reservation.computer;
    await t.store.tell([
      { reservationId: 9999, computerId, loadState: 'startload', text: 'lost' },
      { reservationId: reservation.id, computerId, loadState: 'transfervm', text: 'x'.repeat(100_000) },
    ]);
    await t.store.untell(reservation.id, ['begin']);
    expect(await names(t, reservation.id)).toEqual(['transfervm']);
  });
});

describeOnBoth('a reservation as it is read', (current) => {
  it('is whole and frozen to its last leaf', async () => {
    const t = current();
    const { reservation } = await takeNew(t);
    expect(reservation).toMatchObject({
      request: { state: 'new', checkUser: true, forImaging: false },
      image: {
        name: t.image.fileName,
        minRamMiB: 256,
        os: { name: 'vmwarelinux', modulePackage: 'VCL::Module::OS::Linux' },
      },
      computer: { shortName: 'vm1', type: 'virtualmachine', privateIp: '192.168.122.101' },
      host: {
        shortName: 'host1',
        address: '127.0.0.1',
        profile: { vmPath: '/var/lib/libvirt/vms', datastoreFormat: 'qcow2' },
      },
      connectMethods: [{ name: 'SSH', ports: [{ port: 22, protocol: 'TCP' }] }],
      reservationCount: 1,
    });
    const leaves: unknown[] = [
      reservation,
      reservation.image.os,
      reservation.host!.profile,
      reservation.connectMethods[0]!.ports,
    ];
    for (const leaf of leaves) expect(Object.isFrozen(leaf)).toBe(true);
  });

  it('costs one statement', async () => {
    const t = current();
    const { claim } = await takeNew(t);
    const before = t.statementCount();
    await t.store.readReservations(claim);
    expect(t.statementCount() - before).toBe(1);
  });

  it('says so when the request is gone', async () => {
    const t = current();
    const { claim, requestId } = await takeNew(t);
    await t.db.change('delete from request where id = ?', [requestId]);
    await expect(t.store.readReservations(claim)).rejects.toMatchObject({ code: 'REQUEST_NOT_FOUND' });
  });

  it('takes a user rule of the image revision before one of its kind of OS', async () => {
    const t = current();
    const { claim } = await takeNew(t);
    await t.db.insert('connectmethodmap', { connectmethodid: 1, imagerevisionid: t.image.revisionId, disabled: 1 });
    await t.db.insert('connectmethodmap', { connectmethodid: 2, imagerevisionid: t.image.revisionId, disabled: 0 });
    const [reservation] = await t.store.readReservations(claim);
    expect(reservation!.connectMethods.map(({ name }) => name)).toEqual(['RDP']);
  });
});
