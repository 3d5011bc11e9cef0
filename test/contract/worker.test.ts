/** Poller and worker on a world of rows, hosts and guests: what comes between them and a reservation. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { ProvisiondError } from '../../lib/errors';
import type { Step } from '../../lib/steps/step';
import { STATE_HANDLERS } from '../../lib/states';
import type { Store } from '../../lib/store/store';
import { untilRequest } from '../support/eventually';
import { FakeDaemon, interruptible, type FakeDaemonOptions } from '../support/fake-daemon';
import { NO_FAKE_GUESTS } from '../support/fake-guest';
import { FakeSite, USER_ADDRESS, type FakeSiteOptions } from '../support/fake-site';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
/** Before and after the first look at the machine and its user. */
const IN_USE = ['inuse/reserved', 'inuse/inuse'];
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const names = (steps: readonly Pick<Step<never>, 'name'>[]) => steps.map(({ name }) => name);

wherever('the worker', () => {
  let site: FakeSite;
  let daemon: FakeDaemon | undefined;

  async function open(options?: FakeSiteOptions): Promise<FakeSite> {
    site = await FakeSite.open(options);
    return site;
  }
  function start(options?: FakeDaemonOptions): FakeDaemon {
    daemon = new FakeDaemon(site, options);
    return daemon;
  }
  afterEach(async () => {
    site.host.heal();
    await daemon?.stop();
    daemon = undefined;
    await site.close();
  });

  const until = (requestId: number, ...states: (string | null)[]) => untilRequest(site, requestId, states);
  const loadStates = async (requestId: number) =>
    (await site.frontEnd.show(requestId)).timeline.map(({ loadState }) => loadState);

  it('takes a reservation from its row to a used machine and back to nothing', async () => {
    await open();
    start();
    const requestId = await site.reserve({ computer: 'vm1' });
    await until(requestId, 'pending/reserved');
    expect((await site.frontEnd.show(requestId)).password).toMatch(/^[A-Za-z0-9]{8,}$/);
    await site.frontEnd.connect(requestId, USER_ADDRESS);
    site.userIsThere();
    await until(requestId, ...IN_USE);
    expect(await site.computerState('vm1')).toBe('inuse');
    await site.frontEnd.end(requestId);
    await until(requestId, null);
    expect(await site.computerState('vm1')).toBe('available');
    expect(await site.traces()).toEqual([]);
    expect(await site.logEnding(requestId)).toBe('released');
  });

  it.each(names(STATE_HANDLERS.new.steps))(
    'acts on an end that comes after "%s" of a load, and leaves nothing',
    async (step) => {
      await open();
      let ending: Promise<unknown> | undefined;
      start({
        observe: (requestId, event) => {
          if (event.step === step && event.kind !== 'begun') ending ??= site.frontEnd.end(requestId);
        },
      });
      const requestId = await site.reserve({ computer: 'vm1' });
      await until(requestId, null);
      expect(await ending).toBe('ending');
      expect(await site.computerState('vm1')).toBe('available');
      // A guest that was ready when the end came, and that nobody saw, is kept for the next.
      const kept = (await site.traces()).some((line) => line.includes('vcld_post_load=success'));
      if (!kept) expect(await site.traces()).toEqual([]);
      else {
        expect(await site.traces()).not.toContainEqual(expect.stringContaining('account'));
        expect(await site.traces()).toContain('computer vm1 is said to hold image 2');
      }
    },
  );

  it.each(['check the computer', 'make the disks', 'wait for the guest', 'add the user'])(
    'waits for a database that goes away after "%s", and goes on',
    async (step) => {
      await open();
      const line = interruptible(site.store);
      let back: Promise<void> | undefined;
      start({
        store: line.store,
        observe: (_requestId, event) => {
          if (back || event.step !== step || event.kind === 'begun') return;
          line.isAway = true;
          back = pause(400).then(() => void (line.isAway = false));
        },
      });
      const requestId = await site.reserve({ computer: 'vm1' });
      await until(requestId, 'pending/reserved');
      expect(await loadStates(requestId)).toEqual(expect.arrayContaining(['startload', 'nodeready', 'reserved']));
      expect(site.host.domains()).toMatchObject([{ state: 'running', boots: 1 }]);
    },
  );

  it('does not take a database that is away for a user who did not acknowledge', async () => {
    await open();
    await site.database.change("update variable set value = '1' where name = 'acknowledgetimeout'");
    const line = interruptible(site.store);
    start({ store: line.store });
    const requestId = await site.reserve({ computer: 'vm1' });
    await until(requestId, 'pending/reserved');
    line.isAway = true;
    await site.frontEnd.connect(requestId, USER_ADDRESS);
    site.userIsThere();
    await pause(1500);
    line.isAway = false;
    await until(requestId, ...IN_USE);
    expect(await site.logEnding(requestId)).toBe('none');
  });

  it('tells why a request failed although the database was away at that moment', async () => {
    await open();
    site.host.fail('virsh define', { message: 'error: no such bus' });
    const line = interruptible(site.store);
    start({
      store: line.store,
      observe: (_requestId, event) => {
        if (event.kind !== 'failed') return;
        line.isAway = true;
        void pause(400).then(() => (line.isAway = false));
      },
    });
    const requestId = await site.reserve({ computer: 'vm1' });
    await until(requestId, 'failed/new');
    expect(await site.failure(requestId)).toContain('DOMAIN_REJECTED');
  });

  it('tries again until a libvirt that was away is back', async () => {
    await open({ settings: { retryAttempts: 50 } });
    site.host.stopLibvirtd();
    start();
    const requestId = await site.reserve({ computer: 'vm1' });
    await until(requestId, 'pending/new');
    await pause(500);
    expect(await site.requestState(requestId)).toBe('pending/new');
    site.host.heal();
    await until(requestId, 'pending/reserved');
    expect(site.host.domains()).toMatchObject([{ state: 'running', boots: 1 }]);
  });

  it('gives up on a libvirt that stays away, and leaves the computer to others', async () => {
    await open();
    site.host.stopLibvirtd();
    start();
    const requestId = await site.reserve({ computer: 'vm1' });
    await until(requestId, 'failed/new');
    expect(await site.computerState('vm1')).toBe('available');
    expect(await site.failure(requestId)).toContain('LIBVIRT_FAILED');
  });

  it('takes a computer out of service whose machine could not be removed because its host is away', async () => {
    await open();
    start({
      observe: (_requestId, event) => {
        if (event.kind === 'ended' && event.step === 'set up the guest') site.host.stopLibvirtd();
      },
    });
    site.guests.get('host1')!.behave('vm1', { failing: { match: /make_group\(\)/, stderr: 'no room\n' } });
    const requestId = await site.reserve({ computer: 'vm1' });
    await until(requestId, 'failed/new');
    expect(await site.computerState('vm1')).toBe('failed');
    expect(await site.failure(requestId)).toContain('no room');
  });

  it('leaves nothing of a machine that was ready already when its user cannot be added', async () => {
    await open();
    const reload = await site.requestFor('vm1', 'reload');
    start();
    await until(reload, null);
    expect(site.host.domains()).toHaveLength(1);
    site.guests.get('host1')!.behave('vm1', { failing: { match: /make_group\(\)/, stderr: 'no room\n' } });
    const requestId = await site.reserve({ computer: 'vm1' });
    await until(requestId, 'failed/new');
    expect(await site.traces()).toEqual([]);
    expect(await loadStates(requestId)).not.toContain('startload');
  });

  it('is not held up on one host by another that hangs, and stops in time all the same', async () => {
    await open({ hosts: ['host1', 'host2'], computers: [{}, { host: 'host2' }] });
    site.host.fail('virsh', { hang: true });
    const { worker } = start();
    const stuck = await site.reserve({ computer: 'vm1' });
    const served = await site.reserve({ computer: 'vm2' });
    await until(served, 'pending/reserved');
    expect(await site.requestState(stuck)).toBe('pending/new');
    const startedAt = Date.now();
    await worker.stopForGood('the test says so');
    expect(Date.now() - startedAt).toBeLessThan(10_000);
    expect(await site.requestState(stuck)).toBe('pending/new');
  });

  it('loads as many at once on a host as it has places, and no more', async () => {
    await open({ settings: { maxLoadsPerHost: 1 } });
    const loading = new Set<number>();
    let most = 0;
    start({
      observe: (requestId, { step, kind }) => {
        if (step === 'choose the hypervisor driver' && kind === 'begun') loading.add(requestId);
        most = Math.max(most, loading.size);
        if (step === 'set up the guest' && kind === 'ended') loading.delete(requestId);
      },
    });
    const requests = [await site.reserve({ computer: 'vm1' }), await site.reserve({ computer: 'vm2' })];
    for (const requestId of requests) await until(requestId, 'pending/reserved');
    expect(most).toBe(1);
  });

  it('waits for a reload of the image it needs that is under way, and does not load again', async () => {
    await open();
    const reload = await site.requestFor('vm1', 'reload');
    let requestId: Promise<number> | undefined;
    start({
      observe: (id, { step, kind }) => {
        if (id !== reload || step !== 'wait until the computer is free' || kind !== 'ended') return;
        requestId ??= site.reserve({ computer: 'vm1' });
      },
    });
    await until(reload, null);
    const user = (await requestId)!;
    await until(user, 'pending/reserved');
    expect(await loadStates(user)).not.toContain('startload');
    expect(site.host.domains()).toMatchObject([{ state: 'running', boots: 1 }]);
  });

  it('makes a reload needless that has not begun when the user comes', async () => {
    await open();
    const requestId = await site.reserve({ computer: 'vm1' });
    const reload = await site.requestFor('vm1', 'reload');
    start();
    await until(requestId, 'pending/reserved');
    await until(reload, null);
    expect(await loadStates(requestId)).toContain('startload');
    expect(site.host.domains()).toMatchObject([{ state: 'running', boots: 1 }]);
  });

  it('says who has the computer when an admin must act first', async () => {
    await open();
    const requestId = await site.reserve({ computer: 'vm1' });
    const other = await site.requestFor('vm1', 'maintenance');
    start();
    await until(requestId, 'failed/new');
    expect(await site.failure(requestId)).toContain(`request ${other} (maintenance/maintenance)`);
  });

  it('serves the others when one request cannot be taken up', async () => {
    await open();
    const [bad, good] = [await site.reserve({ computer: 'vm1' }), await site.reserve({ computer: 'vm2' })];
    const claim: Store['claim'] = (lease, due) => {
      if (due.requestId !== bad) return site.store.claim(lease, due);
      return Promise.reject(new ProvisiondError('DATABASE_FAILED', 'taking up the request'));
    };
    start({ store: Object.assign(Object.create(site.store) as Store, { claim }) });
    await until(good, 'pending/reserved');
    expect(await site.requestState(bad)).toBe('new/new');
    const complaints = site.log.lines.filter(({ message }) => message === 'could not take up the request');
    expect(complaints).toHaveLength(1);
  });

  it('works a request once although orphans are looked for while it is being taken up', async () => {
    await open();
    const slowClaim: Store['claim'] = async (lease, due) => {
      const claim = await site.store.claim(lease, due);
      void daemon!.poller.refresh();
      await pause(200);
      return claim;
    };
    let begun = 0;
    start({
      store: Object.assign(Object.create(site.store) as Store, { claim: slowClaim }),
      observe: (_id, { step, kind }) => {
        if (step === 'check the computer' && kind === 'begun') begun++;
      },
    });
    const requestId = await site.reserve({ computer: 'vm1' });
    await until(requestId, 'pending/reserved');
    expect(begun).toBe(1);
  });

  it('fails a request whose rows cannot be read, instead of holding it for ever', async () => {
    await open();
    const requestId = await site.reserve({ computer: 'vm1' });
    await site.database.change('pragma foreign_keys = off');
    await site.database.change('update reservation set imagerevisionid = 9999 where requestid = ?', [requestId]);
    start();
    await until(requestId, 'failed/new');
  });

  it('ends a reservation at its end, and not when it was extended in the countdown', async () => {
    await open();
    start();
    const requestId = await site.reserve({ computer: 'vm1' });
    await until(requestId, 'pending/reserved');
    await site.frontEnd.connect(requestId, USER_ADDRESS);
    site.userIsThere();
    await until(requestId, ...IN_USE);
    await site.endIn(requestId, 2);
    await until(requestId, 'pending/inuse');
    await site.endIn(requestId, 3600);
    await until(requestId, 'inuse/inuse');
    await pause(2500);
    expect(await site.computerState('vm1')).toBe('inuse');
    expect(await site.logEnding(requestId)).toBe('none');
    await site.endIn(requestId, 1);
    await until(requestId, 'complete/timeout', null);
    expect(await site.logEnding(requestId)).toBe('EOR');
    expect(await site.traces()).toEqual([]);
  });
});
