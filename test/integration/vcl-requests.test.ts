/** Reboots, server requests and clusters on real guests; the matrix is in test/contract/states. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { STATE_IDS } from '../../lib/model/states';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';

const PRIVATE = ['192.168.121.11', '192.168.121.12'];
const bootId = (site: Site) => site.inGuest(PRIVATE[0]!, 'cat /proc/sys/kernel/random/boot_id');

describe('on real guests', () => {
  let site: Site;
  beforeEach(async () => {
    site = await Site.open();
  });
  afterEach(() => site?.close());

  /** Whatever the last state: the next look at the reservation may have come already. */
  const inUse = (requestId: number, seconds: number) =>
    eventually(async () => (await site.requestState(requestId))?.startsWith('inuse/') ?? false, seconds);

  const insert = async (table: string, row: object) => {
    const ids: number[] = await site.database(table).insert(row);
    return ids[0]!;
  };
  const server = (requestId: number, more: object = {}) =>
    insert('serverrequest', { name: 'srv', requestid: requestId, ...more });
  const variable = (name: string, serialization: string, value: string) =>
    site.database('variable').insert({ name, serialization, value, timestamp: '2026-01-01 00:00:00' });

  it('a reboot, soft or hard, starts the guest anew and lets its user in again', async () => {
    const requestId = await site.reserve({ computer: 'vm1', minutes: 1500 });
    await site.waitUntilReady(requestId, 90);
    const shown = await site.frontEnd.connect(requestId, '192.168.122.1');
    await inUse(requestId, 60);
    for (const state of ['rebootsoft', 'reboothard'] as const) {
      const before = await bootId(site);
      await site.database('request').where({ id: requestId }).update({ stateid: STATE_IDS[state] });
      await inUse(requestId, 120);
      expect(await bootId(site)).not.toBe(before);
      await eventually(async () => (await site.asUser(shown, 'id -un').catch(() => '')) !== '', 20);
      expect(await site.computerState('vm1')).toBe('inuse');
    }
  });

  it('a server has its fixed address, its user data and the accounts of its groups', async () => {
    const requestId = await site.reserve({ computer: 'vm1' });
    const group = await insert('usergroup', { name: 'srv', affiliationid: 1, ownerid: 1, custom: 1 });
    const userid = await site.frontEnd.ensureUser('lou');
    await site.database('usergroupmembers').insert({ userid, usergroupid: group });
    const reservation = await site.database('reservation').where({ requestid: requestId }).first<{ id: number }>();
    const serverId = await server(requestId, { logingroupid: group, fixedIP: '192.168.122.77' });
    await variable(`fixedIPsr${serverId}`, 'yaml', '---\nnetmask: 255.255.255.0\nrouter: 192.168.122.1\ndns: []\n');
    await variable(`userdata|${reservation.id}`, 'none', 'for the guest\n');
    await inUse(requestId, 120);
    expect(await site.inGuest(PRIVATE[0]!, 'cat /root/.vclcontrol/post_reserve_userdata')).toBe('for the guest\n');
    const { password } = await site
      .database('reservationaccounts')
      .where({ reservationid: reservation.id, userid })
      .first<{ password: string }>();
    const lou = { ...(await site.frontEnd.show(requestId)), password };
    expect(await site.asUser(lou, 'id -un', 'lou')).toBe('lou\n');
    const { address } = await site.frontEnd.show(requestId);
    expect(address).toBe('192.168.122.77');

    await site.database('usergroupmembers').where({ userid }).delete();
    await site.database('request').where({ id: requestId }).update({ stateid: 29 });
    await site.waitForRequest(requestId, 'inuse/servermodified', 60);
    expect(await site.inGuest(PRIVATE[0]!, 'cut -d: -f1 /etc/passwd')).not.toContain('lou');
    await site.frontEnd.end(requestId);
    await site.waitForRequest(requestId, null, 60);
    expect(await site.leftovers()).toEqual([]);
    expect(await site.database('variable').where('name', 'like', 'fixedIPsr%')).toEqual([]);
  });

  it('the machines of a cluster know each other, and go together', async () => {
    const requestId = await site.reserve({ computer: 'vm1' });
    const computer = await site.database('computer').where({ hostname: 'vm2' }).first<{ id: number }>();
    const first = await site.database('reservation').where({ requestid: requestId }).first<Record<string, number>>();
    await site.database('reservation').insert({ ...first, id: undefined, computerid: computer.id });
    await site.waitUntilReady(requestId, 150).catch(() => {});
    await site.waitForRequest(requestId, 'pending/reserved', 90);
    await eventually(async () => (await site.computerState('vm2')) === 'reserved', 10);
    await site.frontEnd.connect(requestId, '192.168.122.1');
    const info = (address: string) => site.inGuest(address, 'cat /etc/cluster_info 2> /dev/null || true');
    await eventually(async () => (await info(PRIVATE[1]!)) !== '', 30);
    const lines = await info(PRIVATE[0]!);
    expect(lines).toMatch(/^parent= 192\.168\.122\.\d+\nchild= 192\.168\.122\.\d+\n$/);
    expect(await info(PRIVATE[1]!)).toBe(lines);
    await Promise.all(PRIVATE.map((address) => site.taint(address)));
    await site.frontEnd.end(requestId);
    await site.waitForRequest(requestId, null, 90);
    expect(await site.leftovers()).toEqual([]);
  });
});
