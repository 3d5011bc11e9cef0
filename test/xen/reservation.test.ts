/** A whole reservation on a real Xen host: the lab's own, in qemu's emulation, driven over ssh. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, Site } from '../support/site';
import { PATIENCE, xenVmHost } from '../support/vm-host';

const MINUTE = 60_000 * PATIENCE;
let site: Site;

beforeAll(async () => {
  site = await Site.open({
    vmHost: xenVmHost,
    // Everything takes ten times as long there.
    settings: { commandTimeoutMs: 5 * MINUTE, guestBootTimeoutMs: 5 * MINUTE, sshConnectTimeoutMs: MINUTE },
  });
}, 5 * MINUTE);

afterAll(() => site?.close(), 2 * MINUTE);

describe('a reservation on Xen', () => {
  let requestId: number;

  it(
    'becomes a paravirtual guest that answers by ssh, and that its user logs in to',
    async () => {
      requestId = await site.reserve({ computer: 'vm1' });
      const ready = await site.waitUntilReady(requestId, 480 * PATIENCE);
      expect(ready.address).toMatch(/^192\.168\.78\./);
      expect(await site.inGuest('192.168.77.11', 'hostname; cat /sys/hypervisor/guest_type')).toBe('vm1\nPV\n');
      const shown = await site.frontEnd.connect(requestId, '192.168.76.1');
      await eventually(async () => (await site.asUser(shown, 'true').catch(() => 'refused')) === '', 90 * PATIENCE);
      expect(await site.asUser(shown, 'id -un')).toBe('student\n');
    },
    10 * MINUTE,
  );

  it(
    'runs on a copy-on-write disk, which is the only place where it writes',
    async () => {
      const [domain] = await site.domains();
      const xml = await site.virsh('dumpxml', domain!);
      expect(xml).toContain("<target dev='xvda' bus='xen'/>");
      const disk = /<source file='([^']+)'/.exec(xml)![1]!;
      const info = JSON.parse(await site.vmHost.run('qemu-img', 'info', '-U', '--output=json', disk)) as object;
      expect(info).toMatchObject({ format: 'qcow2', 'backing-filename': site.masterFile });
    },
    MINUTE,
  );

  it(
    'is gone when it is deleted: no domain, no disk, no address, no log',
    async () => {
      await site.frontEnd.end(requestId);
      await site.waitForRequest(requestId, null, 240 * PATIENCE);
      expect(await site.computerState('vm1')).toBe('available');
      expect(await site.leftovers()).toEqual([]);
      expect((await site.vmHost.list('/var/log/xen')).filter((name) => name.startsWith('guest-vm1_'))).toEqual([]);
    },
    5 * MINUTE,
  );
});
