/** What the daemon does while its database is killed, cut off, read-only or gone: it waits, loses nothing, and goes on. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import knex, { type Knex } from 'knex';
import { audit } from '../support/auditor';
import { round, writeTable } from '../support/fault-table';
import { eventually, Site } from '../support/site';
import { MariadbServer } from '../support/store';

/** P6: back to work so soon after the database is. */
const BACK_WITHIN_SECONDS = 5;

describe('a load goes on through the faults of its database', () => {
  let server: MariadbServer;
  let admin: Knex;
  let site: Site;

  beforeAll(async () => {
    server = MariadbServer.start();
    admin = knex({ client: 'mysql2', connection: server.url, pool: { min: 0 } });
    // Without the privilege to write while the server is read-only, as a site's account is.
    const grants =
      "create user plain@'127.0.0.1' identified by 'plain'; grant all on `site\\_%`.* to plain@'127.0.0.1'; grant select on provisiond.* to plain@'127.0.0.1'";
    execFileSync('mariadb', ['--no-defaults', `--socket=${server.folder}/socket`, '--user=root', '-e', grants]);
    const mysqlUrl = server.url.replace('provisiond:provisiond@', 'plain:plain@');
    site = await Site.open({ dialect: 'mysql', mysqlUrl });
  }, 90_000);
  afterEach(async () => {
    await site?.killDaemon();
    await site?.clear();
    await site?.startDaemon();
  }, 60_000);
  afterAll(async () => {
    await site?.close();
    await admin?.destroy();
    server?.stop();
    writeTable();
  }, 60_000);

  /** A load in whose middle the fault comes and goes; then a second reservation, to see that new work is taken up. */
  async function through(name: string, fault: () => Promise<void>): Promise<void> {
    await round(name, 'P6', async () => {
      const { pid } = site.daemon!;
      const first = await site.reserve({ computer: 'vm1' });
      await eventually(async () => (await site.requestState(first)) === 'pending/new', 20);
      await pause(400);
      await fault();
      const backAt = Date.now();
      const second = await patiently(() => site.reserve({ computer: 'vm2' }));
      await eventually(async () => (await site.requestState(second)) === 'pending/new', BACK_WITHIN_SECONDS);
      expect(Date.now() - backAt).toBeLessThan((BACK_WITHIN_SECONDS + 3) * 1000);
      for (const requestId of [first, second]) {
        await eventually(async () => (await site.loadStates(requestId)).includes('startvm'), 60);
      }
      expect(site.daemon).toMatchObject({ pid, exitCode: null, signalCode: null });
      for (const requestId of [first, second]) await site.frontEnd.end(requestId);
      for (const requestId of [first, second]) await site.waitForRequest(requestId, null, 40);
      expect(await audit({ ...site.config, vms: site.vms, datastore: site.datastore })).toEqual([]);
    });
  }

  it('killed with kill -9, whatever was under way, and started again', async () => {
    await through('MariaDB killed with kill -9 and restarted, three times', async () => {
      for (let kill = 0; kill < 3; kill++) {
        server.kill();
        server.restart();
        await pause(300 + Math.random() * 500);
      }
    });
  }, 150_000);

  it('connections that are cut again and again', async () => {
    await through('all connections of the daemon cut, ten times', async () => {
      for (let cut = 0; cut < 10; cut++) {
        const [rows] = (await admin.raw("select id from information_schema.processlist where user = 'plain'")) as [
          { id: number }[],
        ];
        for (const { id } of rows) await admin.raw(`kill ${id}`).catch(() => {});
        await pause(250);
      }
    });
  }, 150_000);

  it('read-only for a while', async () => {
    await through('MariaDB read-only for 4 s', async () => {
      await admin.raw('set global read_only = 1');
      await pause(4000);
      await admin.raw('set global read_only = 0');
    });
  }, 150_000);

  it('gone for 20 s', async () => {
    await through('MariaDB gone for 20 s', async () => {
      server.kill();
      await pause(20_000);
      server.restart();
    });
  }, 180_000);
});

/** The test's own connections were cut as well. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 20) throw error;
      await pause(100);
    }
  }
}
