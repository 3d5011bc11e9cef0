import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { HostPool } from '../../lib/host/host-pool';
import type { HostConnection, HostFacts } from '../../lib/model/reservation';
import { eventually } from '../support/eventually';
import { FakeHost } from '../support/fake-host';
import { type PrivateSshd, startSshd } from '../support/sshd';

let sshd: PrivateSshd;
let world: FakeHost;
let pool: HostPool;

beforeAll(async () => {
  sshd = await startSshd();
  world = new FakeHost();
});
afterAll(() => Promise.all([sshd.stop(), world.close()]));
beforeEach(() => {
  pool = new HostPool({ keyFiles: [sshd.keyFile], maxLoadsPerHost: 2 });
});
afterEach(() => pool.close());

function factsOf(connection: Partial<HostConnection> = {}): HostFacts {
  const { port, user, hostKey } = sshd;
  const known = { transport: 'ssh' as const, port, user, hostKey, driver: null, maxLoads: null };
  return { ...world.facts(), address: sshd.address, shortName: 'vmhost1', connection: { ...known, ...connection } };
}

describe('the pool of hosts', () => {
  it('keeps one connection to a host for all reservations', async () => {
    const [first, second] = [pool.get(factsOf()), pool.get(factsOf({ driver: 'kvm', maxLoads: 5 }))];
    await Promise.all([first.run(['true']), second.run(['true'])]);
    expect(second).toBe(first);
    expect(sshd.sessionPids()).toHaveLength(1);
  });

  it('takes up a changed way to a host, and lets what runs on the old one come to its end', async () => {
    const old = pool.get(factsOf());
    const running = old.run(['sleep', '0.5']);
    const local = pool.get(factsOf({ transport: 'local' }));
    expect((await local.run(['echo', 'here'])).stdout).toBe('here\n');
    expect((await running).exitCode).toBe(0);
  });

  it('limits the loads of each host by its own number, else by the configured one', () => {
    expect(pool.loadSlots(factsOf()).limit).toBe(2);
    const slots = pool.loadSlots(factsOf({ maxLoads: 5 }));
    expect([slots.limit, slots === pool.loadSlots(factsOf({ maxLoads: 5 }))]).toEqual([5, true]);
    expect(pool.loadSlots({ ...factsOf(), computerId: 7 })).not.toBe(slots);
  });

  it('ends its connections when it is closed', async () => {
    await pool.get(factsOf()).run(['true']);
    await pool.close();
    await eventually(() => sshd.sessionPids().length === 0);
  });
});
