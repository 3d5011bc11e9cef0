/** Captures of real guests: what is in the image, what is not, and what a kill -9 in the middle leaves. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { auditImages } from '../support/image-audit';
import { readLab } from '../support/lab';
import { orderCaptureAt } from '../support/capture-order';
import { eventually } from '../support/eventually';
import { Site, type SiteOptions } from '../support/site';
import { USER } from '../support/site-rows';

const GUEST = ['192.168.121.11', '192.168.121.12'] as const;
/** Where a user and his machine leave what is nobody else's business: keys, what was typed, logs, names, identity. */
const TRACES = [
  ...['/root/.ssh/id_rsa', '/root/.ssh/known_hosts', '/root/.ash_history', '/var/log/mine.log', '/var/log/mine.log.1'],
  ...['/var/log/journal/mine.journal', '/etc/hosts', '/etc/machine-id', '/etc/udev/rules.d/70-persistent-net.rules'],
];
const SECRET = 'of-the-user';
const sha256 = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
const chainOf = (file: string) =>
  JSON.parse(
    execFileSync('qemu-img', ['info', '-U', '--backing-chain', '--output=json', '-f', 'qcow2', file]).toString(),
  ) as Record<string, unknown>[];

describe('a machine that becomes an image', () => {
  let site: Site;
  afterEach(() => site?.close());

  const open = async (options: SiteOptions = {}) => {
    site = await Site.open({ ...options, settings: { guestShutdownTimeoutMs: 60_000, ...options.settings } });
  };

  /** A user's machine with work of his on it: in his home, which is his, and elsewhere, which becomes part of the image. */
  async function workOn(computer: string, address: string): Promise<number> {
    const requestId = await site.reserve({ computer, minutes: 1500 });
    await site.waitUntilReady(requestId, 120);
    await site.frontEnd.connect(requestId, '192.168.122.1');
    await eventually(async () => (await site.requestState(requestId))?.startsWith('inuse/') ?? false, 60);
    await site.inGuest(address, `echo "user's work" > /root/work; echo private > /home/${USER}/diary; sync`);
    return requestId;
  }

  const images = () => readdirSync(site.datastore).filter((name) => !name.startsWith('.'));
  const master = () => path.basename(site.masterFile);
  const order = (requestId: number, state: 'image' | 'checkpoint') =>
    orderCaptureAt(site.config.database, requestId, state);
  const imageRow = (id: number) =>
    site.database('image').where({ id }).first<{ name: string; deleted: number; size: number; imagetypeid: number }>();

  it('is there for the next user, also when the daemon is killed during the copy, and the base stays as it was', async () => {
    const imageFile = path.join(readLab().folder, 'large.qcow2');
    makeLarge(readLab().imageFile, imageFile);
    await open({ dialect: 'mysql', imageFile });
    rmSync(imageFile);
    const repository = path.join(site.folder, 'repository');
    mkdirSync(repository);
    await site.database('vmprofile').whereNotNull('datastorepath').update({ repositorypath: repository });
    const base = sha256(site.masterFile);
    const requestId = await workOn('vm1', GUEST[0]);
    await site.inGuest(
      GUEST[0],
      `for file in ${TRACES.join(' ')}; do mkdir -p \${file%/*}; echo 127.0.1.1 ${SECRET} >> $file; done; sync`,
    );
    const { imageId } = await order(requestId, 'image');
    const name = `linux-MyImage-${imageId}-v0`;

    await eventually(() => Promise.resolve(images().some((file) => file.startsWith(name))), 150);
    await site.killDaemon();
    expect(images()).not.toContain(`${name}.qcow2`);
    expect(await imageRow(imageId)).toMatchObject({ deleted: 1, size: 0 });
    // Nobody hears the copy any more: it ends, and takes its part with it.
    await eventually(() => Promise.resolve(images().length === 1), 30);
    expect(images()).toEqual([master()]);
    await site.startDaemon();
    await site.waitForRequest(requestId, null, 240);

    expect(await imageRow(imageId)).toMatchObject({ name, deleted: 0, imagetypeid: 7 });
    expect((await imageRow(imageId)).size).toBeGreaterThan(10);
    expect(images().sort()).toEqual([`${name}.qcow2`, `${name}.xml`, master()].sort());
    const [file, ...backing] = chainOf(path.join(site.datastore, `${name}.qcow2`));
    expect(backing).toEqual([]);
    expect(file).not.toHaveProperty('snapshots');
    expect(statSync(path.join(site.datastore, `${name}.qcow2`)).mode & 0o777).toBe(0o444);
    const [copy] = chainOf(path.join(repository, name, `${name}.qcow2`));
    expect(copy).toMatchObject({ 'format-specific': { data: { 'compression-type': 'zstd' } } });
    execFileSync('qemu-img', [
      ...['compare', '-f', 'qcow2', '-F', 'qcow2', path.join(site.datastore, `${name}.qcow2`)],
      path.join(repository, name, `${name}.qcow2`),
    ]);
    const log = await site.database('log').where({ requestid: requestId }).first<{ ending: string }>();
    expect(log.ending).toBe('EOR');
    const story = (
      await site.database('provisiond_event').where({ requestid: requestId }).select<{ text: string }[]>('text')
    ).map(({ text }) => text);
    expect(story).toContainEqual('copying the disk: 100 %');

    // The computer is loaded with what was captured, and another user gets it elsewhere too.
    await eventually(async () => (await site.computerState('vm1')) === 'available', 120);
    const computer = await site.database('computer').where({ hostname: 'vm1' }).first<{ currentimageid: number }>();
    expect(computer.currentimageid).toBe(imageId);
    await site.frontEnd.ensureUser('another');
    const { requestId: next } = await site.frontEnd.addReservation({
      ...{ image: 'My Image', user: 'another', start: null, minutes: 60, computer: 'vm2' },
    });
    await site.waitUntilReady(next, 120);
    expect(await site.inGuest(GUEST[1], 'cat /root/work; head -n 1 /root/currentimage.txt')).toBe(
      `user's work\n${name}\n`,
    );
    expect(await site.inGuest(GUEST[1], `ls /home; cut -d: -f1 /etc/passwd`)).not.toContain(USER);
    expect(await site.inGuest(GUEST[1], `cat ${TRACES.join(' ')} 2> /dev/null; true`)).not.toContain(SECRET);
    expect(sha256(site.masterFile)).toBe(base);
    expect(await auditImages(site, repository)).toEqual([]);
    await site.taint(GUEST[1]);
    await site.frontEnd.end(next);
    await site.waitForRequest(next, null, 60);
    expect(await auditImages(site, repository)).toEqual([]);
  }, 600_000);

  it('is a checkpoint, and its user goes on with his home, his password and his files', async () => {
    await open();
    const requestId = await workOn('vm1', GUEST[0]);
    const before = await site.frontEnd.show(requestId);
    const { imageId } = await order(requestId, 'checkpoint');
    await site.waitForRequest(requestId, 'inuse/checkpoint', 240);
    expect(await site.computerState('vm1')).toBe('inuse');
    expect(await imageRow(imageId)).toMatchObject({ deleted: 0 });
    expect((await site.frontEnd.show(requestId)).password).toBe(before.password);
    await eventually(async () => (await site.asUser(before, 'cat diary').catch(() => '')) === 'private\n', 30);
    expect(await site.inGuest(GUEST[0], 'cat /root/work')).toBe("user's work\n");
    const [overlay] = chainOf(
      path.join(
        site.vms,
        readdirSync(site.vms).find((name) => name.endsWith('.qcow2'))!,
      ),
    );
    expect(overlay).not.toHaveProperty('snapshots');
    await site.frontEnd.end(requestId);
    await site.waitForRequest(requestId, null, 60);
    expect(await site.leftovers()).toEqual([]);
    expect(await auditImages(site)).toEqual([]);
  }, 400_000);
});

/** With three quarters of a gigabyte behind its partitions, so that it takes a while to be copied. */
function makeLarge(from: string, to: string): void {
  copyFileSync(from, to);
  chmodSync(to, 0o600);
  execFileSync('qemu-img', ['resize', '-q', '-f', 'qcow2', to, '3G']);
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -q -P 170 1G 768M', to]);
}
