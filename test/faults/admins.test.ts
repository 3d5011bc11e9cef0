/** What admins do behind our back: it is seen, it is told, and nothing of theirs is ever destroyed. */
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { audit, type AuditOptions } from '../support/auditor';
import { inLongForm, LONG, round, writeTable } from '../support/fault-table';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';

const IMPATIENT = { guestBootTimeoutMs: 15_000 };

describe('an admin', () => {
  let site: Site;
  afterEach(async () => {
    await site?.killDaemon();
    await site?.clear();
    await site?.close();
  });
  afterAll(writeTable);

  const begun = async (): Promise<number> => {
    const requestId = await site.reserve({ computer: 'vm1' });
    await eventually(async () => (await site.loadStates(requestId)).includes('startvm'), 60);
    return requestId;
  };
  const failed = async (requestId: number, says: RegExp) => {
    await eventually(async () => (await site.requestState(requestId))?.startsWith('failed/') ?? false, 90);
    expect(await site.failure(requestId)).toMatch(says);
  };
  const clean = async (options: AuditOptions = {}) =>
    expect(await audit({ ...site.config, vms: site.vms, datastore: site.datastore }, options)).toEqual([]);
  const end = async (requestId: number) => {
    await site.frontEnd.end(requestId);
    await site.waitForRequest(requestId, null, 60);
  };
  const ownDomain = async () => (await site.domains()).find((name) => name.startsWith('vm1_'))!;

  async function defineStranger(name: string, devices: string): Promise<void> {
    const file = path.join(site.folder, 'stranger.xml');
    const body = `<memory unit='MiB'>16</memory><os><type>hvm</type></os><devices>${devices}</devices>`;
    writeFileSync(file, `<domain type='qemu'><name>${name}</name>${body}</domain>`);
    await site.virsh('define', file);
  }

  inLongForm('who destroys the domain in the middle of a load is told of in the reason', async () => {
    await round('virsh destroy in the middle of a load', 'P3 P4', async () => {
      site = await Site.open({ settings: IMPATIENT });
      const requestId = await begun();
      await site.virsh('destroy', await ownDomain());
      await failed(requestId, /shut off/);
      await clean();
    });
  });

  inLongForm('who destroys and undefines it leaves files that are cleared', async () => {
    await round('virsh destroy and undefine in the middle of a load', 'P3 P4', async () => {
      site = await Site.open({ settings: IMPATIENT });
      const requestId = await begun();
      const name = await ownDomain();
      await site.virsh('destroy', name);
      await site.virsh('undefine', name);
      await failed(requestId, /no domain|GUEST_NO_ANSWER|DOMAIN_NOT_FOUND/);
      await clean();
    });
  });

  inLongForm('who deletes the overlay under a running guest costs nothing but the guest', async () => {
    await round('overlay deleted under a running guest', 'P3 P5', async () => {
      site = await Site.open();
      const requestId = await begun();
      const [disk] = (await site.virsh('domblklist', await ownDomain())).match(/\/\S+\.qcow2/) ?? [];
      rmSync(disk!);
      await end(requestId);
      await clean();
      expect(existsSync(site.masterFile)).toBe(true);
    });
  });

  inLongForm('who deletes the base does not keep what was loaded from being cleared', async () => {
    await round('base image deleted under an overlay', 'P3 P5', async () => {
      site = await Site.open();
      const requestId = await begun();
      rmSync(site.masterFile);
      await end(requestId);
      await clean();
      const next = await site.reserve({ computer: 'vm1' });
      await failed(next, /IMAGE_NOT_FOUND/);
      await clean();
    });
  });

  it('who stops the network is told how to start it, and nobody is blamed but the host', async () => {
    await round('network of the guests stopped', 'P3', async () => {
      site = await Site.open({ withoutDaemon: true });
      await site.virsh('net-destroy', 'private');
      try {
        await site.startDaemon();
        const requestId = await site.reserve({ computer: 'vm1' });
        await failed(requestId, /NETWORK_INACTIVE.*net-start/);
        expect(await site.computerState('vm1')).toBe('available');
      } finally {
        await site.virsh('net-start', 'private');
      }
      await clean();
    });
  });

  const things: [string, string][] = [
    ['MAC', "<interface type='network'><mac address='52:54:00:0A:0B:0C'/><source network='private'/></interface>"],
    ['disk', "<disk type='file' device='disk'><source file='DISK'/><target dev='vda'/></disk>"],
  ];
  it.each(LONG ? things : things.slice(0, 1))(
    'whose own domain has the %s of the computer keeps it, and is named',
    async (what, device) => {
      await round(`a stranger has the computer's ${what}`, 'P4', async () => {
        site = await Site.open({ computers: [{ privateMac: '52:54:00:0a:0b:0c' }] });
        const disk = path.join(site.vms, `vm1_${site.image.imageId}-v0.qcow2`);
        await defineStranger('of-an-admin', device.replace('DISK', disk));
        const uuid = await site.virsh('domuuid', 'of-an-admin');
        const requestId = await site.reserve({ computer: 'vm1' });
        await failed(requestId, /of-an-admin.*(ADDRESS_TAKEN|DOMAIN_NOT_OURS)/);
        expect(await site.virsh('domuuid', 'of-an-admin')).toBe(uuid);
        await clean({ wild: ['of-an-admin'] });
      });
    },
  );
});
