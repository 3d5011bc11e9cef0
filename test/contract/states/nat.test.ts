/** Computers behind a NAT host: real packets through real namespaces for the rules, the fake world for the rows. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { closePorts, forwardPorts } from '../../../lib/host/port-forwarding';
import { portsOf } from '../../../lib/store/nat-verbs';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { eventually } from '../../support/eventually';
import { FakeClusterSite } from '../../support/fake-cluster-site';
import { GUEST_IP, NAT_IP, NatWorld, NO_NAT_WORLD } from '../../support/nat-world';

const missing = NO_NAT_WORLD ?? NO_FAKE_GUESTS;
if (missing !== null) process.stderr.write(`NOT RUN: ${missing}\n`);
const wherever = missing === null ? describe : describe.skip;
const { signal } = new AbortController();

wherever('a NAT host', () => {
  let world: NatWorld;
  beforeEach(() => {
    world = new NatWorld();
  });
  afterEach(() => world.close());

  const lead = (publicPort: number) =>
    forwardPorts(
      world,
      7,
      { publicIp: NAT_IP, guestIp: GUEST_IP, forwards: [{ publicPort, port: 22, protocol: 'TCP' }] },
      signal,
    );

  it('leads the port to the guest, which sees the user’s own address, until it is closed', async () => {
    expect(await world.call(50_022)).toBeNull();
    await lead(50_022);
    await eventually(async () => (await world.call(50_022)) === '198.51.100.7');
    await closePorts(world, 7, signal);
    expect(await world.call(50_022)).toBeNull();
    expect(await world.rules()).toBe('');
  });

  it('is told exactly the same when it is told twice, and to close what is closed is nothing', async () => {
    await lead(50_022);
    const once = await world.rules();
    await lead(50_022);
    expect(await world.rules()).toBe(once);
    await closePorts(world, 7, signal);
    await closePorts(world, 7, signal);
    expect(await world.rules()).toBe('');
  });

  it('is not told to lead to something that is no address', async () => {
    const way = { publicIp: '0.0.0.0/0', guestIp: GUEST_IP, forwards: [] };
    await expect(forwardPorts(world, 7, way, signal)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });
});

wherever('a reservation behind a NAT host', () => {
  let site: FakeClusterSite;
  let world: NatWorld;
  beforeEach(async () => {
    world = new NatWorld();
    site = await FakeClusterSite.open({ node: world });
    const nat = await site.database('resource').where({ resourcetypeid: 16 }).first<{ id: number }>();
    const hostid = await site.insert('nathost', { resourceid: nat.id, publicIPaddress: NAT_IP });
    for (const { id } of await site
      .database('computer')
      .where({ type: 'virtualmachine' })
      .select<{ id: number }[]>('id'))
      await site.insert('nathostcomputermap', { nathostid: hostid, computerid: id });
    // SSH alone, by a script: no services run in fake guests.
    await site.database('connectmethod').update({ servicename: '', startupscript: '/bin/true' });
    await site.insert('connectmethodmap', { connectmethodid: 1, OSid: 36, disabled: 0 });
  });
  afterEach(async () => {
    await site.close();
    await world.close();
  });

  const ports = () => site.database('natport').select<{ reservationid: number; publicport: number }[]>();

  it('has a public port of its own before it is ready, which leads to it once its user came, and to nothing in the end', async () => {
    await site.startNode();
    const { requestId, reservationIds } = await site.request();
    await site.waitFor(requestId, 'pending/reserved');
    const [row, ...others] = await ports();
    expect([row?.reservationid, others]).toEqual([reservationIds[0], []]);
    expect(portsOf('5700-6500,9696-9701,49152-65535')).toContain(row!.publicport);
    expect((await site.t.frontEnd.show(requestId)).port).toBe(row!.publicport);
    expect(await world.rules()).toBe('');
    site.letUserConnect('vm1');
    await site.acknowledge(requestId);
    await site.waitFor(requestId, 'inuse/reserved');
    const { IPaddress } = await site.computer('vm1');
    expect(await world.rules()).toContain(`--dport ${row!.publicport} -j DNAT --to-destination ${IPaddress}:22`);
    expect(await site.database('natlog').first()).toMatchObject({ publicport: row!.publicport, internalport: 22 });
    await site.t.frontEnd.end(requestId);
    await site.waitFor(requestId, null);
    expect([await world.rules(), await ports()]).toEqual(['', []]);
  });

  it('gives no port to two at once, and fails with a reason when none is left', async () => {
    await site.database('variable').where({ name: 'natport_ranges' }).update({ value: '50000-50001' });
    const { id } = await site.database('nathost').first<{ id: number }>();
    const { requestId: first, reservationIds } = await site.request({ computers: ['vm1'] });
    const other = { reservationid: reservationIds[0], nathostid: id, publicport: 50_000, connectmethodportid: 2 };
    await site.insert('natport', other);
    await site.startNode();
    await site.waitFor(first, 'pending/reserved');
    expect((await ports()).map(({ publicport }) => publicport).sort()).toEqual([50_000, 50_001]);
    const { requestId } = await site.request({ computers: ['vm2'] });
    await site.waitFor(requestId, 'failed/new');
    const { text } = (await site.t.frontEnd.show(requestId)).timeline.find(({ kind }) => kind === 'failed')!;
    expect(text).toMatch(/no port of NAT host 198\.51\.100\.1 is free/);
  });
});
