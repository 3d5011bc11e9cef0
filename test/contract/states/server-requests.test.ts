/** Server requests: accounts by groups, fixed addresses, user data, and groups that change at any moment (contract 5, 7.2; web rows 7D, 7J). */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { StateName } from '../../../lib/model/states';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { eventually } from '../../support/eventually';
import type { NewRequest } from '../../support/fake-cluster-rows';
import { FakeClusterSite } from '../../support/fake-cluster-site';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const INDEFINITE = '2038-01-01 00:00:00';

let site: FakeClusterSite;
let groups: { admins: number; logins: number };

async function open(): Promise<void> {
  site = await FakeClusterSite.open();
  groups = { admins: await site.group('srvadmins', 'ada'), logins: await site.group('srvusers', 'lou', 'ada') };
}

interface NewServer extends NewRequest {
  readonly row?: object;
}

/** As the front end writes it: the server request's row comes after the reservation. */
async function server({ row, ...wanted }: NewServer = {}) {
  const made = await site.request({ ...wanted, remoteIp: '192.0.2.7', user: 'owner' });
  await site.database('request').where({ id: made.requestId }).update({ end: INDEFINITE });
  const serverId = await site.insert('serverrequest', {
    name: 'srv one',
    requestid: made.requestId,
    admingroupid: groups.admins,
    logingroupid: groups.logins,
    ...row,
  });
  return { ...made, serverId };
}

function domain(): string {
  return site.domainOf('vm1')!.name;
}

function accounts(): string[] {
  const passwd = site.guests.read(domain(), 'etc/passwd') ?? '';
  return ['owner', 'ada', 'lou', 'max'].filter((login) => new RegExp(`^${login}:`, 'm').test(passwd));
}

async function rows(reservationId: number): Promise<Record<string, string>> {
  const found = await site
    .database('reservationaccounts as a')
    .join('user as u', 'u.id', 'a.userid')
    .where({ reservationid: reservationId })
    .select<{ unityid: string; password: string }[]>('u.unityid', 'a.password');
  return Object.fromEntries(found.map(({ unityid, password }) => [unityid, password]));
}

wherever('a server request', () => {
  beforeEach(open);
  afterEach(() => site.close());

  it('gets accounts for its owner and the members of its groups, with a password and a row each', async () => {
    await site.startNode();
    const { requestId, reservationIds } = await server();
    await site.waitFor(requestId, 'inuse/reserved');
    expect(accounts()).toEqual(['owner', 'ada', 'lou']);
    const passwords = await rows(reservationIds[0]!);
    expect(Object.keys(passwords).sort()).toEqual(['ada', 'lou', 'owner']);
    expect(new Set(Object.values(passwords)).size).toBe(3);
    const reservation = await site.database('reservation').where({ id: reservationIds[0]! }).first<{ pw: string }>();
    expect(reservation.pw).toBe(passwords['owner']);
  });

  it('gives root to the owner and the admin group, not to the login group', async () => {
    await site.startNode();
    const { requestId } = await server();
    await site.waitFor(requestId, 'inuse/reserved');
    const sudoers = site.guests.read(domain(), 'etc/sudoers.d/vcl') ?? '';
    expect(sudoers).toMatch(/^owner /m);
    expect(sudoers).toMatch(/^ada /m);
    expect(sudoers).not.toMatch(/^lou /m);
  });

  it('is in use at once, whether or not anybody connects, and never times out', async () => {
    await site.startNode();
    const { requestId, reservationIds } = await server();
    await site.waitFor(requestId, 'inuse/reserved');
    expect(await site.told(reservationIds[0]!)).toContain('connected');
    await site.database('reservation').where({ requestid: requestId }).update({ lastcheck: '2001-01-01 00:00:00' });
    await eventually(async () => (await site.state(requestId)) === 'inuse/inuse');
    expect(await site.computerState('vm1')).toBe('inuse');
  });

  it('is recognised when its row comes after the daemon took the request up', async () => {
    await site.startNode();
    site.guests.behave('vm1', { answersAfterMs: 1500 });
    const { requestId, reservationIds } = await site.request({ user: 'owner', remoteIp: '192.0.2.7' });
    await site.waitFor(requestId, 'pending/new');
    await eventually(async () => (await site.computerState('vm1')) === 'reloading');
    await site.insert('serverrequest', { name: 'late', requestid: requestId, logingroupid: groups.logins });
    await site.waitFor(requestId, 'inuse/reserved');
    expect(Object.keys(await rows(reservationIds[0]!)).sort()).toEqual(['ada', 'lou', 'owner']);
    expect(site.domainOf('vm1')).toMatchObject({ boots: 1 });
  });

  it('finds its user data in the guest before the site’s script runs, and the variable is gone', async () => {
    const { reservationIds, requestId } = await server({ state: 'failed' });
    await site.insert('variable', {
      name: `userdata|${reservationIds[0]}`,
      serialization: 'none',
      value: 'first line\nsecond "line"\n',
      timestamp: await site.time(0),
    });
    await site.write(requestId, 'new');
    await site.startNode();
    await site.waitFor(requestId, 'inuse/reserved');
    expect(site.guests.read(domain(), 'root/.vclcontrol/post_reserve_userdata')).toBe('first line\nsecond "line"\n');
    expect(await site.database('variable').where('name', 'like', 'userdata%')).toEqual([]);
  });

  it('with a fixed MAC gets it on its public interface', async () => {
    await site.startNode();
    site.guests.behave('vm1', { answersAfterMs: 300 });
    const { requestId } = await server({ row: { fixedMAC: '52:54:00:12:34:56' } });
    await site.waitFor(requestId, 'inuse/reserved');
    expect(site.domainOf('vm1')!.macs[1]).toBe('52:54:00:12:34:56');
  });

  it('fails with a clear reason when its fixed address is that of another computer', async () => {
    await site.database('computer').where({ hostname: 'vm2.test' }).update({ IPaddress: '198.51.100.7' });
    const { requestId, reservationIds, serverId } = await server({ state: 'failed', row: { fixedIP: '198.51.100.7' } });
    await site.insert('variable', {
      name: `fixedIPsr${serverId}`,
      serialization: 'yaml',
      value: '---\nnetmask: 255.255.255.0\nrouter: 198.51.100.1\ndns:\n- 198.51.100.2\n',
      timestamp: await site.time(0),
    });
    await site.write(requestId, 'new');
    await site.startNode();
    await site.waitFor(requestId, 'failed/new');
    const why = await site
      .database('computerloadlog')
      .where({ reservationid: reservationIds[0]! })
      .orderBy('id', 'desc');
    expect(why.map(({ additionalinfo }) => String(additionalinfo)).join('\n')).toMatch(
      /vm2.test has the fixed address/,
    );
    expect(await site.computerState('vm1')).toBe('available');
  });

  it('gives its fixed address back when it ends, as it stood in the computer’s row', async () => {
    const { requestId, serverId } = await server({ state: 'failed', row: { fixedIP: '198.51.100.7' } });
    const variable = (name: string, value: string) =>
      site.insert('variable', { name, serialization: 'none', value, timestamp: '2026-01-01 00:00:00' });
    await variable(`fixedIPsr${serverId}`, '{}');
    await variable(`originalIPaddr_${serverId}`, '203.0.113.5');
    await site.database('computer').where({ hostname: 'vm1.test' }).update({ IPaddress: '198.51.100.7' });
    await site.write(requestId, 'deleted');
    await site.startNode();
    await site.waitFor(requestId, null);
    expect(await site.computer('vm1')).toMatchObject({ IPaddress: '203.0.113.5' });
    expect(
      await site.database('variable').whereIn('name', [`fixedIPsr${serverId}`, `originalIPaddr_${serverId}`]),
    ).toEqual([]);
  });
});

wherever('servermodified', () => {
  beforeEach(open);
  afterEach(() => site.close());

  it('adds the new, removes the old, changes root, and leaves the passwords of the others as they are', async () => {
    await site.startNode();
    const { requestId, reservationIds } = await server();
    await site.waitFor(requestId, 'inuse/reserved');
    const before = await rows(reservationIds[0]!);
    const shadow = () => /^ada:(.*)$/m.exec(site.guests.read(domain(), 'etc/shadow') ?? '')?.[1];
    const adasOwn = shadow();
    await site.group('srvusers', 'max');
    await site
      .database('usergroupmembers')
      .where({ userid: await site.userId('lou') })
      .delete();
    await site.database('serverrequest').where({ requestid: requestId }).update({ admingroupid: null });
    await site.write(requestId, 'servermodified');
    await site.waitFor(requestId, 'inuse/servermodified');
    expect(accounts()).toEqual(['owner', 'ada', 'max']);
    const after = await rows(reservationIds[0]!);
    expect(Object.keys(after).sort()).toEqual(['ada', 'max', 'owner']);
    expect(after['ada']).toBe(before['ada']);
    expect(shadow()).toBe(adasOwn);
    expect(site.guests.read(domain(), 'etc/sudoers.d/vcl') ?? '').not.toMatch(/^ada /m);
    expect(await site.computerState('vm1')).toBe('inuse');
  });

  it('over pending/new goes on with the load, with the new groups', async () => {
    await site.startNode();
    site.guests.behave('vm1', { answersAfterMs: 1500 });
    const { requestId, reservationIds } = await server();
    await eventually(async () => (await site.computerState('vm1')) === 'reloading');
    await site.group('srvusers', 'max');
    await site.write(requestId, 'servermodified');
    await site.waitFor(requestId, 'inuse/reserved', 30);
    expect(Object.keys(await rows(reservationIds[0]!)).sort()).toEqual(['ada', 'lou', 'max', 'owner']);
    expect(accounts()).toContain('max');
    expect(site.host.domains()).toHaveLength(1);
  });

  it.each<[string, StateName, StateName, RegExp]>([
    ['reserved/new, not taken up yet', 'reserved', 'new', /^inuse\/(reserved|servermodified)$/],
    ['pending/reserved', 'pending', 'reserved', /^inuse\/(reserved|servermodified)$/],
  ])('over %s, the machine being ready for its user, goes on to it', async (_what, state, lastState, goal) => {
    await site.startNode();
    const { requestId } = await server();
    await site.waitFor(requestId, 'inuse/reserved');
    await site.stopNodes();
    const ids = { reserved: 3, pending: 14, new: 13 } as Record<string, number>;
    await site.database('computer').where({ hostname: 'vm1.test' }).update({ stateid: 3 });
    await site
      .database('request')
      .where({ id: requestId })
      .update({ stateid: ids[state], laststateid: ids[lastState] });
    await site.write(requestId, 'servermodified');
    await site.startNode();
    await eventually(async () => goal.test((await site.state(requestId)) ?? ''), 20);
    expect(site.domainOf('vm1')).toMatchObject({ boots: 1 });
    expect(await site.computerState('vm1')).toBe('inuse');
  });

  it('over pending/servermodified is as over what that was over', async () => {
    await site.startNode();
    const { requestId } = await server();
    await site.waitFor(requestId, 'inuse/reserved');
    site.guests.behave('vm1', { failing: { match: /the list of accounts was cut off/, exitCode: 0, stdout: '' } });
    await site.write(requestId, 'servermodified');
    await site.waitFor(requestId, 'inuse/servermodified');
    await site.write(requestId, 'servermodified');
    await eventually(async () => /^inuse/.test((await site.state(requestId)) ?? ''));
    expect(await site.computerState('vm1')).toBe('inuse');
  });

  it('over pending/reboothard reboots all the same', async () => {
    await site.startNode();
    const { requestId } = await server();
    await site.waitFor(requestId, 'inuse/reserved');
    await site.stopNodes();
    await site.database('request').where({ id: requestId }).update({ stateid: 29, laststateid: 28 });
    await site.startNode();
    await site.waitFor(requestId, 'inuse/reboothard');
    expect(site.domainOf('vm1')).toMatchObject({ boots: 2 });
  });

  it('that the guest refuses leaves the user on his machine', async () => {
    await site.startNode();
    const { requestId } = await server();
    await site.waitFor(requestId, 'inuse/reserved');
    site.guests.behave('vm1', { failing: { match: /the list of accounts was cut off/ } });
    await site.write(requestId, 'servermodified');
    await site.waitFor(requestId, 'inuse/servermodified');
    expect(await site.computerState('vm1')).toBe('inuse');
  });
});
