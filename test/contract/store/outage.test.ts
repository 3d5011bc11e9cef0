import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { describeError } from '../../../lib/errors';
import { openStore } from '../../../lib/store/open-store';
import { MariadbServer, openTestStore, type TestStore } from '../../support/store';

describe('an outage of MariaDB', () => {
  let server: MariadbServer;
  let t: TestStore;
  beforeAll(async () => {
    server = MariadbServer.start();
    t = await openTestStore('mysql', server);
  });
  afterAll(async () => {
    await t.close();
    server.stop();
  });

  const unavailable = { code: 'DATABASE_UNAVAILABLE', blame: 'daemon', retryable: true };

  it('is never an empty answer, and is over as soon as the server is back', async () => {
    const { requestId } = await t.newReservation();
    const claim = await t.take(requestId);
    const [reservation] = await t.store.readReservations(claim);
    server.kill();
    await expect(t.store.poll(1, [requestId])).rejects.toMatchObject(unavailable);
    await expect(t.store.adoptOrphans(t.lease, [])).rejects.toMatchObject(unavailable);
    await expect(t.store.readReservations(claim)).rejects.toMatchObject(unavailable);
    await expect(t.store.setComputerState(claim, 2, 'failed')).rejects.toMatchObject(unavailable);
    await expect(t.store.finish(claim, [reservation!], { request: 'failed' })).rejects.toMatchObject(unavailable);
    await expect(t.frontEnd.show(requestId)).rejects.toMatchObject(unavailable);
    server.restart();
    const { inHand } = await t.store.poll(1, [requestId]);
    expect(inHand.get(requestId)).toMatchObject({ state: 'pending', lastState: 'new' });
    expect(await t.store.finish(claim, [reservation!], { request: 'reserved', computer: 'reserved' })).toBe('done');
  });

  it('that cut idle connections only is not even noticed', async () => {
    await t.store.poll(1, []);
    const connections = await t
      .again()
      .db.rows<{ id: number }>('select id from information_schema.processlist where id <> connection_id()');
    const { db } = t.again();
    for (const { id } of connections) await db.change(`kill ${id}`).catch(() => 0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await t.store.schemaState()).toBe('current');
    await t.store.renewLease(t.lease, 30);
    expect(await t.store.acquireLease(1, t.lease.holder, 30)).toMatchObject({ token: t.lease.token + 1 });
  });

  it('never shows a password in its error', async () => {
    const { requestId } = await t.newReservation();
    const lease = (await t.store.acquireLease(1, t.lease.holder, 30))!;
    const claim = (await t.store.claim(lease, { requestId, state: 'new', lastState: 'new' }))!;
    const [reservation] = await t.store.readReservations(claim);
    await t.db.change('drop table reservationaccounts');
    const canary = 'c4nary-p4ssword';
    const error: unknown = await t.store.setPassword(claim, reservation!, canary).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'SCHEMA_MISSING' });
    expect(describeError(error)).not.toContain(canary);
    const { cause } = error as { cause: object };
    expect(JSON.stringify({ ...cause })).not.toContain(canary);
  });
});

describe('a database that cannot be opened', () => {
  it.each([
    ['mysql://nobody:wrong@127.0.0.1:1/none', 'DATABASE_UNAVAILABLE'],
    ['sqlite:/dev/null/nowhere/db', 'DATABASE_UNAVAILABLE'],
  ])('%s says so with %s', async (database, code) => {
    await expect((async () => openStore({ database }).store.poll(1, []))()).rejects.toMatchObject({ code });
  });

  it.each(['postgres://x', 'mysql://host/', 'sqlite:', 'mysql://u:p@host'])(
    '%s is a fault of the configuration',
    (database) => {
      expect(() => openStore({ database })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    },
  );

  it('is named without its password', () => {
    const { store } = openStore({ database: 'mysql://vcl:s3cret@db.example/vcl' });
    expect(store.label).toBe('mysql://vcl@db.example/vcl');
  });
});
