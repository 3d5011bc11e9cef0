/** A request whose row is deleted in the middle of the work: no later state will clear its computer, so the worker does. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { STATE_HANDLERS } from '../../lib/states';
import { eventually, untilRequest } from '../support/eventually';
import { FakeDaemon, type FakeDaemonOptions } from '../support/fake-daemon';
import { NO_FAKE_GUESTS } from '../support/fake-guest';
import { FakeSite, USER_ADDRESS } from '../support/fake-site';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

wherever('a request that is deleted while it is pending', () => {
  let site: FakeSite;
  let daemon: FakeDaemon;

  afterEach(async () => {
    site.host.heal();
    await daemon.stop();
    await site.close();
  });

  async function open(options?: FakeDaemonOptions): Promise<number> {
    site = await FakeSite.open();
    daemon = new FakeDaemon(site, options);
    return site.reserve({ computer: 'vm1' });
  }
  const deleteRows = (requestId: number) => site.database.change('delete from request where id = ?', [requestId]);
  const isFree = async () => (await site.computerState('vm1')) === 'available' && daemon.worker.inHand.length === 0;

  const steps = STATE_HANDLERS.new.steps.map(({ name }) => name);
  const tried = steps.filter((_name, index) => index % 6 === 4 || index === steps.length - 1);
  it.each(tried)('leaves nothing when that happens in "%s" of its load', async (step) => {
    let gone: Promise<unknown> | undefined;
    await open({
      observe: (requestId, event) => {
        if (event.step === step && event.kind !== 'undone') gone ??= deleteRows(requestId);
      },
    });
    await eventually(async () => gone !== undefined && (await isFree()));
    expect(await site.traces()).toEqual([]);
  });

  it('leaves nothing of a machine that its user was on', async () => {
    const requestId = await open();
    await untilRequest(site, requestId, ['pending/reserved']);
    await site.frontEnd.connect(requestId, USER_ADDRESS);
    site.userIsThere();
    await eventually(async () => (await site.computerState('vm1')) === 'inuse');
    await site.endIn(requestId, 30); // taken up to warn of the end
    await untilRequest(site, requestId, ['pending/inuse']);
    await deleteRows(requestId);
    await eventually(isFree);
    expect(await site.traces()).toEqual([]);
  });

  it('takes nothing from another that has the computer by then', async () => {
    const requestId = await open();
    await untilRequest(site, requestId, ['pending/reserved']);
    const before = await site.traces();
    await site.requestFor('vm1', 'maintenance');
    await deleteRows(requestId);
    await eventually(async () => daemon.worker.inHand.length === 0);
    expect(await site.traces()).toEqual(before);
  });

  it('is ended although its host does not answer, and the machine is told by the log', async () => {
    const requestId = await open();
    await untilRequest(site, requestId, ['pending/reserved']);
    site.host.stopLibvirtd();
    await deleteRows(requestId);
    await eventually(isFree);
    const failures = site.log.lines.filter(({ message }) => message.includes('clear the computer of a request'));
    expect(failures.length).toBeGreaterThan(0);
  });
});

wherever('a reinstall that fails', () => {
  it('closes the log of its reservation', async () => {
    const site = await FakeSite.open();
    const daemon = new FakeDaemon(site);
    try {
      const requestId = await site.reserve({ computer: 'vm1' });
      const reaches = async (state: string) => {
        for (let tries = 0; (await site.requestState(requestId)) !== state; tries++) {
          if (tries > 1000) throw new Error(`request is ${await site.requestState(requestId)}, not ${state}`);
          await pause(20);
        }
      };
      await reaches('pending/reserved');
      site.host.fail('virsh define', { message: 'error: no such bus' });
      await site.overwrite(requestId, 'reinstall');
      await reaches('failed/reinstall');
      expect(await site.logEnding(requestId)).toBe('failed');
    } finally {
      await daemon.stop();
      await site.close();
    }
  });
});
