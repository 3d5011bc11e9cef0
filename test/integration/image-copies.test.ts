/** Copies of base images to a real host, over real ssh: cut in the middle, asked for by ten at once, and only ever made once. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  type FSWatcher,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { STATE_IDS } from '../../lib/model/states';
import { auditImages } from '../support/image-audit';
import { readLab } from '../support/lab';
import { eventually } from '../support/eventually';
import { Site, type SiteOptions } from '../support/site';
import { TcpProxy } from '../support/tcp-proxy';
import { bootSector } from '../support/tiny-guest';

const MIB = 1 << 20;
const GUEST = '192.168.121.11';
const PROGRAM = path.join(__dirname, '../../dist/lib/main.js');
const sumOf = (file: string) => execFileSync('sha256sum', [file], { encoding: 'utf8' }).slice(0, 64);

let site: Site;
let watcher: FSWatcher | null = null;
let proxy: TcpProxy | null = null;
let letCopiesGo: (() => void) | null = null;
afterEach(async () => {
  letCopiesGo?.();
  watcher?.close();
  await proxy?.close();
  [letCopiesGo, watcher, proxy] = [null, null, null];
  await site?.close();
});

/** A site whose image is in the repository and not on its host. */
async function open(options: SiteOptions, imageFile: string): Promise<void> {
  site = await Site.open({ ...options, imageFile, withoutDaemon: true });
  mkdirSync(path.dirname(inRepository()), { recursive: true });
  execFileSync('mv', [site.masterFile, inRepository()]);
  await site.database('vmprofile').whereNotNull('datastorepath').update({ repositorypath: repository() });
}

const repository = () => path.join(site.folder, 'repository');
const inRepository = () => path.join(repository(), site.image.fileName, `${site.image.fileName}.qcow2`);
const files = () => readdirSync(site.datastore).filter((name) => !name.endsWith('.lock'));
const parts = () => files().filter((name) => name.endsWith('.part'));

/** Names of all unfinished copies that are made from now on, told by the kernel. */
function watchParts(): ReadonlySet<string> {
  const made = new Set<string>();
  watcher = watch(site.datastore, (_event, name) => void (name?.endsWith('.part') && made.add(name)));
  return made;
}

/**
 * From now on every copy into the datastore stops itself in the middle, until it gets SIGCONT: in the lab, which has mounts of its
 * own, another program lies over `cp`.
 */
function stopCopies(): void {
  const real = path.join(site.folder, 'cp');
  copyFileSync('/usr/bin/cp', real);
  const text = `#!/bin/sh
for last; do :; done
case $last in ${site.datastore}/*.part) head -c 4194304 "$1" >"$last"; kill -STOP $$ ;; esac
exec ${real} "$@"
`;
  writeFileSync(`${real}.stops`, text, { mode: 0o755 });
  execFileSync('mount', ['--bind', `${real}.stops`, '/usr/bin/cp']);
  letCopiesGo = () => void execFileSync('umount', ['-l', '/usr/bin/cp']);
}

/** The process that stands in the middle of its copy. */
async function stoppedCopy(): Promise<number> {
  let found: number | undefined;
  await eventually(
    () => Promise.resolve((found = readdirSync('/proc').map(Number).find(isStoppedCopy)) !== undefined),
    90,
  );
  return found!;
}

function isStoppedCopy(pid: number): boolean {
  try {
    const isCopy = readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`\0${site.datastore}`);
    return isCopy && /^State:\tT/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

function parentOf(pid: number): number {
  return Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
}

const show = (requestId: number) =>
  execFileSync(
    process.execPath,
    [PROGRAM, 'show', String(requestId), '--config', path.join(site.folder, 'provisiond.yaml')],
    {
      encoding: 'utf8',
    },
  );

describe('a base image on its way to a host', () => {
  it('counts as an image only when it is whole, whoever is killed with -9 in the middle: it is copied again, or taken over, and the reservation is ready', async () => {
    await open({ settings: { leaseSeconds: 6 } }, readLab().imageFile);
    stopCopies();
    const made = watchParts();
    await site.startDaemon();
    const requestId = await site.reserve({ computer: 'vm1' });

    // The daemon dies, and the copy with it, as when the host's power fails.
    const first = await stoppedCopy();
    await site.killDaemon();
    for (const pid of [parentOf(first), first]) process.kill(pid, 'SIGKILL');
    expect(files()).toEqual([expect.stringMatching(/\.part$/)]);
    expect(await site.database('provisiond_base').select()).toEqual([]);
    expect(await site.requestState(requestId)).toBe('pending/new');

    // The daemon dies, and over there the copy goes on: the next one waits for it.
    await site.startDaemon();
    const second = await stoppedCopy();
    await site.killDaemon();
    const { ino } = statSync(path.join(site.datastore, parts()[0]!));
    await site.startDaemon();
    // Its percents are those of the copy that it did not begin.
    await eventually(() => Promise.resolve(/copying image .*: [1-9]\d? %/.test(show(requestId))), 60);
    const told = await site
      .database('computerloadlog as l')
      .join('reservation as r', 'r.id', 'l.reservationid')
      .where({ 'r.requestid': requestId })
      .pluck<string[]>('additionalinfo');
    expect(told.some((text) => /copying image .*: [1-9]\d? %/.test(text))).toBe(true);
    expect(files()).toEqual(parts());
    expect(await site.computerState('vm1')).toBe('reloading');
    process.kill(second, 'SIGCONT');
    letCopiesGo!();
    letCopiesGo = null;

    await site.waitUntilReady(requestId, 150);
    expect(statSync(site.masterFile).ino).toBe(ino);
    expect(sumOf(site.masterFile)).toBe(sumOf(inRepository()));
    expect([...made]).toHaveLength(1); // of one load, though three daemons worked it
    expect(files()).toEqual([path.basename(site.masterFile)]);
    expect(await auditImages(site, repository())).toEqual([]);

    // A second reservation copies nothing at all.
    watcher?.close();
    const again = watchParts();
    await site.taint(GUEST);
    const before = statSync(site.masterFile);
    const { requestId: next } = await site.frontEnd.addReservation({
      ...{ image: 'Tiny Linux', user: 'student', start: null, minutes: 60, computer: 'vm2' },
    });
    await eventually(async () => (await site.domains()).length === 2, 60);
    expect([...again]).toEqual([]);
    expect(statSync(site.masterFile)).toMatchObject({ ino: before.ino, mtimeMs: before.mtimeMs });
    for (const id of [requestId, next]) await site.frontEnd.end(id);
    for (const id of [requestId, next]) await site.waitForRequest(id, null, 60);
    expect(await auditImages(site, repository())).toEqual([]);
  }, 400_000);

  it('is fetched once from another management node for ten reservations, also when the connection is cut in the middle, and copied once', async () => {
    const imageFile = path.join(readLab().folder, 'far-away.qcow2');
    makeTiny(imageFile, 96);
    const settings = { maxLoads: 10, maxLoadsPerHost: 10, guestBootTimeoutMs: 300_000 };
    await open({ settings, computers: Array.from({ length: 10 }, () => ({})) }, imageFile);
    rmSync(imageFile);
    const far = path.join(site.folder, 'other', 'install', path.basename(inRepository()));
    mkdirSync(path.dirname(far), { recursive: true });
    execFileSync('mv', [inRepository(), far]);
    rmSync(path.dirname(inRepository()), { recursive: true });
    const { size } = statSync(far);
    proxy = await TcpProxy.to(22);
    proxy.cutAt(size / 2);
    await joinLibrary(path.dirname(far), proxy.port);
    const made = watchParts();
    await site.startDaemon();
    const requests = await Promise.all(
      Array.from({ length: 10 }, (_, index) => site.reserve({ computer: `vm${index + 1}` })),
    );

    await eventually(async () => (await site.domains()).length === 10, 150);
    expect([...made]).toHaveLength(1);
    expect(sumOf(inRepository())).toBe(sumOf(far));
    expect(sumOf(site.masterFile)).toBe(sumOf(far));
    // What is resumed is not sent again; the rest is what ssh and the look of ten say.
    expect(proxy.received).toBeGreaterThanOrEqual(size);
    expect(proxy.received).toBeLessThan(size * 1.1);
    const told = await Promise.all(requests.map((id) => site.loadStates(id)));
    expect(told.flat()).toContain('copyfrompartnerMN');
    expect(await auditImages(site, repository())).toEqual([]);

    for (const id of requests) await site.frontEnd.end(id);
    for (const id of requests) await site.waitForRequest(id, null, 90);
    expect(await site.leftovers()).toEqual([]);
    expect(await auditImages(site, repository())).toEqual([]);

    // And the audit would have found something.
    const stray = path.join(site.datastore, `${site.image.fileName}.old.qcow2`);
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', '/nowhere.qcow2', '-F', 'qcow2', '-u', stray, '1M']);
    writeFileSync(path.join(site.vms, 'left.qcow2.part'), '');
    execFileSync('chmod', ['644', site.masterFile]);
    expect(await auditImages(site, repository())).toEqual(
      expect.arrayContaining([
        `unknown file ${stray}`,
        `${stray} stands on /nowhere.qcow2, which is not there`,
        `unknown file ${path.join(site.vms, 'left.qcow2.part')}`,
        `${site.masterFile} can be written to`,
      ]),
    );
  }, 400_000);
});

/** A guest of 512 bytes, and so much that no compression makes smaller. */
function makeTiny(to: string, mib: number): void {
  const raw = `${to}.raw`;
  writeFileSync(raw, Buffer.concat([bootSector('deaf'), Buffer.alloc(MIB - 512), randomBytes(mib * MIB)]));
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, to]);
  rmSync(raw);
  expect(existsSync(to)).toBe(true);
}

/** Another management node whose images ours may have (`imagelibenable`). */
async function joinLibrary(installpath: string, sshport: number): Promise<void> {
  const { database, frontEnd, managementNodeId, lab } = site;
  const other = await frontEnd.ensureManagementNode('other.test', '127.0.0.1', [lab.sshKeyFile]);
  // It gives its images, and is given no reservations.
  const stateid = STATE_IDS.maintenance;
  await database('managementnode').where({ id: other }).update({ sshport, installpath, stateid });
  const type = await database('resourcetype').where({ name: 'managementnode' }).first<{ id: number }>();
  const group = await database('resourcegroup').where({ resourcetypeid: type.id }).first<{ id: number }>();
  for (const subid of [managementNodeId, other]) {
    const resource = await database('resource').where({ resourcetypeid: type.id, subid }).first<{ id: number }>();
    const member = { resourceid: resource.id, resourcegroupid: group.id };
    await database('resourcegroupmembers').where(member).delete();
    await database('resourcegroupmembers').insert(member);
  }
  const library = { imagelibenable: 1, imagelibgroupid: group.id, imagelibuser: 'root', imagelibkey: lab.sshKeyFile };
  await database('managementnode').where({ id: managementNodeId }).update(library);
}
