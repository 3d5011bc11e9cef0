/** The life of a reservation, row by row and in the world, on both databases. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';
import { USER, type Dialect } from '../support/site-rows';

const sha256 = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');

describe.each<Dialect>(['sqlite', 'mysql'])('on %s', (dialect) => {
  let site: Site;

  beforeEach(async () => {
    site = await Site.open({ dialect });
  });

  afterEach(() => site?.close());

  it('a reservation becomes a guest that its user logs in to, and leaves nothing when it ends', async () => {
    const base = sha256(site.masterFile);
    const requestId = await site.reserve({ computer: 'vm1' });
    const ready = await site.waitUntilReady(requestId);
    expect(await site.computerState('vm1')).toBe('reserved');
    expect(ready.password).toMatch(/^[A-Za-z0-9]{8,}$/);
    expect(ready.address).toMatch(/^192\.168\.122\./);
    await expect(site.asUser(ready, 'true')).rejects.toThrow(); // nobody acknowledged yet

    const shown = await site.frontEnd.connect(requestId, '192.168.122.1');
    await eventually(async () => (await site.asUser(shown, 'true').catch(() => 'refused')) === '', 15);
    expect(await site.asUser(shown, 'id -un; hostname')).toBe(`${USER}\nvm1\n`);
    const visit = await site.logIn(shown);
    await eventually(async () => (await site.computerState('vm1')) === 'inuse', 30);
    await visit.leave();
    expect(await site.loadStates(requestId)).toEqual(
      expect.arrayContaining([
        'statuscheck',
        'startload',
        'transfervm',
        'vmsetupconfig',
        'startvm',
        'machinebooted',
        'addinguser',
        'nodeready',
        'reserved',
        'connected',
      ]),
    );

    expect(await site.frontEnd.end(requestId)).toBe('ending');
    await site.waitForRequest(requestId, null, 30);
    expect(await site.computerState('vm1')).toBe('available');
    expect(await site.leftovers()).toEqual([]);
    expect(sha256(site.masterFile)).toBe(base);
    const log = await site.database('log').where({ requestid: requestId }).first<{ ending: string; loaded: string }>();
    expect(log).toMatchObject({ ending: 'released', loaded: expect.anything() });
  });

  it('two guests on one base image do not see each other’s files, and the base stays as it was', async () => {
    const base = sha256(site.masterFile);
    const requests = await Promise.all([site.reserve({ computer: 'vm1' }), site.reserve({ computer: 'vm2' })]);
    await Promise.all(requests.map((requestId) => site.waitUntilReady(requestId, 90)));
    await site.inGuest('192.168.121.11', 'echo secret > /root/mine; sync');
    expect(await site.inGuest('192.168.121.11', 'cat /root/mine; hostname')).toBe('secret\nvm1\n');
    expect(await site.inGuest('192.168.121.12', 'ls /root/mine 2>&1 | wc -l; hostname; ls /root')).not.toContain(
      'mine\n',
    );
    await Promise.all(['192.168.121.11', '192.168.121.12'].map((address) => site.taint(address)));
    await Promise.all(requests.map((requestId) => site.frontEnd.end(requestId)));
    await Promise.all(requests.map((requestId) => site.waitForRequest(requestId, null, 30)));
    expect(await site.leftovers()).toEqual([]);
    expect(sha256(site.masterFile)).toBe(base);
  });

  it('a reservation that nobody acknowledges times out, and its untouched guest is kept for the next', async () => {
    await site.setTimings({ acknowledgetimeout: 1 });
    const requestId = await site.reserve({ computer: 'vm1' });
    await site.waitForRequest(requestId, 'complete/timeout', 60);
    const log = await site.database('log').where({ requestid: requestId }).first<{ ending: string }>();
    expect(log.ending).toBe('noack');
    expect(await site.computerState('vm1')).toBe('available');
    await site.setTimings({ acknowledgetimeout: 900 });

    const next = await site.reserve({ computer: 'vm1' });
    await site.waitUntilReady(next, 30);
    expect(await site.loadStates(next)).not.toContain('startload');
    await site.frontEnd.end(next);
    await site.waitForRequest(next, null, 30);
    await site.virsh('list', '--all');
  });

  it('a reinstall gives the user a fresh machine', async () => {
    const requestId = await site.reserve({ computer: 'vm2' });
    await site.waitUntilReady(requestId);
    await site.inGuest('192.168.121.12', 'echo old > /root/old; sync');
    await site.database('request').where({ id: requestId }).update({ stateid: 27 });
    await eventually(async () => (await site.requestState(requestId)) === 'pending/reinstall', 10);
    await site.waitUntilReady(requestId);
    expect(await site.inGuest('192.168.121.12', 'ls /root/old 2>/dev/null | wc -l')).toBe('0\n');
    await site.frontEnd.end(requestId);
    await site.waitForRequest(requestId, null, 30);
  });

  it('a reload leaves the computer loaded and available, and the next user gets it at once', async () => {
    const requestId = await site.orderReload('vm1');
    await site.waitForRequest(requestId, null, 90);
    expect(await site.computerState('vm1')).toBe('available');
    const computer = await site.database('computer').where({ hostname: 'vm1' }).first<{ imagerevisionid: number }>();
    expect(computer.imagerevisionid).toBe(site.image.revisionId);
    expect(await site.inGuest('192.168.121.11', 'hostname')).toBe('vm1\n');

    const next = await site.reserve({ computer: 'vm1' });
    await site.waitUntilReady(next, 30);
    expect(await site.loadStates(next)).not.toContain('startload');
  });

  it('a user who acknowledges and never logs in loses the reservation, and the machine is not handed on', async () => {
    await site.setTimings({ initialconnecttimeout: 2 });
    const requestId = await site.reserve({ computer: 'vm1' });
    await site.waitUntilReady(requestId);
    await site.frontEnd.connect(requestId, '192.168.122.1');
    await site.waitForRequest(requestId, 'complete/timeout', 60);
    const log = await site.database('log').where({ requestid: requestId }).first<{ ending: string }>();
    expect(log.ending).toBe('nologin');
    expect(await site.computerState('vm1')).toBe('available');
    expect(await site.leftovers()).toEqual([]);
  });

  it('a deletion in the middle of a load is acted on at the next step border, and leaves nothing', async () => {
    const requestId = await site.reserve({ computer: 'vm2' });
    await eventually(async () => (await site.loadStates(requestId)).includes('startload'), 20);
    await site.frontEnd.end(requestId);
    await site.waitForRequest(requestId, null, 15);
    expect(await site.computerState('vm2')).toBe('available');
    expect((await site.leftovers()).filter((name) => name.includes('vm2'))).toEqual([]);
  });

  it('an extension in the middle of a load is kept, and the load goes on', async () => {
    const requestId = await site.reserve({ computer: 'vm1' });
    await eventually(async () => (await site.loadStates(requestId)).includes('startload'), 20);
    const end = await site.frontEnd.extend(requestId, 45);
    await site.waitUntilReady(requestId);
    expect((await site.frontEnd.show(requestId)).end).toBe(end);
    expect(await site.computerState('vm1')).toBe('reserved');
  });
});
