import { expect, it } from '@jest/globals';
import { computer, describeOnBoth, HOST, type TestStore } from '../../support/store';

const AT = '2099-01-05 10:00';
const wanted = { image: 'Tiny Linux', user: 'admin', start: null, minutes: 60 };

/** Takes a new reservation to where its user can connect. */
async function makeReady(t: TestStore, requestId: number) {
  for (const request of ['reserved'] as const) {
    const claim = await t.take(requestId);
    const reservations = await t.store.readReservations(claim);
    await t.store.finish(claim, reservations, { request, computer: 'reserved' });
  }
  return t.take(requestId);
}

describeOnBoth('a reservation from the command line', (current) => {
  it('writes the rows that the web front end writes', async () => {
    const t = current();
    const { requestId, reservationId } = await t.newReservation();
    const request = (await t.db.one<Record<string, unknown>>('select * from request where id = ?', [requestId]))!;
    expect(request).toMatchObject({ stateid: 13, laststateid: 13, userid: 1, forimaging: 0, preload: 0, checkuser: 1 });
    expect(request.start).toMatch(/:(00|15|30|45):00$/);
    expect(await t.db.one('select * from log')).toMatchObject({
      id: request.logid,
      nowfuture: 'now',
      loaded: null,
      wasavailable: 1,
      ending: 'none',
      requestid: requestId,
      size: 1450,
      initialend: request.end,
      finalend: request.end,
      start: request.daterequested,
    });
    expect(await t.db.one('select * from sublog')).toMatchObject({
      logid: request.logid,
      computerid: 2,
      hostcomputerid: 1,
      IPaddress: null,
      predictivemoduleid: 31,
    });
    expect(await t.db.one('select * from reservation where id = ?', [reservationId])).toMatchObject({
      requestid: requestId,
      computerid: 2,
      remoteIP: null,
      lastcheck: '0000-00-00 00:00:00',
      pw: null,
    });
    expect(await t.db.rows('select * from changelog')).toMatchObject([
      { logid: request.logid, userid: null, end: request.end, remoteIP: null, other: null },
    ]);
    expect(await t.db.rows('select * from semaphore')).toEqual([]);
  });

  it('gets a computer of its own, and none when all are taken, with the reason for each', async () => {
    const t = current();
    const answers = await Promise.allSettled(
      Array.from({ length: 5 }, () => t.again().frontEnd.addReservation(wanted)),
    );
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
    const taken = await t.db.rows<{ computerid: number }>('select computerid from reservation order by computerid');
    expect(taken).toEqual([{ computerid: 2 }, { computerid: 3 }]);
    await expect(t.newReservation()).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/vm1\.test: request \d+ has it at that time; vm2\.test: request \d+ has it/),
    });
  });

  it.each([
    ['update computer set stateid = 10', 'it is maintenance'],
    ["update computer set stateid = 8 where type = 'virtualmachine'", 'it is inuse'],
    ['update computer set vmhostid = null', 'it is assigned to no VM host'],
    ['update computer set stateid = 2 where id = 1', 'its host host1.test is available, not vmhostinuse'],
    ["update computer set RAM = 255 where type = 'virtualmachine'", 'it has too little memory'],
    ['update computer set RAM = 256 where id = 1', 'its host host1.test has too little memory left'],
    ['update image set minprocnumber = 9', 'it has too few processors'],
    ['update image set OSid = 30 where id = 2', "its provisioning cannot load the image's kind of OS"],
    ['delete from resourcemap where resourcegroupid1 in (2, 10)', "none of its groups is mapped to one of the image's"],
    ['update managementnode set stateid = 10', 'no management node in service is mapped to its groups'],
  ])('after "%s" is refused because %s', async (breakage, reason) => {
    const t = current();
    await t.db.change(breakage);
    await expect(t.newReservation()).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { reasons: [`vm1.test: ${reason}`, `vm2.test: ${reason}`] },
    });
  });

  it('prefers a computer that has the image already, and takes the one that was asked for', async () => {
    const t = current();
    await t.db.change('update computer set imagerevisionid = ? where id = 3', [t.image.revisionId]);
    const { requestId } = await t.newReservation();
    expect((await t.frontEnd.show(requestId)).computer).toBe('vm2.test');
    const other = await t.frontEnd.addReservation({ ...wanted, computer: 'vm1' });
    expect((await t.frontEnd.show(other.requestId)).computer).toBe('vm1.test');
    await expect(t.frontEnd.addReservation({ ...wanted, computer: 'vm7' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  it('of tomorrow blocks nobody today, and is simply deleted when it is ended', async () => {
    const t = current();
    const { requestId } = await t.frontEnd.addReservation({ ...wanted, start: AT });
    expect(await t.frontEnd.show(requestId)).toMatchObject({
      status: 'future',
      start: `${AT}:00`,
      end: '2099-01-05 11:00:00',
    });
    await t.newReservation();
    await expect(t.frontEnd.extend(requestId, 30)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await t.frontEnd.end(requestId)).toBe('deleted');
    expect(await t.db.rows('select id from request where id = ?', [requestId])).toEqual([]);
    expect(await t.db.one('select ending from log order by id')).toEqual({ ending: 'deleted' });
  });

  it('names what is not there and what makes no sense', async () => {
    const { frontEnd } = current();
    await expect(frontEnd.addReservation({ ...wanted, image: 'none' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(frontEnd.addReservation({ ...wanted, image: 'noimage' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(frontEnd.addReservation({ ...wanted, user: 'none' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    for (const bad of [{ minutes: 0 }, { start: 'tomorrow' }, { start: '2099-02-30 10:00' }]) {
      await expect(frontEnd.addReservation({ ...wanted, ...bad })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    }
    for (const act of [frontEnd.end(99), frontEnd.extend(99, 1), frontEnd.connect(99, '10.0.0.1'), frontEnd.show(99)]) {
      await expect(act).rejects.toMatchObject({ code: 'REQUEST_NOT_FOUND' });
    }
  });
});

describeOnBoth('the user of a reservation', (current) => {
  it('connects once it is ready, which starts the clock of the first log-in', async () => {
    const t = current();
    const { requestId, reservationId } = await t.newReservation();
    await expect(t.frontEnd.connect(requestId, '10.1.2.3')).rejects.toMatchObject({ code: 'CONFLICT' });
    await makeReady(t, requestId);
    expect(await t.frontEnd.connect(requestId, '10.1.2.3')).toMatchObject({
      status: 'ready',
      acknowledged: true,
      address: '192.168.122.101',
      port: 22,
    });
    await t.frontEnd.connect(requestId, '10.1.2.3');
    await t.frontEnd.connect(requestId, '10.1.2.4');
    expect(await t.db.one('select remoteIP from reservation')).toEqual({ remoteIP: '10.1.2.4' });
    expect(await t.db.one('select remoteIP from log')).toEqual({ remoteIP: '10.1.2.4' });
    expect(await t.db.rows('select remoteIP from changelog where remoteIP is not null order by id')).toEqual([
      { remoteIP: '10.1.2.3' },
      { remoteIP: '10.1.2.4' },
    ]);
    const clocks = await t.db.rows('select id from computerloadlog where reservationid = ? and loadstateid = 53', [
      reservationId,
    ]);
    expect(clocks).toHaveLength(1);
    await expect(t.frontEnd.connect(requestId, 'nowhere')).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });

  it('extends it without touching its state, unless somebody else has the computer then', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    const before = await t.frontEnd.show(requestId);
    const end = await t.frontEnd.extend(requestId, 30);
    expect(Date.parse(end) - Date.parse(before.end)).toBe(30 * 60_000);
    expect(await t.frontEnd.show(requestId)).toMatchObject({ end, state: 'new', lastState: 'new' });
    expect(await t.db.one('select finalend from log')).toEqual({ finalend: end });
    await t.frontEnd.addReservation({ ...wanted, start: AT, computer: 'vm1' });
    await expect(t.frontEnd.extend(requestId, 60 * 24 * 365 * 80)).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  it('ends it in any state', async () => {
    const t = current();
    const { requestId } = await t.newReservation();
    const cases: [number, number, number, number][] = [
      [13, 13, 1, 3],
      [14, 13, 1, 3],
      [3, 13, 1, 3],
      [14, 3, 1, 3],
      [8, 3, 1, 8],
      [14, 8, 1, 8],
      [8, 8, 1, 8],
      [5, 13, 1, 5],
      [11, 3, 1, 11],
      [14, 11, 1, 11],
      [12, 8, 1, 12],
      [14, 24, 1, 24],
      [26, 8, 1, 26],
      [14, 27, 1, 27],
      [29, 8, 1, 29],
    ];
    for (const [stateid, laststateid, ...after] of cases) {
      await t.db.change('update request set stateid = ?, laststateid = ?', [stateid, laststateid]);
      expect(await t.frontEnd.end(requestId)).toBe('ending');
      const now = await t.db.one<{ stateid: number; laststateid: number }>('select stateid, laststateid from request');
      expect([stateid, laststateid, now!.stateid, now!.laststateid]).toEqual([stateid, laststateid, ...after]);
    }
    expect(await t.db.one('select ending from log')).toEqual({ ending: 'released' });
  });
});

describeOnBoth('the inventory', (current) => {
  it('takes the same host and computer twice, as a change', async () => {
    const t = current();
    const hostId = await t.frontEnd.putHost({ ...HOST, port: 2222, driver: 'kvm', maxLoads: 2 }, t.managementNodeId);
    const computerId = await t.frontEnd.putComputer({ ...computer(1), ramMiB: 4096 }, t.managementNodeId);
    expect([hostId, computerId]).toEqual([1, 2]);
    expect(await t.frontEnd.listHosts()).toEqual([
      expect.objectContaining({ name: 'host1.test', port: 2222, driver: 'kvm', computers: 2, transport: 'ssh' }),
    ]);
    expect(await t.db.one('select RAM, type, provisioningid, predictivemoduleid from computer where id = 2')).toEqual({
      RAM: 4096,
      type: 'virtualmachine',
      provisioningid: 9,
      predictivemoduleid: 31,
    });
    expect(await t.db.rows('select * from resource where resourcetypeid = 12')).toHaveLength(3);
  });

  it('gives every computer its own MACs, and refuses one that another has', async () => {
    const t = current();
    const macs = await t.db.rows<Record<string, string>>(
      "select eth0macaddress a, eth1macaddress b from computer where type = 'virtualmachine'",
    );
    expect(new Set(macs.flatMap(({ a, b }) => [a, b])).size).toBe(4);
    const copy = { ...computer(3), privateMac: macs[0]!.a! };
    await expect(t.frontEnd.putComputer(copy, t.managementNodeId)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await t.frontEnd.listComputers()).toHaveLength(2);
  });

  it('refuses a computer on a host that is none, and a host with the name of a computer', async () => {
    const t = current();
    const lost = { ...computer(3), host: 'vm1.test' };
    await expect(t.frontEnd.putComputer(lost, t.managementNodeId)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const twin = { ...HOST, name: 'vm1.test' };
    await expect(t.frontEnd.putHost(twin, t.managementNodeId)).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  it('finds a management node by its short name, and keeps what it was told first', async () => {
    const t = current();
    expect(await t.frontEnd.ensureManagementNode('node.test', '127.0.0.1', [])).toBe(t.managementNodeId);
    expect(await t.store.managementNode('node')).toMatchObject({
      id: t.managementNodeId,
      keyFiles: ['/etc/provisiond/key'],
    });
    await expect(t.store.managementNode('nod')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('lists images by revision, and refuses a second of the same name', async () => {
    const t = current();
    expect(await t.frontEnd.listImages()).toEqual([
      {
        id: 2,
        revisionId: 2,
        name: 'vmwarelinux-TinyLinux2-v0',
        prettyName: 'Tiny Linux',
        os: 'vmwarelinux',
        sizeMiB: 64,
        production: true,
      },
    ]);
    const again = { prettyName: 'Tiny Linux', os: 'vmwarelinux', ramMiB: 1, cpus: 1, sizeMiB: 1, owner: 'admin' };
    await expect(t.frontEnd.addImage(again)).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(t.frontEnd.addImage({ ...again, prettyName: 'x', os: 'cp/m' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });
});
