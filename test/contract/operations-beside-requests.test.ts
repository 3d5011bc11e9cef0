/** Operations on machines that reservations have: who gives way to whom, and what a request makes of the machine's power. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeDaemon, type FakeDaemonOptions } from '../support/fake-daemon';
import { NO_FAKE_GUESTS } from '../support/fake-guest';
import { USER_ADDRESS } from '../support/fake-site';
import { VmWorld } from '../support/vm-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const LIMIT_MS = 60_000;

wherever('a machine that a reservation has', () => {
  let world: VmWorld;
  let daemon: FakeDaemon | undefined;

  beforeEach(async () => {
    world = await VmWorld.open(['vm1']);
    await world.startInbox();
  }, LIMIT_MS);
  afterEach(async () => {
    await daemon?.stop();
    daemon = undefined;
    await world.close();
  }, LIMIT_MS);

  async function until(requestId: number, ...states: (string | null)[]): Promise<void> {
    const deadline = Date.now() + 30_000;
    for (let now; !states.includes((now = await world.site.requestState(requestId)));) {
      if (Date.now() > deadline) throw new Error(`request ${requestId} is ${now} for 30 s, not ${states.join(', ')}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async function reserve(options?: FakeDaemonOptions): Promise<number> {
    daemon = new FakeDaemon(world.site, options);
    const requestId = await world.site.reserve({ computer: 'vm1' });
    await until(requestId, 'pending/reserved');
    return requestId;
  }

  it(
    'may be operated on while its user is waited for, and the request clears it all the same when it fails then',
    async () => {
      // Its way to the host is older than the operations are.
      const requestId = await reserve({ onJob: (job) => void job.provisioner.powerStatus() });
      for (const kind of ['pause', 'unpause']) expect(await world.do(kind)).toMatchObject({ state: 'done' });
      world.site.guests.get('host1')!.behave('vm1', { failing: { match: /./, stderr: 'no room\n' } });
      await world.site.frontEnd.connect(requestId, USER_ADDRESS);
      await until(requestId, 'failed/reserved');
      expect(await world.site.failure(requestId)).not.toMatch(/newer work|left behind/);
      expect(await world.site.traces()).toEqual([]);
    },
    LIMIT_MS,
  );

  it(
    'is taken from an operation by a request that goes on, and the operation says so',
    async () => {
      const requestId = await reserve({ onJob: (job) => void job.provisioner.powerStatus() });
      world.host.makeDeaf(world.domainOf('vm1'));
      const asked = await world.ask('shutdown', { timeoutSeconds: 2 });
      await world.reached(asked, 'ask the guest to shut down');
      world.site.guests.get('host1')!.behave('vm1', { failing: { match: /./, stderr: 'no room\n' } });
      await world.site.frontEnd.connect(requestId, USER_ADDRESS);
      await until(requestId, 'failed/reserved');
      expect(await world.site.traces()).toEqual([]);
      expect(await world.ended(asked)).toMatchObject({ state: 'failed' });
    },
    LIMIT_MS,
  );
});
