/** Operations on machines that reservations have: who gives way to whom, and what a request makes of the machine's power. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Printer } from '../../../lib/cli/printer';
import { describeReservation } from '../../../lib/cli/reservation-report';
import type { PowerStatus } from '../../../lib/model/power';
import { untilRequest } from '../../support/eventually';
import { FakeDaemon, type FakeDaemonOptions } from '../../support/fake-daemon';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { USER_ADDRESS } from '../../support/fake-site';
import { StateWorld, loaded, used } from '../../support/state-world';
import { bringRunning, type Odd, VmWorld } from '../../support/vm-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
/** What a machine may be in without its request having had a hand in it. */
const ODD: readonly Odd[] = ['Halted', 'Paused', 'Suspended', 'Crashed', 'Crashed on Xen', 'Asleep'];
const POWER: Readonly<Record<Odd, PowerStatus>> = {
  Halted: 'off',
  Paused: 'suspended',
  Suspended: 'suspended',
  Crashed: 'crashed',
  'Crashed on Xen': 'crashed',
  Asleep: 'suspended',
};
/** All of them with `npm run test:life`. */
const oddOnes = (...some: Odd[]): readonly Odd[] => (process.env.PROVISIOND_LIFE === 'long' ? ODD : some);

wherever('a machine that a reservation has', () => {
  let world: VmWorld;
  let daemon: FakeDaemon | undefined;

  beforeEach(async () => {
    world = await VmWorld.open(['vm1']);
    await world.startInbox();
  });
  afterEach(async () => {
    await daemon?.stop();
    daemon = undefined;
    await world.close();
  });

  const until = (requestId: number, state: string | null) => untilRequest(world.site, requestId, [state]);

  async function reserve(options?: FakeDaemonOptions): Promise<number> {
    daemon = new FakeDaemon(world.site, options);
    const requestId = await world.site.reserve({ computer: 'vm1' });
    await until(requestId, 'pending/reserved');
    return requestId;
  }

  it('may be operated on while its user is waited for, and the request clears it all the same when it fails then', async () => {
    // Its way to the host is older than the operations are.
    const requestId = await reserve({ onJob: (job) => void job.provisioner.powerStatus() });
    for (const kind of ['pause', 'unpause']) expect(await world.do(kind)).toMatchObject({ state: 'done' });
    world.site.guests.get('host1')!.behave('vm1', { failing: { match: /./, stderr: 'no room\n' } });
    await world.site.frontEnd.connect(requestId, USER_ADDRESS);
    await until(requestId, 'failed/reserved');
    expect(await world.site.failure(requestId)).not.toMatch(/newer work|left behind/);
    expect(await world.site.traces()).toEqual([]);
  });

  it('is shown with its power, and why it has it, to whoever looks at the reservation', async () => {
    const requestId = await reserve();
    const power = async () => (await world.site.frontEnd.show(requestId)).power;
    await world.do('pause');
    expect(await power()).toMatchObject([{ computer: 'vm1', powerState: 'Paused', reason: 'paused (user)' }]);
    const stdout = { write: () => true };
    const text = describeReservation(
      await world.site.frontEnd.show(requestId),
      new Printer({ stdout, stderr: stdout, env: {} }, false),
    );
    expect(text).toMatch(/^power +Paused \(paused \(user\)\): provisiond vm show vm1$/m);
    await world.do('unpause');
    expect(await power()).toMatchObject([{ powerState: 'Running' }]);
  });

  it('is taken from an operation by a request that goes on, and the operation says so', async () => {
    const requestId = await reserve({ onJob: (job) => void job.provisioner.powerStatus() });
    world.host.makeDeaf(world.domainOf('vm1'));
    const asked = await world.ask('shutdown', { timeoutSeconds: 2 });
    await world.reached(asked, 'ask the guest to shut down');
    world.site.guests.get('host1')!.behave('vm1', { failing: { match: /./, stderr: 'no room\n' } });
    await world.site.frontEnd.connect(requestId, USER_ADDRESS);
    await until(requestId, 'failed/reserved');
    expect(await world.site.traces()).toEqual([]);
    expect(await world.ended(asked)).toMatchObject({ state: 'failed' });
  });
});

wherever('a machine that somebody has brought into another power state', () => {
  let world: StateWorld;
  afterEach(() => world.close());
  const bring = (condition: Odd) => bringRunning(world.site.host, world.site.host.domains()[0]!.name, condition);

  it.each(oddOnes('Crashed on Xen'))('is seen by the steps of its request for what it is: %s', async (condition) => {
    world = await used(await StateWorld.open());
    await bring(condition);
    const { provisioner } = await (await world.take()).newContext(new AbortController().signal);
    expect(await provisioner.powerStatus()).toBe(POWER[condition]);
    expect(await provisioner.capture.isAtRest()).toBe(condition === 'Halted');
  });

  it.each(oddOnes('Suspended'))(
    'is cleared at the end of its reservation, with all that was saved of it: %s',
    async (condition) => {
      world = await used(await StateWorld.open());
      await bring(condition);
      await (await world.overwrite('timeout')).work();
      expect(await world.site.traces()).toEqual([]);
      expect(await world.site.computerState('vm1')).toBe('available');
    },
  );

  it.each(oddOnes('Paused'))(
    'is loaded anew for the next reservation, although it holds the right image: %s',
    async (condition) => {
      world = await (await (await StateWorld.open()).requestFor('reload')).work();
      await bring(condition);
      await loaded(world);
      expect(world.site.host.domains()).toMatchObject([{ state: 'running', hasManagedSave: false, boots: 1 }]);
      const told = (await world.site.frontEnd.show(world.requestId)).timeline.map(({ loadState }) => loadState);
      expect(told).toContain('startload');
    },
  );

  it.each(oddOnes('Crashed', 'Crashed on Xen'))('is captured as it would be when it ran: %s', async (condition) => {
    world = await used(await StateWorld.open({ settings: { guestShutdownTimeoutMs: 4000 } }));
    await bring(condition);
    await (await world.orderCapture('image')).work();
    const files = world.site.host.files('datastore').filter((file) => /MyImage.*qcow2$/.test(file));
    expect(files).toHaveLength(1);
  });

  it('is not held against its user: he is not thought to be away while it is paused', async () => {
    world = await used(await StateWorld.open({ timings: { reconnecttimeout: 2 } }));
    world.site.userIsThere('vm1', false);
    const paused = new Promise((resolve) => setTimeout(resolve, 700)).then(() => bring('Paused'));
    await world.work();
    await paused;
    expect(await world.site.requestState(world.requestId)).toBe('inuse/inuse');
    expect(await world.site.logEnding(world.requestId)).toBe('none');
    const story = (await world.site.frontEnd.show(world.requestId)).timeline.map(({ text }) => text);
    expect(story).toContainEqual(expect.stringMatching(/is suspended: the user is not held to be away/));
  });
});
