/** Boot parameters that change while a machine is in use: the domain that is there boots as it was loaded. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { untilRequest } from '../../support/eventually';
import { FakeDaemon } from '../../support/fake-daemon';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { USER_ADDRESS } from '../../support/fake-site';
import { VmWorld } from '../../support/vm-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

wherever('a machine whose boot parameters change while it is in use', () => {
  let world: VmWorld;
  let daemon: FakeDaemon;

  beforeAll(async () => {
    world = await VmWorld.open(['vm1']);
    await world.startInbox();
    daemon = new FakeDaemon(world.site);
  });
  afterAll(async () => {
    await daemon.stop();
    await world.close();
  });

  const until = (requestId: number, state: string | null) => untilRequest(world.site, requestId, [state]);

  /** What its one domain boots by: devices in their order, or a kernel. */
  function bootsBy(): string[] {
    const { xml } = world.site.host.domains()[0]!;
    return [...xml.matchAll(/<boot dev=["'](\w+)["']\/>|<kernel>(.*?)<\/kernel>/g)].map(
      ([, device, kernel]) => device ?? kernel!,
    );
  }

  it('keeps the way in which it was loaded, over a reboot by force too, and has the new one from its next load on', async () => {
    const both = { hvmPolicy: 'BIOS order', hvmOrder: 'dc', pvKernel: '/boot/guest/vmlinuz' };
    await world.site.frontEnd.putBoot('computer', 'vm1', both);
    const first = await world.site.reserve({ computer: 'vm1' });
    await until(first, 'pending/reserved');
    expect(bootsBy()).toEqual(['cdrom', 'hd']);

    await world.site.frontEnd.putBoot('computer', 'vm1', { ...both, hvmPolicy: '' });
    expect(await world.do('hard_reboot')).toMatchObject({ state: 'done' });
    expect(bootsBy()).toEqual(['cdrom', 'hd']);

    await world.site.frontEnd.connect(first, USER_ADDRESS);
    await world.site.frontEnd.end(first);
    await until(first, null);
    const second = await world.site.reserve({ computer: 'vm1' });
    await until(second, 'pending/reserved');
    expect(bootsBy()).toEqual(['/boot/guest/vmlinuz']);
  });
});
