import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LocalHost } from '../../lib/host/local-host';
import { type RetrievalParts, retrieveImage } from '../../lib/images/retrieval';
import { type ImagePartner, imageSearchPaths } from '../../lib/model/image-library';
import { describeOnBoth } from '../support/store';
import { type PrivateSshd, startSshd } from '../support/sshd';

const IMAGE = 'vmwarelinux-Tiny12-v2';

let sshd: PrivateSshd;
let folder: string;
let local: LocalHost;
beforeAll(async () => void (sshd = await startSshd()));
afterAll(() => sshd.stop());
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'retrieval-'));
  for (const name of ['near', 'far/install/vmware_images', 'bin'])
    mkdirSync(path.join(folder, name), { recursive: true });
  local = new LocalHost({ name: 'node1', env: { PATH: `${path.join(folder, 'bin')}:${process.env['PATH']}` } });
});
afterEach(async () => {
  await local.close();
  rmSync(folder, { recursive: true });
});

const at = (...names: string[]) => path.join(folder, ...names);
const near = (name: string) => at('near', IMAGE, name);
const sumOf = (file: string) => execFileSync('sha256sum', [file], { encoding: 'utf8' }).slice(0, 64);

function partner(changes: Partial<ImagePartner> = {}): ImagePartner {
  const { address, port, user, keyFile } = sshd;
  return {
    managementNodeId: 2,
    name: 'node2',
    address,
    port,
    user,
    keyFile,
    installPath: at('far/install'),
    ...changes,
  };
}

const retrieve = (changes: Partial<RetrievalParts> = {}) =>
  retrieveImage({
    local,
    imageName: IMAGE,
    repositoryPath: at('near'),
    partners: [partner()],
    knownHostsFile: at('known_hosts'),
    timeoutMs: 60_000,
    signal: new AbortController().signal,
    ...changes,
  });

/** A slow way to the other node: the stream is held up after so many bytes. */
function slowDown(afterBytes: number): void {
  const ssh = execFileSync('which', ['ssh'], { encoding: 'utf8' }).trim();
  const text = `#!/bin/bash\ncase "\${@: -1}" in tail*) ${ssh} "$@" | { head -c ${afterBytes}; sleep 1; cat; }; exit \${PIPESTATUS[0]} ;; esac\nexec ${ssh} "$@"\n`;
  writeFileSync(at('bin', 'ssh'), text, { mode: 0o755 });
}

describe('the places on a management node where an image may be', () => {
  it('are those of VCL, with wildcards', () => {
    expect(imageSearchPaths(IMAGE, '/install/', '/repository')).toEqual([
      `/install/${IMAGE}*`,
      `/install/vmware_images/${IMAGE}*`,
      `/repository/${IMAGE}*`,
    ]);
  });
});

describe('an image that another management node has', () => {
  it('is retrieved with its description, and its checksum is left beside it', async () => {
    mkdirSync(at('far/install', IMAGE));
    writeFileSync(at('far/install', IMAGE, `${IMAGE}.qcow2`), randomBytes(100_000));
    writeFileSync(at('far/install', IMAGE, `${IMAGE}.xml`), '<domain/>');
    writeFileSync(at('far/install', `${IMAGE}0.qcow2`), 'another revision');
    writeFileSync(at('far/install', `${IMAGE}.qcow2.x.part`), 'unfinished');
    expect(await retrieve()).toEqual({ partner: 'node2', files: [near(`${IMAGE}.qcow2`), near(`${IMAGE}.xml`)] });
    expect(sumOf(near(`${IMAGE}.qcow2`))).toBe(sumOf(at('far/install', IMAGE, `${IMAGE}.qcow2`)));
    expect(readFileSync(near(`${IMAGE}.qcow2.sha256`), 'utf8').slice(0, 64)).toBe(sumOf(near(`${IMAGE}.qcow2`)));
    expect(readdirSync(at('near', IMAGE)).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('is the largest of all copies', async () => {
    writeFileSync(at('far/install', `${IMAGE}.vmdk`), randomBytes(10));
    mkdirSync(at('other'));
    writeFileSync(at('other', `${IMAGE}.vmdk`), randomBytes(20));
    const partners = [partner(), partner({ managementNodeId: 3, name: 'node3', installPath: at('other') })];
    expect(await retrieve({ partners })).toMatchObject({ partner: 'node3' });
  });

  it('goes on where the connection was cut', async () => {
    const source = at('far/install/vmware_images', `${IMAGE}.qcow2`);
    writeFileSync(source, randomBytes(8 * 2 ** 20));
    slowDown(3 * 2 ** 20);
    const percents: number[] = [];
    const retrieving = retrieve({ onProgress: (percent) => percents.push(percent) });
    const part = () => readdirSync(at('near', IMAGE)).find((name) => name.endsWith('.part'));
    while (!existsSync(at('near', IMAGE)) || !part() || statSync(near(part()!)).size < 3 * 2 ** 20) await sleep(20);
    sshd.killSessions();
    await sleep(500);
    expect(existsSync(near(`${IMAGE}.qcow2`))).toBe(false);
    const came = statSync(near(part()!)).size;
    expect(came).toBeGreaterThanOrEqual(3 * 2 ** 20);
    const { ino } = statSync(near(part()!));
    await retrieving;
    expect(sumOf(near(`${IMAGE}.qcow2`))).toBe(sumOf(source));
    expect(statSync(near(`${IMAGE}.qcow2`)).ino).toBe(ino);
    expect(percents.length).toBeGreaterThan(0);
  });

  it('is taken up by the next daemon where a dead one left it', async () => {
    const source = at('far/install', `${IMAGE}.qcow2`);
    writeFileSync(source, randomBytes(2 ** 20));
    mkdirSync(at('near', IMAGE));
    const part = near(`${IMAGE}.qcow2.${sumOf(source).slice(0, 16)}.part`);
    writeFileSync(part, readFileSync(source).subarray(0, 600_000));
    writeFileSync(near(`${IMAGE}.qcow2.0123456789abcdef.part`), 'of what the other node had before');
    const { ino } = statSync(part);
    await retrieve();
    expect(statSync(near(`${IMAGE}.qcow2`)).ino).toBe(ino);
    expect(sumOf(near(`${IMAGE}.qcow2`))).toBe(sumOf(source));
  });

  it('is not used when what came is not what the other node has', async () => {
    const source = at('far/install', `${IMAGE}.qcow2`);
    writeFileSync(source, randomBytes(2 ** 20));
    mkdirSync(at('near', IMAGE));
    writeFileSync(near(`${IMAGE}.qcow2.${sumOf(source).slice(0, 16)}.part`), randomBytes(600_000));
    await expect(retrieve()).rejects.toMatchObject({
      code: 'IMAGE_COPY_FAILED',
      message: expect.stringMatching(/is not what/),
    });
    expect(readdirSync(at('near', IMAGE))).toEqual([]);
    await retrieve();
    expect(sumOf(near(`${IMAGE}.qcow2`))).toBe(sumOf(source));
  });

  it('is fetched once for everybody who asks', async () => {
    writeFileSync(at('far/install', `${IMAGE}.qcow2`), randomBytes(2 ** 20));
    const answers = await Promise.all(Array.from({ length: 5 }, () => retrieve()));
    expect(new Set(answers.map((answer) => answer!.files.join()))).toEqual(new Set([near(`${IMAGE}.qcow2`)]));
  });
});

describe('an image that no management node gives', () => {
  it('is nowhere when nobody has it', async () => {
    expect(await retrieve()).toBeNull();
    expect(await retrieve({ partners: [] })).toBeNull();
  });

  it('may be on a node that does not answer, and that is said', async () => {
    const partners = [partner({ name: 'node9', port: 1 })];
    await expect(retrieve({ partners })).rejects.toMatchObject({ code: 'IMAGE_COPY_FAILED', retryable: true });
  });

  it('is not looked for in places that a shell would make something else of', async () => {
    const marker = at('marker');
    const partners = [partner({ installPath: `${at('far')}/$(touch ${marker}) -delete` })];
    await expect(retrieve({ partners })).rejects.toMatchObject({ code: 'IMAGE_COPY_FAILED' });
    expect(existsSync(marker)).toBe(false);
  });

  it('cannot be fetched where the repository is not mounted', async () => {
    await expect(retrieve({ repositoryPath: at('nowhere') })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('is not taken from a node that shows another key than before', async () => {
    writeFileSync(at('far/install', `${IMAGE}.qcow2`), 'x');
    const stranger = await startSshd();
    try {
      const key = readFileSync(path.join(stranger.folder, 'host_key.pub'), 'utf8').split(' ').slice(0, 2).join(' ');
      writeFileSync(at('known_hosts'), `[${sshd.address}]:${sshd.port} ${key}\n`);
      await expect(retrieve()).rejects.toMatchObject({ code: 'IMAGE_COPY_FAILED' });
    } finally {
      await stranger.stop();
    }
  });
});

describeOnBoth('the image library', (current) => {
  it('is the other nodes of the group, where it is switched on', async () => {
    const { db, frontEnd, store, managementNodeId } = current();
    const other = await frontEnd.ensureManagementNode('other.test', '127.0.0.9', []);
    const group = (await db.one<{ id: number }>(
      `select g.id from resourcegroup g join resourcetype t on t.id = g.resourcetypeid where t.name = 'managementnode'`,
    ))!.id;
    for (const id of [managementNodeId, other]) {
      const resource = await db.one<{ id: number }>(
        `select r.id from resource r join resourcetype t on t.id = r.resourcetypeid where t.name = 'managementnode' and r.subid = ?`,
        [id],
      );
      const member = [resource!.id, group];
      await db.change('delete from resourcegroupmembers where resourceid = ? and resourcegroupid = ?', member);
      await db.change('insert into resourcegroupmembers (resourceid, resourcegroupid) values (?, ?)', member);
    }
    await db.change('update managementnode set imagelibgroupid = ? where id = ?', [group, managementNodeId]);
    expect(await store.imagePartners(managementNodeId)).toEqual([]);
    await db.change('update managementnode set imagelibenable = 1 where id = ?', [managementNodeId]);
    expect(await store.imagePartners(managementNodeId)).toEqual([
      {
        managementNodeId: other,
        name: 'other',
        address: '127.0.0.9',
        port: 22,
        user: 'vclstaff',
        keyFile: '/etc/vcl/imagelib.key',
        installPath: '/install',
      },
    ]);
  });
});
