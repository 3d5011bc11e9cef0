/**
 * What a request makes of a guest of Xen that has crashed. Xen keeps it, with its disk open, and libvirt's driver calls it off
 * all the same.
 */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { orderCaptureAt } from '../../support/capture-order';
import { eventually } from '../../support/eventually';
import type { Site } from '../../support/site';
import { XenGuest } from '../../support/xen-guest';
import { MINUTE, openXenSite } from '../../support/xen-site';

// Each begins where the one before it ended: none can be tried again by itself.
jest.retryTimes(0);

const GUEST = '192.168.77.11';
let site: Site;
let requestId: number;

beforeAll(async () => {
  site = await openXenSite();
}, 5 * MINUTE);
afterAll(() => site?.close(), 2 * MINUTE);

const domainUuid = async () => (await site.virsh('domuuid', (await site.domains())[0]!)).trim();

/** Its kernel panics; Debian's obeys only when it was told to. */
async function panic(): Promise<void> {
  await site.inGuest(GUEST, 'echo 1 > /proc/sys/kernel/sysrq');
  await new XenGuest(site, (await site.domains())[0]!).panic();
}

async function reserve(image?: string): Promise<void> {
  if (image === undefined) requestId = await site.reserve({ computer: 'vm1', minutes: 1500 });
  else {
    const next = { image, user: 'student', start: null, minutes: 1500, computer: 'vm1' };
    ({ requestId } = await site.frontEnd.addReservation(next));
  }
  await site.waitUntilReady(requestId, 480);
}

async function logIn(): Promise<void> {
  const shown = await site.frontEnd.connect(requestId, '192.168.76.1');
  await eventually(async () => (await site.asUser(shown, 'true').catch(() => 'refused')) === '', 90);
  await eventually(async () => (await site.requestState(requestId))?.startsWith('inuse/') ?? false, 120);
}

describe('a guest of Xen that has crashed', () => {
  it(
    'is captured all the same, and the computer is loaded with what was on its disk',
    async () => {
      await reserve();
      await logIn();
      await site.inGuest(GUEST, 'echo "work before the crash" > /root/work; sync');
      await panic();
      const { imageId } = await orderCaptureAt(site.config.database, requestId, 'image');
      await site.waitForRequest(requestId, null, 900);
      await eventually(async () => (await site.computerState('vm1')) === 'available', 480);
      expect(await site.vmHost.list(site.datastore)).toContain(`linux-MyImage-${imageId}-v0.qcow2`);
      expect(await site.inGuest(GUEST, 'cat /root/work')).toBe('work before the crash\n');
    },
    26 * MINUTE,
  );

  it(
    'is not handed on: the next reservation has a new one',
    async () => {
      const before = await domainUuid();
      await panic();
      await reserve('My Image');
      expect(await domainUuid()).not.toBe(before);
      expect(await site.inGuest(GUEST, 'cat /root/work')).toBe('work before the crash\n');
    },
    12 * MINUTE,
  );

  it(
    'is gone when its reservation ends',
    async () => {
      await panic();
      await site.frontEnd.end(requestId);
      await site.waitForRequest(requestId, null, 240);
      expect(await site.computerState('vm1')).toBe('available');
      expect(await site.leftovers()).toEqual([]);
    },
    6 * MINUTE,
  );
});
