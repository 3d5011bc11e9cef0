/** `provisiond audit` and `provisiond rebuild` on a real host, as the operator runs them. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { audit } from '../support/auditor';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';

const PROGRAM = path.join(__dirname, '../../dist/lib/main.js');

interface Answer {
  readonly exitCode: number;
  readonly document: Report[];
}

interface Report {
  readonly host: string;
  readonly error: { code: string } | null;
  readonly findings: readonly { verdict: string; kind: string; what: string }[];
  readonly removed?: readonly { what: string }[];
}

describe('provisiond audit', () => {
  let site: Site;
  let domain: string;
  let requestId: number;
  const orphanFile = () => path.join(site.vms, 'vm2_99-v0.qcow2');
  const wildFile = () => path.join(site.vms, 'notes.txt');

  async function provisiond(...args: string[]): Promise<Answer> {
    const config = path.join(site.folder, 'provisiond.yaml');
    const argv = [PROGRAM, ...args, '--json', '--config', config];
    const { stdout, exitCode } = await promisify(execFile)(process.execPath, argv).then(
      (ended) => ({ ...ended, exitCode: 0 }),
      (error: { stdout: string; code: number }) => ({ stdout: error.stdout, exitCode: error.code }),
    );
    return { exitCode, document: JSON.parse(stdout) as Report[] };
  }

  const named = ({ document }: Answer, verdict: string) =>
    document
      .flatMap(({ findings }) => findings.filter((one) => one.verdict === verdict).map(({ what }) => what))
      .sort();

  beforeAll(async () => {
    site = await Site.open();
    requestId = await site.reserve({ computer: 'vm1' });
    await eventually(async () => (await site.loadStates(requestId)).includes('startvm'), 40);
    [domain] = (await site.domains()) as [string];
    await site.killDaemon();
    const wild =
      "<domain type='qemu'><name>vm1-of-somebody</name><memory>65536</memory><os><type>hvm</type></os></domain>";
    writeFileSync(path.join(site.folder, 'wild.xml'), wild);
    await site.virsh('define', path.join(site.folder, 'wild.xml'));
    writeFileSync(orphanFile(), 'left over');
    writeFileSync(wildFile(), 'of the admin');
  });
  afterAll(() => site?.close());

  it('calls what a reservation has owned, what nobody has orphaned, and what others made wild', async () => {
    const answer = await provisiond('audit');
    expect(named(answer, 'owned')).toEqual([domain]);
    expect(named(answer, 'orphaned')).toEqual([orphanFile()]);
    expect(named(answer, 'wild')).toEqual([wildFile(), 'vm1-of-somebody'].sort());
    expect(answer.exitCode).toBe(1);
  });

  it('lists from the metadata on the host what the database has lost', async () => {
    expect((await provisiond('rebuild')).document).toEqual([]);
    await site.database('request').where({ id: requestId }).delete();
    const { document } = await provisiond('rebuild');
    expect(document).toMatchObject([
      { host: 'host1', domain: { name: domain, identity: { requestId } }, lost: ['request'] },
    ]);
  });

  it('removes nothing that somebody begins to work between the looks', async () => {
    const fixing = provisiond('audit', '--fix', '--grace', '6');
    await new Promise((resolve) => setTimeout(resolve, 3000));
    writeFileSync(orphanFile(), 'another file of that name');
    await site.database('computer').where({ hostname: 'vm1' }).update({ stateid: 10 }); // an admin looks at it
    const { document } = await fixing;
    expect(document[0]!.removed).toEqual([]);
    expect(await site.domains()).toContain(domain);
    expect(existsSync(orphanFile())).toBe(true);
    await site.database('computer').where({ hostname: 'vm1' }).update({ stateid: 2, currentimageid: 1 });
  });

  it('removes orphans that two looks have found, and nothing else', async () => {
    const { document, exitCode } = await provisiond('audit', '--fix', '--grace', '2');
    expect(document[0]!.removed!.map(({ what }) => what).sort()).toEqual([domain, orphanFile()].sort());
    expect(exitCode).toBe(0);
    expect(await site.domains()).toEqual(['vm1-of-somebody']);
    expect(existsSync(wildFile())).toBe(true);
    const left = await audit(
      { ...site.config, vms: site.vms, datastore: site.datastore },
      { wild: ['vm1-of-somebody'] },
    );
    expect(left.filter((line) => !line.includes('notes.txt') && !line.includes('claim of request'))).toEqual([]);
  });

  it('reports a host that does not answer, and says nothing of what is on it', async () => {
    await site.database('provisiond_host').update({ port: 1 });
    const { document, exitCode } = await provisiond('audit');
    expect(document).toMatchObject([{ findings: [], error: { code: 'HOST_UNREACHABLE' } }]);
    expect(exitCode).toBe(1);
  });
});
