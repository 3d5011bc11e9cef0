/** What a new site gets wrong, found with the command that mends it; one thing of a host at a time: doctor-list.test.ts. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { App } from '../../../lib/cli/app';
import { examineHost, parseHostValidate } from '../../../lib/cli/doctor-host';
import { examineFrontEnd } from '../../../lib/cli/doctor-node';
import type { Finding } from '../../../lib/cli/findings';
import { describeOnBoth } from '../../support/store';
import { openStore } from '../../../lib/store/open-store';
import { FakeSite } from '../../support/fake-site';

describe('virt-host-validate', () => {
  it('is read with its verdicts and its advice', () => {
    const said = [
      '  QEMU: Checking for hardware virtualization                                 : \u001b[31mFAIL\u001b[0m (Only emulated CPUs are available)',
      '  QEMU: Checking if device /dev/vhost-net exists                             : WARN (Load the vhost_net module)',
      "  QEMU: Checking for cgroup 'cpu' controller support                         : PASS",
    ].join('\n');
    expect(parseHostValidate(said)).toEqual([
      expect.objectContaining({ check: 'hardware virtualization', verdict: 'FAIL' }),
      { driver: 'QEMU', check: 'device /dev/vhost-net exists', verdict: 'WARN', advice: 'Load the vhost_net module' },
      expect.objectContaining({ check: "cgroup 'cpu' controller support", verdict: 'PASS' }),
    ]);
  });
});

describe('the examination of a host', () => {
  let site: FakeSite;
  beforeEach(async () => {
    site = await FakeSite.open();
  });
  afterEach(() => site.close());

  async function examine(): Promise<Finding[]> {
    const [summary] = await site.frontEnd.listHosts();
    const app = { hosts: { get: () => site.host }, config: site.config } as unknown as App;
    return examineHost(app, summary!);
  }

  it('finds the network and the speed of the disk of a good one in order, and leaves nothing there', async () => {
    const findings = await examine();
    const ok = findings.filter(({ verdict }) => verdict === 'ok').map(({ check }) => check);
    expect(ok).toEqual(expect.arrayContaining(['DHCP on private', 'examined', `speed of ${site.host.path('vms')}`]));
    expect(findings.filter(({ verdict }) => verdict === 'problem')).toEqual([]);
    expect(site.host.files('vms')).toEqual([]); // what measured the speed is gone
  });
});

describe('the examination of the front end', () => {
  it('says whether it answers, and what to try', async () => {
    const server = createServer((_request, response) => response.writeHead(503).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    expect(await examineFrontEnd(url)).toMatchObject([{ verdict: 'problem', remedy: `curl -v "${url}"` }]);
    await new Promise((resolve) => server.close(resolve));
    const [gone] = await examineFrontEnd(url);
    expect(gone!.text).toMatch(/does not answer: .*ECONNREFUSED/);
  });
});

describeOnBoth('the examination of the database', (current) => {
  it('finds nothing to mend on a good one', async () => {
    const findings = await current().store.examine();
    expect(findings.filter(({ problem }) => problem)).toEqual([]);
    expect(findings.length).toBeGreaterThan(0);
  });

  it('says which rights an account lacks, and the statement that grants them', async () => {
    const t = current();
    if (t.db.dialect.name === 'sqlite') return; // has no accounts
    const name = (await t.db.one<{ name: string }>('select database() as name'))!.name;
    await t.db.change("create or replace user 'reader'@'127.0.0.1' identified by 'reader'");
    await t.db.change(`grant select on \`${name}\`.* to 'reader'@'127.0.0.1'`);
    const url = new URL(t.url);
    [url.username, url.password] = ['reader', 'reader'];
    const { store } = openStore({ database: url.href });
    try {
      const grants = (await store.examine()).find(({ check }) => check === 'grants');
      expect(grants).toMatchObject({ problem: true, text: expect.stringContaining('lacks INSERT, UPDATE, DELETE') });
      expect(grants!.mend).toContain(`ON \`${name}\`.* TO 'reader'@'127.0.0.1'`);
    } finally {
      await store.close();
      await t.db.change("drop user 'reader'@'127.0.0.1'");
    }
  });

  it('says what of the server is not fit for VCL’s rows, and the statement that mends it', async () => {
    const t = current();
    if (t.db.dialect.name === 'sqlite') return; // has no such settings
    const asked = async (check: string) => (await t.store.examine()).find((finding) => finding.check === check);
    const { mode } = (await t.db.one<{ mode: string }>('select @@global.sql_mode as mode'))!;
    try {
      await t.db.change("set global sql_mode = 'STRICT_TRANS_TABLES'");
      expect((await asked('sql_mode'))?.mend).toMatch(/^mysql -e "SET GLOBAL sql_mode = ''"/);
      await t.db.change('set global read_only = 1');
      expect(await asked('read_only')).toMatchObject({
        problem: true,
        mend: expect.stringMatching(/SET GLOBAL read_only = 0/),
      });
    } finally {
      await t.db.change('set global read_only = 0');
      await t.db.change('set global sql_mode = ?', [mode]);
    }
    expect(await asked('read_only')).toBeUndefined();
  });
});
