/** Captures of machines whose disk stands on what is gone or is not ours: refused before the guest is so much as shut down. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { FakeClusterSite } from '../../support/fake-cluster-site';
import { orderCaptureAt } from '../../support/capture-order';

const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

let site: FakeClusterSite;
afterEach(() => site?.close());

const machine = () => site.domainOf('vm1')!;
const base = () => site.host.path('datastore', `${site.t.image.fileName}.qcow2`);
const rebase = (...how: string[]) =>
  execFileSync('qemu-img', ['rebase', '-u', '-f', 'qcow2', ...how, machine().disks[0]!]);

function standOnForeign(): void {
  const foreign = site.host.path('root', 'secret');
  writeFileSync(foreign, Buffer.alloc(1 << 20, 's'));
  rebase('-b', foreign, '-F', 'raw');
}

wherever('a capture of a disk', () => {
  it.each([
    [
      'whose base is missing',
      () => renameSync(base(), `${base()}.txt`),
      ['IMAGE_NOT_FOUND', 'which is not there', 'Bring the file back to its place'],
    ],
    [
      'that stands on a file outside of the datastore',
      standOnForeign,
      ['IMAGE_UNTRUSTED', 'neither in the datastore nor', 'qemu-img rebase -u -b NEW'],
    ],
    [
      'that stands on what is no file at all',
      () => rebase('-b', 'json:{"driver":"file","filename":"/etc/passwd"}', '-F', 'raw'),
      ['IMAGE_UNTRUSTED', '/etc/passwd', 'Move that file into the datastore'],
    ],
  ])('%s leaves the machine running, as it is, and says what to do', async (_what, spoil, words) => {
    site = await FakeClusterSite.open({ settings: { guestShutdownTimeoutMs: 10_000, retryAttempts: 1 } });
    await site.startNode();
    const { requestId } = await site.inuse({ minutes: 120, user: 'student' });
    const { boots } = machine();
    spoil();
    const { imageId } = await orderCaptureAt(site.t.url, requestId, 'image');
    await site.waitFor(requestId, 'maintenance/image', 40);
    const { timeline } = await site.t.frontEnd.show(requestId);
    const failure = timeline.filter(({ loadState }) => loadState === 'failed').at(-1)?.text ?? '';
    for (const word of words) expect(failure).toContain(word);
    expect(machine()).toMatchObject({ state: 'running', boots });
    expect(site.host.files('datastore').filter((file) => /My|part/.test(file))).toEqual([]);
    expect(await site.database('image').where({ id: imageId }).first()).toMatchObject({ deleted: 1, size: 0 });
  });
});
