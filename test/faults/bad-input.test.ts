/**
 * What goes wrong at a real site: each ends in the state that the front end expects, says what to do, blames who must
 * act, and leaves nothing on the host.
 */
import { afterEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ErrorCode } from '../../lib/errors';
import type { StateName } from '../../lib/model/states';
import { EVERY, leaveOut } from '../support/fault-table';
import { makeGuest } from '../support/lab';
import { eventually } from '../support/eventually';
import { Site, type SiteOptions } from '../support/site';
import type { Dialect } from '../support/site-rows';

interface Failure {
  readonly code: ErrorCode;
  readonly says: RegExp;
  /** The computer afterwards. Default: still available, for it is not to blame. */
  readonly computer?: StateName;
  readonly leaves?: readonly string[];
}

describe.each<Dialect>(['sqlite', 'mysql'])('on %s', (dialect) => {
  // What boots is told in the same rows on both, and takes minutes: on one of them.
  const once = dialect === 'sqlite' || EVERY ? it : leaveOut;
  let site: Site;
  afterEach(() => site?.close());

  /** Reserves and expects the failure: row, log, text, computer, host. */
  async function expectFailure({ code, says, computer = 'available', leaves = [] }: Failure): Promise<void> {
    const requestId = await site.reserve({ computer: 'vm1' });
    const hasFailed = async () => (await site.requestState(requestId))?.startsWith('failed/') ?? false;
    await eventually(hasFailed, 60, () => site.story(requestId));
    expect(await site.requestState(requestId)).toBe('failed/new');
    const text = await site.failure(requestId);
    expect(text).toMatch(says);
    expect(text).toContain(code);
    expect(await site.computerState('vm1')).toBe(computer);
    const log = await site.database('log').where({ requestid: requestId }).first<{ ending: string }>();
    expect(log.ending).toBe('failed');
    expect(await site.leftovers()).toEqual(leaves);
  }

  const open = async (options: SiteOptions = {}) => {
    site = await Site.open({ dialect, computers: [{}], ...options });
  };

  function plugin(folder: string, name: string, text: string): string {
    mkdirSync(path.join(folder, 'drivers'), { recursive: true });
    writeFileSync(path.join(folder, 'drivers', `${name}.js`), text);
    return folder;
  }

  const driver = (name: string, more: string) => `module.exports = {
  apiVersion: 1, name: '${name}', domainType: 'qemu', diskDriverName: 'qemu', diskFormats: ['qcow2'],
  probe: () => ({ usable: true, reason: 'says yes to all' }), ${more} };`;

  describe('an image', () => {
    it('whose file is nowhere is named with the places where it was looked for', async () => {
      await open();
      rmSync(site.masterFile);
      await expectFailure({ code: 'IMAGE_NOT_FOUND', says: /vmwarelinux-TinyLinux\d+-v0 is not in .*images/ });
    });

    it('that is no qcow2 file at all is refused before it is booted', async () => {
      await open();
      chmodSync(site.masterFile, 0o644);
      writeFileSync(site.masterFile, 'not an image');
      await expectFailure({ code: 'IMAGE_UNTRUSTED', says: /vmwarelinux-TinyLinux/ });
    });

    it('that would read another file of the host is refused', async () => {
      await open();
      rmSync(site.masterFile);
      execFileSync('qemu-img', [
        'create',
        '-q',
        '-f',
        'qcow2',
        '-b',
        '/etc/passwd',
        '-F',
        'raw',
        site.masterFile,
        '1M',
      ]);
      await expectFailure({ code: 'IMAGE_UNTRUSTED', says: /backing file/ });
    });

    once('without our key is blamed, not the computer', async () => {
      await open({ settings: { guestBootTimeoutMs: 25_000 } });
      await site.stopDaemon();
      await site.database('managementnode').update({ keys: site.lab.sshKeyFile });
      await site.startDaemon();
      await expectFailure({ code: 'GUEST_LOGIN_REFUSED', says: /vm1/ });
    });

    it('of an operating system without a module says which module is missing', async () => {
      await open();
      await site.database('OS').where({ name: 'vmwarelinux' }).update({ moduleid: 26 });
      await expectFailure({ code: 'OS_MODULE_NOT_FOUND', says: /VCL::Module::OS::OSX/ });
    });
  });

  describe('a host', () => {
    it('that does not answer fails the request after some tries, and keeps the computer', async () => {
      await open({ host: { port: 2 }, settings: { retryAttempts: 2 } });
      await expectFailure({ code: 'HOST_UNREACHABLE', says: /host1/ });
    });

    it('that shows another key than the pinned one is not trusted', async () => {
      await open({ host: { hostKey: `SHA256:${'A'.repeat(43)}` } });
      await expectFailure({ code: 'HOST_KEY_MISMATCH', says: /host1/ });
    });

    it('whose pinned driver is not there says which there are', async () => {
      await open({ host: { driver: 'hyperspace' } });
      await expectFailure({ code: 'DRIVER_NOT_FOUND', says: /hyperspace.*kvm/s });
    });

    it('that two drivers claim is refused with both names and how to pin one', async () => {
      const folder = path.join('/var/tmp', `provisiond-test-${process.pid}`);
      try {
        plugin(folder, 'other', driver('other', ''));
        await open({ settings: { pluginDirs: [folder] } });
        await expectFailure({ code: 'DRIVER_AMBIGUOUS', says: /kvm.*other|other.*kvm/s });
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });

    it('whose driver throws is not blamed for it', async () => {
      const folder = path.join('/var/tmp', `provisiond-test-${process.pid}`);
      try {
        plugin(folder, 'broken', driver('broken', `preDefine: async () => { throw new Error('out of disks'); },`));
        await open({ settings: { pluginDirs: [folder] }, host: { driver: 'broken' } });
        await expectFailure({ code: 'PLUGIN_FAILED', says: /broken/ });
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });

    it('without the network of its profile says which networks it has', async () => {
      await open({ host: { privateNetwork: 'atlantis' } });
      await expectFailure({ code: 'NETWORK_NOT_FOUND', says: /atlantis/ });
    });

    it('whose disk is full says where and how much is needed', async () => {
      await open({ withoutDaemon: true });
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', site.vms]);
      try {
        execFileSync('sh', ['-c', `head -c 60000 /dev/zero > ${site.vms}/other-file`]);
        await site.startDaemon();
        await expectFailure({ code: 'HOST_DISK_FULL', says: /vms/, leaves: [path.join(site.vms, 'other-file')] });
      } finally {
        execFileSync('umount', [site.vms]);
      }
    });
  });

  describe('a guest', () => {
    const faulty = (fault: string) => makeGuest(fault, { GUEST_FAULT: fault });
    const impatient = { guestBootTimeoutMs: 12_000 };

    once('that never boots is told apart by its silence: no lease, no ping', async () => {
      await open({ imageFile: faulty('no-boot'), settings: impatient });
      await expectFailure({
        code: 'GUEST_NO_ANSWER',
        says: /domain running.*, no DHCP lease, no answer to ping/,
        computer: 'failed',
      });
    });

    once('that panics shows its last words', async () => {
      await open({ imageFile: faulty('panic'), settings: impatient });
      await expectFailure({ code: 'GUEST_NO_ANSWER', says: /panic/i, computer: 'failed' });
    });

    once('that comes up without a network shows that its console went on', async () => {
      await open({ imageFile: faulty('no-network'), settings: impatient });
      await expectFailure({ code: 'GUEST_NO_ANSWER', says: /no DHCP lease.*console/s, computer: 'failed' });
    });

    once('without an ssh server is seen to answer ping', async () => {
      await open({ imageFile: faulty('no-ssh'), settings: { guestBootTimeoutMs: 20_000 } }); // it has to come up
      await expectFailure({ code: 'GUEST_NO_ANSWER', says: /answers ping, ssh port closed/, computer: 'failed' });
    });
  });

  describe('a foreign domain', () => {
    const foreign = (name: string) => `<domain type='qemu'><name>${name}</name><memory unit='MiB'>64</memory>
    <os><type>hvm</type></os></domain>`;

    once('that has the name we need is reported and never touched', async () => {
      await open();
      const name = `vm1_TinyLinux_${site.image.imageId}-v0x`;
      const file = path.join(site.folder, 'foreign.xml');
      writeFileSync(file, foreign(name));
      await site.virsh('define', file);
      const requestId = await site.reserve({ computer: 'vm1' });
      await site.waitUntilReady(requestId);
      await site.taint('192.168.121.11');
      await site.frontEnd.end(requestId);
      await site.waitForRequest(requestId, null, 30);
      expect(await site.domains()).toEqual([name]);
    });

    it('whose DHCP entry has our guest’s address is named', async () => {
      await open();
      const entry = "<host mac='52:54:00:99:99:99' name='printer' ip='192.168.121.11'/>";
      await site.virsh('net-update', 'private', 'add', 'ip-dhcp-host', entry, '--live', '--config');
      try {
        const leaves = [expect.stringContaining('printer')] as unknown as string[];
        await expectFailure({ code: 'ADDRESS_TAKEN', says: /192\.168\.121\.11/, computer: 'failed', leaves });
      } finally {
        await site.virsh('net-update', 'private', 'delete', 'ip-dhcp-host', entry, '--live', '--config');
      }
    });
  });

  once('an address that is leased to another MAC is not waited for in vain', async () => {
    await open();
    const requestId = await site.reserve({ computer: 'vm1' });
    await site.waitUntilReady(requestId);
    await site.taint('192.168.121.11');
    await site.frontEnd.end(requestId);
    await site.waitForRequest(requestId, null, 30);
    await site.database('computer').where({ hostname: 'vm1' }).update({ eth0macaddress: '52:54:00:77:77:77' });
    await expectFailure({ code: 'ADDRESS_TAKEN', says: /leased to MAC 52:54:00:\S+ until/, computer: 'failed' });
  });

  describe('a row', () => {
    it('of a computer without a host says that it must be assigned', async () => {
      await open({ withoutDaemon: true });
      const requestId = await site.reserve({ computer: 'vm1' });
      await site.database('computer').where({ hostname: 'vm1' }).update({ vmhostid: null });
      await site.startDaemon();
      await eventually(async () => (await site.requestState(requestId)) === 'failed/new', 20);
      expect(await site.failure(requestId)).toContain('COMPUTER_NOT_ASSIGNED');
    });

    it.each(['image', 'checkpoint'])(
      'in state %s, with an image that users have already, is put aside with a clear error',
      async (state) => {
        await open();
        const requestId = await site.reserve({ computer: 'vm1' });
        await site.waitUntilReady(requestId);
        const { id } = await site.database('state').where({ name: state }).first<{ id: number }>();
        await site.database('request').where({ id: requestId }).update({ stateid: id });
        await eventually(async () => (await site.requestState(requestId)) === `maintenance/${state}`, 20);
        const { timeline } = await site.frontEnd.show(requestId);
        expect(timeline).toContainEqual(expect.objectContaining({ kind: 'failed', errorCode: 'REQUEST_INVALID' }));
        expect(await site.computerState('vm1')).toBe('maintenance');
        expect(await site.inGuest('192.168.121.11', 'echo runs')).toBe('runs\n');
      },
    );

    it.each([
      ['the image’s name for people', 'image', 'prettyname', `'; $(touch /tmp/hacked) <x/> & "quoted" \u00e9`],
      ['the user’s login', 'user', 'unityid', '$(reboot)'],
      ['the user’s login, as an option', 'user', 'unityid', '-rf'],
      ['the image’s file name', 'imagerevision', 'imagename', '../../etc/passwd'],
      ['the image’s file name, as an option', 'imagerevision', 'imagename', '-rf'],
      ['the computer’s name', 'computer', 'hostname', 'vm1;reboot'],
      ['the profile’s datastore', 'vmprofile', 'datastorepath', '/var/lib;touch /tmp/hacked'],
      ['the profile’s network', 'vmprofile', 'virtualswitch0', "private'/><script/>"],
    ])('with a hostile string as %s does no harm', async (_what, table, column, value) => {
      await open({ withoutDaemon: true });
      const requestId = await site.reserve({ computer: 'vm1' });
      const changed = await site
        .database(table)
        .modify(
          (query) =>
            void (table === 'user'
              ? query.where({ unityid: 'student' })
              : table === 'computer'
                ? query.where({ hostname: 'vm1' })
                : table === 'vmprofile'
                  ? query.where({ profilename: 'host1' })
                  : query.where({ [table === 'image' ? 'id' : 'imageid']: site.image.imageId })),
        )
        .update({ [column]: value });
      expect(changed).toBeGreaterThan(0);
      await site.startDaemon();
      await eventually(
        async () => /^(failed\/new|pending\/reserved)$/.test((await site.requestState(requestId)) ?? ''),
        60,
      );
      expect(existsSync('/tmp/hacked')).toBe(false);
      if ((await site.requestState(requestId)) === 'failed/new') {
        expect(await site.failure(requestId)).toMatch(/\([A-Z_]+\)/);
        expect(await site.failure(requestId)).not.toContain('INTERNAL');
        expect(await site.leftovers()).toEqual([]);
      }
    });
  });
});
