/** What clusters, server requests and makeproduction read and write. */
import { expect, it } from '@jest/globals';
import type { Lease } from '../../../lib/store/store';
import { describeOnBoth, type TestStore } from '../../support/store';

/** The reservation gets a sibling on vm2, of another management node when one is given. */
async function addSibling(t: TestStore, requestId: number, managementNodeId = t.managementNodeId): Promise<number> {
  const other = await t.db.one<{ id: number }>("select id from computer where hostname = 'vm2.test'");
  return t.db.insert('reservation', {
    requestid: requestId,
    computerid: other!.id,
    imageid: t.image.imageId,
    imagerevisionid: t.image.revisionId,
    managementnodeid: managementNodeId,
  });
}

async function secondNode(t: TestStore): Promise<Lease> {
  const id = await t.frontEnd.ensureManagementNode('node2.test', '127.0.0.2', ['/k']);
  return (await t.store.acquireLease(id, 'test2', 600))!;
}

describeOnBoth('a cluster', (current) => {
  it('on two nodes is taken up by the one that has the first reservation; the other one joins that work', async () => {
    const t = current();
    const { requestId, reservationId } = await t.newReservation();
    const two = await secondNode(t);
    const siblingId = await addSibling(t, requestId, two.managementNodeId);
    expect((await t.store.poll(two.managementNodeId, [])).due).toEqual([]);
    expect(await t.store.join(two, requestId)).toBeNull();

    const claim = await t.take(requestId);
    expect((await t.store.poll(two.managementNodeId, [])).joinable).toEqual([requestId]);
    expect((await t.store.poll(t.managementNodeId, [requestId])).joinable).toEqual([]);
    const joined = await t.store.join(two, requestId);
    expect(joined).toEqual({ ...claim, lease: two, isMember: true });

    const [mine, ...none] = await t.store.readReservations(claim);
    const [theirs] = await t.store.readReservations(joined!);
    expect(none).toEqual([]);
    expect(mine).toMatchObject({ id: reservationId, isParent: true, reservationCount: 2 });
    expect(theirs).toMatchObject({ id: siblingId, isParent: false, reservationCount: 2 });
    const told = (await t.store.siblings(requestId)).map((sibling) => [...sibling.told]);
    expect(told).toEqual([['begin'], ['begin']]);
  });

  it('is ended by each node for its own computers, and moved on by the first one’s', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    const two = await secondNode(t);
    await addSibling(t, requestId, two.managementNodeId);
    const claim = await t.take(requestId);
    const joined = (await t.store.join(two, requestId))!;
    const states = () => t.db.rows("select hostname, stateid from computer where hostname like 'vm%' order by id");

    const theirs = await t.store.readReservations(joined);
    expect(await t.store.finish(joined, theirs, { request: 'reserved', computer: 'reserved' })).toBe('done');
    expect(await states()).toMatchObject([{ stateid: 2 }, { stateid: 3 }]);
    expect((await t.store.poll(two.managementNodeId, [])).joinable).toEqual([]);
    expect(await t.db.one('select stateid from request where id = ?', [requestId])).toEqual({ stateid: 14 });
    expect((await t.store.siblings(requestId))[1]!.told).toContain('exited');

    const mine = await t.store.readReservations(claim);
    expect(await t.store.finish(claim, mine, { request: 'reserved', computer: 'reserved' })).toBe('done');
    expect(await t.db.one('select stateid from request where id = ?', [requestId])).toEqual({ stateid: 3 });
    expect(await t.store.finish(joined, theirs, { request: 'reserved' })).toBe('overtaken');
  });

  it('begins each round anew: what was told in the last one counts no more', async () => {
    const t = current();
    const { requestId, reservationId } = await t.newReservation();
    await addSibling(t, requestId);
    const claim = await t.take(requestId);
    const reservations = await t.store.readReservations(claim);
    await t.store.tell(
      ['nodeready', 'statuscheck'].map((loadState) => ({
        reservationId,
        computerId: reservations[0]!.computer.id,
        loadState,
        text: '',
      })),
    );
    await t.store.finish(claim, reservations, { request: 'reserved' });
    await t.take(requestId);
    expect([...(await t.store.siblings(requestId))[0]!.told].sort()).toEqual(['begin', 'statuscheck']);
  });

  it('gives each computer the state of its own reservation', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    await addSibling(t, requestId);
    const claim = await t.take(requestId);
    const reservations = await t.store.readReservations(claim);
    const [one, two] = reservations.map(({ computer }) => computer.id);
    const computers = new Map([
      [one!, 'available'],
      [two!, 'failed'],
    ] as const);
    await t.store.finish(claim, reservations, { request: 'failed', computers });
    expect(await t.db.rows("select stateid from computer where hostname like 'vm%' order by id")).toEqual([
      { stateid: 2 },
      { stateid: 5 },
    ]);
  });
});

describeOnBoth('a server request', (current) => {
  async function makeServer(t: TestStore) {
    const { requestId } = await t.newReservation();
    const admins = await t.db.insert('usergroup', { name: 'srvadmins', affiliationid: 1, ownerid: 1 });
    const logins = await t.db.insert('usergroup', { name: 'srvusers', affiliationid: 1, ownerid: 1 });
    const [ada, lou] = [await t.frontEnd.ensureUser('ada'), await t.frontEnd.ensureUser('lou')];
    for (const [userid, usergroupid] of [
      [ada, admins],
      [ada, logins],
      [lou, logins],
      [1, admins],
    ] as const) {
      await t.db.insert('usergroupmembers', { userid, usergroupid });
    }
    const claim = await t.take(requestId);
    expect(await t.store.serverFacts(requestId)).toBeNull();
    const serverId = await t.db.insert('serverrequest', {
      name: 'srv',
      requestid: requestId,
      fixedIP: '198.51.100.7',
      admingroupid: admins,
      logingroupid: logins,
    });
    const [reservation] = await t.store.readReservations(claim);
    return { claim, reservation: reservation!, server: reservation!.server!, serverId, ada, lou };
  }
  const set = (t: TestStore, name: string, value: string) =>
    t.db.insert('variable', { name, serialization: 'none', value, timestamp: '2026-01-01 00:00:00' });

  it('is read anew when its row came late', async () => {
    const t = current();
    const { claim, server } = await makeServer(t);
    expect(await t.store.serverFacts(claim.requestId)).toEqual(server);
  });

  it('has the members of both groups but its owner, whoever is in both as admin', async () => {
    const t = current();
    const { claim, reservation, server, ada, lou } = await makeServer(t);
    const members = () => t.store.groupMembers(reservation, server);
    expect(await members()).toMatchObject([
      { user: { id: ada, login: 'ada', affiliation: 'Local' }, isAdmin: true, password: null },
      { user: { id: lou, login: 'lou' }, isAdmin: false, password: null },
    ]);
    await t.store.setPassword(claim, reservation, 'owners');
    await t.store.setMembers(claim, reservation, [
      { userId: ada, password: 'adas' },
      { userId: lou, password: null },
    ]);
    expect(await members()).toMatchObject([{ password: 'adas' }, { password: null }]);
    await t.store.setMembers(claim, reservation, []);
    expect(await t.db.rows('select password from reservationaccounts')).toEqual([{ password: 'owners' }]);
  });

  it('has its fixed address from the variable that the front end wrote, in YAML', async () => {
    const t = current();
    const { server, serverId } = await makeServer(t);
    const bare = { ip: '198.51.100.7', netmask: null, router: null, dnsServers: [] };
    expect(await t.store.fixedAddress(server)).toEqual(bare);
    await set(
      t,
      `fixedIPsr${serverId}`,
      '---\nnetmask: 255.255.255.0\nrouter: 198.51.100.1\ndns:\n- 1.1.1.1\n- 8.8.8.8\n',
    );
    expect(await t.store.fixedAddress(server)).toEqual({
      ip: '198.51.100.7',
      netmask: '255.255.255.0',
      router: '198.51.100.1',
      dnsServers: ['1.1.1.1', '8.8.8.8'],
    });
    await t.db.change("update variable set value = '{' where name like 'fixedIPsr%'");
    await expect(t.store.fixedAddress(server)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });

  it('finds who has its address, and gives the computer its own one back at the end', async () => {
    const t = current();
    const { claim, reservation, serverId } = await makeServer(t);
    expect(await t.store.addressHolder(reservation.computer.id, '198.51.100.7')).toBeNull();
    await t.db.change("update computer set IPaddress = '198.51.100.7' where hostname = 'vm2.test'");
    expect(await t.store.addressHolder(reservation.computer.id, '198.51.100.7')).toBe('vm2.test');

    await t.db.change("update computer set IPaddress = '203.0.113.5' where hostname = 'vm1.test'");
    const [again] = await t.store.readReservations(claim);
    await t.store.keepOriginalAddress(claim, again!);
    await t.store.setPublicIp(claim, again!, '198.51.100.7');
    const [moved] = await t.store.readReservations(claim);
    await t.store.keepOriginalAddress(claim, moved!);
    await set(t, `fixedIPsr${serverId}`, '{}');
    await t.store.releaseFixedAddress(claim, moved!);
    await t.store.releaseFixedAddress(claim, moved!);
    expect(await t.db.one("select IPaddress from computer where hostname = 'vm1.test'")).toEqual({
      IPaddress: '203.0.113.5',
    });
    expect(await t.db.rows("select name from variable where name like '%sr%' and name like '%IP%'")).toEqual([]);
  });

  it('has user data until the guest has it', async () => {
    const t = current();
    const { claim, reservation } = await makeServer(t);
    expect(await t.store.userData(reservation)).toBeNull();
    await set(t, `userdata|${reservation.id}`, 'hello');
    expect(await t.store.userData(reservation)).toBe('hello');
    await t.store.forgetUserData(claim, reservation);
    expect(await t.store.userData(reservation)).toBeNull();
  });
});

describeOnBoth('the front end’s writes over ours', (current) => {
  it('of servermodified over pending/servermodified keep what the request was at before', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    await t.db.change('update request set stateid = 29, laststateid = 13 where id = ?', [requestId]);
    expect((await t.take(requestId)).lastState).toBe('new');
    await t.db.change('update request set stateid = 29 where id = ?', [requestId]);
    expect(await t.take(requestId)).toMatchObject({ state: 'servermodified', lastState: 'new' });
  });

  it('of checkuser are seen while the request is in hand', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    await t.take(requestId);
    const checked = async () => (await t.store.poll(t.managementNodeId, [requestId])).inHand.get(requestId)!.checkUser;
    expect(await checked()).toBe(true);
    await t.db.change('update request set checkuser = 0 where id = ?', [requestId]);
    expect(await checked()).toBe(false);
  });
});

describeOnBoth('a computer', (current) => {
  it('is noted the image that it is to get next, and taken off its host', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    const claim = await t.take(requestId);
    const { computer } = (await t.store.readReservations(claim))[0]!;
    await t.store.setNextImage(claim, computer.id, t.image.imageId);
    await t.store.unassignComputer(claim, computer.id);
    expect(await t.db.one('select nextimageid, vmhostid from computer where id = ?', [computer.id])).toEqual({
      nextimageid: t.image.imageId,
      vmhostid: null,
    });
  });

  it('that was loaded ahead waits with its request as before', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    const claim = await t.take(requestId);
    const reservations = await t.store.readReservations(claim);
    await t.store.finish(claim, reservations, { request: 'new', preloaded: true });
    expect(await t.db.one('select stateid, laststateid, preload from request where id = ?', [requestId])).toEqual({
      stateid: 13,
      laststateid: 13,
      preload: 1,
    });
  });

  it('with an older revision is reloaded when another becomes production, unless it is used, set aside or wanted soon', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    const { imageId, revisionId } = t.image;
    await t.db.change("update computer set currentimageid = ?, imagerevisionid = ? where hostname like 'vm%'", [
      imageId,
      revisionId,
    ]);
    const tested = await t.db.insert('imagerevision', {
      imageid: imageId,
      revision: 1,
      userid: 1,
      datecreated: '2026-01-01 00:00:00',
      deleted: 0,
      production: 0,
      imagename: 'tested-v1',
    });
    await t.db.change('update reservation set imagerevisionid = ? where requestid = ?', [tested, requestId]);
    const claim = await t.take(requestId);
    const [reservation] = await t.store.readReservations(claim);
    expect(await t.store.makeProduction(claim, reservation!)).toBe(1);
    expect(await t.store.makeProduction(claim, reservation!)).toBe(0);
    expect(await t.db.one('select name, test from image where id = ?', [imageId])).toEqual({
      name: 'tested-v1',
      test: 0,
    });
    expect(
      await t.db.rows('select production from imagerevision where imageid = ? order by revision', [imageId]),
    ).toEqual([{ production: 0 }, { production: 1 }]);
    expect(
      await t.db.rows(
        `select c.hostname, r.imagerevisionid, q.userid from request q join reservation r on r.requestid = q.id
         join computer c on c.id = r.computerid where q.stateid = 19`,
      ),
    ).toEqual([{ hostname: 'vm2.test', imagerevisionid: tested, userid: 2 }]);
  });
});
