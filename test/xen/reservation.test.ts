/** Whole reservations on a real Xen host: the lab's own, in qemu's emulation, driven over ssh. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { orderCaptureAt } from '../support/capture-order';
import { eventually } from '../support/eventually';
import type { Site } from '../support/site';
import { MINUTE, openXenSite } from '../support/xen-site';

let site: Site;

beforeAll(async () => {
  site = await openXenSite({ guestShutdownTimeoutMs: 3 * MINUTE });
}, 5 * MINUTE);

afterAll(() => site?.close(), 2 * MINUTE);

const GUEST = '192.168.77.11';

describe('a reservation on Xen', () => {
  let requestId: number;
  const domainUuid = async () => (await site.virsh('domuuid', (await site.domains())[0]!)).trim();

  it(
    'becomes a paravirtual guest that answers by ssh',
    async () => {
      requestId = await site.reserve({ computer: 'vm1', minutes: 1500 });
      const ready = await site.waitUntilReady(requestId, 480);
      expect(ready.address).toMatch(/^192\.168\.78\./);
      expect(await site.inGuest(GUEST, 'hostname; cat /sys/hypervisor/guest_type')).toBe('vm1\nPV\n');
    },
    9 * MINUTE,
  );

  it(
    'whose user never came leaves its guest to the next one, who has it without a boot, and logs in',
    async () => {
      const before = await domainUuid();
      await site.frontEnd.end(requestId);
      await site.waitForRequest(requestId, null, 240);
      requestId = await site.reserve({ computer: 'vm1', minutes: 1500 });
      await site.waitUntilReady(requestId, 120);
      expect(await domainUuid()).toBe(before);
      const shown = await site.frontEnd.connect(requestId, '192.168.76.1');
      await eventually(async () => (await site.asUser(shown, 'true').catch(() => 'refused')) === '', 90);
      expect(await site.asUser(shown, 'id -un')).toBe('student\n');
    },
    9 * MINUTE,
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
    'becomes an image that the computer is loaded with, without the user’s account and with his work',
    async () => {
      await eventually(async () => (await site.requestState(requestId))?.startsWith('inuse/') ?? false, 120);
      await site.inGuest(GUEST, 'echo "work on Xen" > /root/work; sync');
      const { imageId } = await orderCaptureAt(site.config.database, requestId, 'image');
      await site.waitForRequest(requestId, null, 600);
      await eventually(async () => (await site.computerState('vm1')) === 'available', 480);
      const name = `linux-MyImage-${imageId}-v0`;
      expect(await site.vmHost.list(site.datastore)).toEqual(expect.arrayContaining([`${name}.qcow2`, `${name}.xml`]));
      const info = await site.vmHost.run('qemu-img', 'info', '-U', '--output=json', `${site.datastore}/${name}.qcow2`);
      expect(JSON.parse(info)).not.toHaveProperty('backing-filename');
      expect(await site.inGuest(GUEST, 'cat /root/work; head -n 1 /root/currentimage.txt')).toBe(
        `work on Xen\n${name}\n`,
      );
      expect(await site.inGuest(GUEST, 'ls /home; cut -d: -f1 /etc/passwd')).not.toContain('student');
      const next = { image: 'My Image', user: 'student', start: null, minutes: 60, computer: 'vm1' };
      ({ requestId } = await site.frontEnd.addReservation(next));
      await site.waitUntilReady(requestId, 240);
    },
    16 * MINUTE,
  );

  it(
    'is gone when it is deleted: no domain, no disk, no address, no log',
    async () => {
      await site.taint(GUEST);
      await site.frontEnd.end(requestId);
      await site.waitForRequest(requestId, null, 240);
      expect(await site.computerState('vm1')).toBe('available');
      expect(await site.leftovers()).toEqual([]);
      expect((await site.vmHost.list('/var/log/xen')).filter((name) => name.startsWith('guest-vm1_'))).toEqual([]);
    },
    5 * MINUTE,
  );
});
