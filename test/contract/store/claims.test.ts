import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { describeOnBoth, openTestStore, type TestStore } from '../../support/store';

const stateOf = (t: TestStore, requestId: number) =>
  t.db.one<{ stateid: number; laststateid: number }>('select stateid, laststateid from request where id = ?', [
    requestId,
  ]);

describeOnBoth('a claim', (current) => {
  it('makes the request pending and keeps its state as last state', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    const claim = await t.take(requestId);
    expect(claim).toMatchObject({ requestId, state: 'new', lastState: 'new', lease: t.lease });
    expect(await stateOf(t, requestId)).toEqual({ stateid: 14, laststateid: 13 });
    expect((await t.store.poll(t.managementNodeId, [requestId])).due).toEqual([]);
  });

  it('is won by exactly one of many connections', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    const stores = Array.from({ length: 6 }, () => t.again().store);
    const due = { requestId, state: 'new', lastState: 'new' } as const;
    const claims = await Promise.all(stores.map((store) => store.claim(t.lease, due)));
    expect(claims.filter((claim) => claim !== null)).toHaveLength(1);
  });

  it('is won once for each of many requests, whoever asks first', async () => {
    const t = current();
    const ids: number[] = [];
    for (let index = 0; index < 10; index++) ids.push(await plainRequest(t));
    const stores = Array.from({ length: 3 }, () => t.again().store);
    const won = await Promise.all(
      stores.map(async (store) => {
        const { due } = await store.poll(t.managementNodeId, []);
        const claims = await Promise.all(due.map((request) => store.claim(t.lease, request)));
        return claims.flatMap((claim) => (claim ? [claim.requestId] : []));
      }),
    );
    expect(won.flat().sort((a, b) => a - b)).toEqual(ids);
  });

  it('is refused when the front end wrote another state meanwhile', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    await t.frontEnd.end(requestId);
    expect(await t.store.claim(t.lease, { requestId, state: 'new', lastState: 'new' })).toBeNull();
    expect(await stateOf(t, requestId)).toEqual({ stateid: 1, laststateid: 3 });
  });

  it('begins the story of each reservation', async () => {
    const t = current();
    const { requestId, reservationId } = await t.newReservation();
    await t.take(requestId);
    expect(await loadLog(t, reservationId)).toEqual(['begin']);
  });
});

/** A request of VCL's own making, without the front end: on the first computer. */
async function plainRequest(t: TestStore): Promise<number> {
  const { now, addSeconds } = t.db.dialect;
  const times = await t.db.one<{ start: string; end: string }>(
    `select ${addSeconds(now, '-60')} as start, ${addSeconds(now, '3600')} as \`end\``,
  );
  const requestid = await t.db.insert('request', { stateid: 13, laststateid: 13, userid: 1, ...times! });
  const { imageId: imageid, revisionId: imagerevisionid } = t.image;
  await t.db.insert('reservation', { requestid, computerid: 2, imageid, imagerevisionid, managementnodeid: 1 });
  return requestid;
}

async function loadLog(t: TestStore, reservationId: number): Promise<string[]> {
  const rows = await t.db.rows<{ name: string }>(
    `select s.loadstatename as name from computerloadlog l join computerloadstate s on s.id = l.loadstateid
     where l.reservationid = ? order by l.id`,
    [reservationId],
  );
  return rows.map(({ name }) => name);
}

describeOnBoth('the lease', (current) => {
  it('a lease is taken at once from a holder that is known to be dead, and from nobody else', async () => {
    const t = current();
    expect(await t.store.leaseHolder(t.managementNodeId)).toBe(t.lease.holder);
    expect(await t.store.acquireLease(t.managementNodeId, 'other', 30, 'somebody dead')).toBeNull();
    const taken = await t.store.acquireLease(t.managementNodeId, 'other', 30, t.lease.holder);
    expect(taken).toMatchObject({ holder: 'other', token: t.lease.token + 1 });
    await t.store.releaseLease(taken!);
    expect(await t.store.leaseHolder(t.managementNodeId)).toBeNull();
  });

  it('is held by one, and given to another only after it ran out', async () => {
    const t = current();
    expect(await t.store.acquireLease(t.managementNodeId, 'other', 30)).toBeNull();
    await t.db.change('update provisiond_lease set expires = 0');
    const taken = await t.store.acquireLease(t.managementNodeId, 'other', 30);
    expect(taken).toEqual({ managementNodeId: t.managementNodeId, holder: 'other', token: t.lease.token + 1 });
    await expect(t.store.renewLease(t.lease, 30)).rejects.toMatchObject({ code: 'LEASE_LOST' });
    await t.store.renewLease(taken!, 30);
  });

  it('is given to one of several that ask at once', async () => {
    const t = current();
    await t.store.releaseLease(t.lease);
    const stores = Array.from({ length: 5 }, () => t.again().store);
    const leases = await Promise.all(
      stores.map((store, index) => store.acquireLease(t.managementNodeId, `holder ${index}`, 30)),
    );
    expect(leases.filter((lease) => lease !== null)).toHaveLength(1);
  });

  it('fences off every write of a holder that lost it', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    const claim = await t.take(requestId);
    const [reservation] = await t.store.readReservations(claim);
    await t.db.change('update provisiond_lease set expires = 0');
    await t.store.acquireLease(t.managementNodeId, 'other', 30);

    const lost = { code: 'LEASE_LOST' };
    const { computer } = reservation!;
    await expect(t.store.checkIn(t.lease)).rejects.toMatchObject(lost);
    await expect(t.store.claim(t.lease, { requestId, state: 'new', lastState: 'new' })).rejects.toMatchObject(lost);
    await expect(t.store.adoptOrphans(t.lease, [])).rejects.toMatchObject(lost);
    await expect(t.store.removeAtRest(t.lease, requestId)).rejects.toMatchObject(lost);
    await expect(t.store.setComputerState(claim, computer.id, 'reloading')).rejects.toMatchObject(lost);
    await expect(t.store.setCurrentImage(claim, computer.id, null)).rejects.toMatchObject(lost);
    await expect(t.store.setGuestKey(claim, computer.id, 'SHA256:x')).rejects.toMatchObject(lost);
    await expect(t.store.setPublicIp(claim, reservation!, '10.0.0.9')).rejects.toMatchObject(lost);
    await expect(t.store.setPassword(claim, reservation!, 'secret')).rejects.toMatchObject(lost);
    await expect(t.store.setLoaded(claim, reservation!)).rejects.toMatchObject(lost);
    await expect(t.store.setRemoteIp(claim, reservation!.id, '10.0.0.9')).rejects.toMatchObject(lost);
    await expect(t.store.touchLastCheck(claim, reservation!.id)).rejects.toMatchObject(lost);
    await expect(t.store.insertReload(claim, reservation!, { id: 2, revisionId: 2 })).rejects.toMatchObject(lost);
    await expect(
      t.store.finish(claim, [reservation!], { request: 'reserved', computer: 'reserved' }),
    ).rejects.toMatchObject(lost);
    expect(await stateOf(t, requestId)).toEqual({ stateid: 14, laststateid: 13 });
    expect(await t.db.one('select stateid, IPaddress from computer where id = ?', [computer.id])).toEqual({
      stateid: 2,
      IPaddress: '192.168.122.101',
    });
  });

  it('makes a restarted daemon with the same name a new holder', async () => {
    const t = current();
    const again = await t.store.acquireLease(t.managementNodeId, t.lease.holder, 30);
    expect(again!.token).toBe(t.lease.token + 1);
    await expect(t.store.renewLease(t.lease, 30)).rejects.toMatchObject({ code: 'LEASE_LOST' });
  });
});

describeOnBoth('what a predecessor left in the middle', (current) => {
  it('is taken over with its last state and its load id', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    const first = await t.take(requestId);
    await t.frontEnd.end(requestId);
    await t.store.finish(first, await t.store.readReservations(first), { request: 'reserved' });
    const claim = await t.take(requestId);
    expect(claim).toMatchObject({ state: 'deleted', lastState: 'reserved' });

    await t.db.change('update provisiond_lease set expires = 0');
    const lease = (await t.store.acquireLease(t.managementNodeId, 'successor', 30))!;
    expect(await t.store.adoptOrphans(lease, [])).toEqual([{ ...claim, lease }]);
    expect(await t.store.adoptOrphans(lease, [requestId])).toEqual([]);
  });

  it('is taken over from vcld, which writes down nothing, by what the rows tell', async () => {
    const t = current();
    const { requestId, reservationId } = await t.newReservation();
    await t.db.change('update request set stateid = 14, laststateid = 1 where id = ?', [requestId]);
    expect(await t.store.adoptOrphans(t.lease, [])).toMatchObject([{ state: 'deleted', lastState: 'reserved' }]);

    await t.db.change('delete from provisiond_job');
    await t.db.change(`update log set loaded = ${t.db.dialect.now}`);
    await t.db.change("update reservation set remoteIP = '10.0.0.1' where id = ?", [reservationId]);
    expect(await t.store.adoptOrphans(t.lease, [])).toMatchObject([{ state: 'deleted', lastState: 'inuse' }]);
  });

  it('is left to another management node when its parent reservation is there', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    await t.take(requestId);
    const other = await t.frontEnd.ensureManagementNode('other.test', '127.0.0.1', []);
    await t.db.change('update reservation set managementnodeid = ?', [other]);
    expect(await t.store.adoptOrphans(t.lease, [])).toEqual([]);
  });
});

describe('processes', () => {
  it('race for claims through one SQLite file without losing or doubling any', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'race-'));
    try {
      const t = await openTestStore('sqlite');
      const ids: number[] = [];
      for (let index = 0; index < 12; index++) ids.push(await plainRequest(t));
      const script = path.join(folder, 'race.ts');
      writeFileSync(script, RACER);
      const register = path.join(__dirname, '../../lab/register-swc.js');
      const racers = await Promise.all(
        [1, 2, 3].map(() =>
          promisify(execFile)(process.execPath, ['-r', register, script, t.url, JSON.stringify(t.lease)]),
        ),
      );
      await t.close();
      const won = racers.flatMap(({ stdout }) => JSON.parse(stdout) as number[]);
      expect(won.sort((a, b) => a - b)).toEqual(ids);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

const RACER = `
const { openStore } = require(${JSON.stringify(path.join(__dirname, '../../../lib/store/open-store.ts'))});
(async () => {
  const { store } = openStore({ database: process.argv[2] });
  const lease = JSON.parse(process.argv[3]);
  const won = [];
  for (const request of (await store.poll(lease.managementNodeId, [])).due) {
    if (await store.claim(lease, request)) won.push(request.requestId);
  }
  await store.close();
  console.log(JSON.stringify(won));
})();
`;
