/** Several reservations a request, on one management node and on two (contract 2.5, 2.7; web rows J7-J10). */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { eventually } from '../../support/eventually';
import { FakeClusterSite } from '../../support/fake-cluster-site';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const COMPUTERS = ['vm1', 'vm2'];

describe.each([
  ['on one management node', 1],
  ['on two management nodes', 2],
])('a cluster %s', (_where, nodes) => {
  wherever('', () => {
    let site: FakeClusterSite;

    beforeEach(async () => {
      site = await FakeClusterSite.open();
    });
    afterEach(() => site.close());

    /** The parent's computer is vm1. */
    async function cluster(minutes = 60) {
      const made = await site.request({ state: 'failed', computers: COMPUTERS, minutes });
      const { store, frontEnd } = site.t;
      await site.startNode();
      if (nodes === 2) {
        const other = await frontEnd.ensureManagementNode('node2.test', '127.0.0.2', ['/etc/provisiond/key']);
        await site.database('reservation').where({ id: made.reservationIds[1]! }).update({ managementnodeid: other });
        await site.startNode((await store.acquireLease(other, 'test2', 600))!);
      }
      await site.database('request').where({ id: made.requestId }).update({ stateid: 13, laststateid: 13 });
      return made;
    }

    const states = async () => [await site.computerState('vm1'), await site.computerState('vm2')];
    const running = () => site.host.domains().filter(({ state }) => state === 'running').length;

    it('loads every reservation, and is ready when all are', async () => {
      const { requestId, reservationIds } = await cluster();
      await site.waitFor(requestId, 'pending/reserved');
      await eventually(async () => (await states()).every((state) => state === 'reserved'));
      expect(running()).toBe(2);
      const passwords = await site
        .database('reservation')
        .where({ requestid: requestId })
        .orderBy('id')
        .select<{ pw: string }[]>('pw');
      expect(passwords.every(({ pw }) => pw.length >= 8)).toBe(true);
      expect(await site.told(reservationIds[0]!)).toContain('acknowledgetimeout');
      expect(await site.told(reservationIds[1]!)).not.toContain('acknowledgetimeout');
    });

    it('tells each guest the addresses of all, the parent’s first, and is in use when its user is on one of them', async () => {
      const { requestId } = await cluster();
      await site.waitFor(requestId, 'pending/reserved');
      site.letUserConnect('vm2');
      await site.acknowledge(requestId);
      await site.waitFor(requestId, 'inuse/reserved', 30);
      expect(await states()).toEqual(['inuse', 'inuse']);
      for (const name of COMPUTERS) {
        const lines = site.guests.read(site.domainOf(name)!.name, 'etc/cluster_info');
        expect(lines).toMatch(/^parent= \S+\nchild= \S+\n$/);
      }
    });

    it('fails whole when one cannot be loaded, and leaves both computers to others', async () => {
      site.guests.behave('vm2', { refusesLogin: true });
      const { requestId, reservationIds } = await cluster();
      await site.waitFor(requestId, 'failed/new', 40);
      await eventually(async () => (await states()).every((state) => state === 'available'));
      expect(site.host.domains()).toEqual([]);
      const log = await site.database('log').where({ id: 1 }).first<{ ending: string }>();
      expect(log.ending).toBe('failed');
      expect(await site.told(reservationIds[1]!)).toContain('failed');
    });

    it('times out whole when nobody acknowledges', async () => {
      await site.database('variable').where({ name: 'acknowledgetimeout' }).update({ value: 1 });
      const { requestId } = await cluster();
      await site.waitFor(requestId, 'complete/timeout', 40);
      await eventually(async () => (await states()).every((state) => state === 'available'));
      const log = await site.database('log').where({ id: 1 }).first<{ ending: string }>();
      expect(log.ending).toBe('noack');
    });

    it('is reclaimed whole when it is deleted while its user works on it', async () => {
      const { requestId } = await cluster();
      await site.waitFor(requestId, 'pending/reserved');
      COMPUTERS.forEach((name) => site.letUserConnect(name));
      await site.acknowledge(requestId);
      await site.waitFor(requestId, 'inuse/reserved', 30);
      await site.write(requestId, 'deleted');
      await site.waitFor(requestId, null, 30);
      await eventually(async () => (await states()).every((state) => state === 'available'), 20);
    });

    it('is reclaimed whole when it is deleted in the middle of its loads', async () => {
      COMPUTERS.forEach((name) => site.guests.behave(name, { answersAfterMs: 3000 }));
      const { requestId } = await cluster();
      await eventually(async () => running() === 2, 20);
      await site.database('request').where({ id: requestId }).update({ stateid: 1, laststateid: 3 });
      await site.waitFor(requestId, null, 30);
      expect(await states()).toEqual(['available', 'available']);
      expect(site.host.domains()).toEqual([]);
    });

    it('is rebooted whole', async () => {
      const { requestId } = await cluster();
      await site.waitFor(requestId, 'pending/reserved');
      COMPUTERS.forEach((name) => site.letUserConnect(name));
      await site.acknowledge(requestId);
      await site.waitFor(requestId, 'inuse/reserved', 30);
      await site.write(requestId, 'reboothard');
      await site.waitFor(requestId, 'inuse/reboothard', 30);
      expect(COMPUTERS.map((name) => site.domainOf(name)!.boots)).toEqual([2, 2]);
      expect(await states()).toEqual(['inuse', 'inuse']);
    });

    it('goes on where it was when the daemons were ended in the middle of its loads', async () => {
      COMPUTERS.forEach((name) => site.guests.behave(name, { answersAfterMs: 2000 }));
      const { requestId } = await cluster();
      await eventually(async () => running() === 2, 20);
      const leases = site.leases;
      await site.stopNodes();
      expect(await site.state(requestId)).toBe('pending/new');
      for (const lease of leases) await site.startNode(lease);
      await site.waitFor(requestId, 'pending/reserved', 30);
      expect(COMPUTERS.map((name) => site.domainOf(name)!.boots)).toEqual([1, 1]);
    });
  });
});
