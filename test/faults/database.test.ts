/** What the daemon does while its database is killed, cut off, read-only or gone: it waits, loses nothing, and goes on. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import knex, { type Knex } from 'knex';
import { audit } from '../support/auditor';
import { inLongForm, round, writeTable } from '../support/fault-table';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';
import { startedUp } from '../support/started-up';
import { MariadbServer } from '../support/store';

/** P6: back to work so soon after the database is. */
const BACK_WITHIN_SECONDS = 5;

describe('a load goes on through the faults of its database', () => {
  let server: MariadbServer;
  let admin: Knex;
  /** Another client of the site's own database. */
  let other: Knex;
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
    const connection = new URL(server.url);
    connection.pathname = new URL(site.config.database).pathname;
    other = knex({ client: 'mysql2', connection: connection.toString(), pool: { min: 0 } });
  });
  afterEach(async () => {
    await site?.killDaemon();
    await site?.clear();
    await site?.startDaemon();
  });
  afterAll(async () => {
    await site?.close();
    await admin?.destroy();
    await other?.destroy();
    server?.stop();
    writeTable();
  });

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
        await startedUp(site, requestId);
      }
      expect(site.daemon).toMatchObject({ pid, exitCode: null, signalCode: null });
      for (const requestId of [first, second]) await site.endAsUsed(requestId);
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
  });

  inLongForm('connections that are cut again and again', async () => {
    await through('all connections of the daemon cut, ten times', async () => {
      for (let cut = 0; cut < 10; cut++) {
        const [rows] = (await admin.raw("select id from information_schema.processlist where user = 'plain'")) as [
          { id: number }[],
        ];
        for (const { id } of rows) await admin.raw(`kill ${id}`).catch(() => {});
        await pause(250);
      }
    });
  });

  inLongForm('read-only for a while', async () => {
    await through('MariaDB read-only for 4 s', async () => {
      await admin.raw('set global read_only = 1');
      await pause(4000);
      await admin.raw('set global read_only = 0');
    });
  });

  inLongForm('connections that are cut in the middle of a transaction', async () => {
    await through('MariaDB: connections of the daemon cut in the middle of a transaction, for 7 s', async () => {
      const inTransaction = `select t.trx_mysql_thread_id as id from information_schema.innodb_trx t
        join information_schema.processlist p on p.id = t.trx_mysql_thread_id where p.user = 'plain'`;
      let cut = 0;
      // A transaction of the daemon lasts a millisecond: locks held against it make some last longer. The load may wait for its
      // guest meanwhile and write nothing; the heart beats every 5 s.
      const holding = holdRows(7000, 300, ['managementnode']);
      // InnoDB looks at its transactions anew only when nobody has asked for a tenth of a second.
      for (const until = Date.now() + 7000; Date.now() < until; await pause(120)) {
        const [rows] = (await admin.raw(inTransaction)) as [{ id: number }[]];
        cut += rows.length;
        for (const { id } of rows) await admin.raw(`kill ${id}`).catch(() => {});
      }
      await holding;
      expect(cut).toBeGreaterThan(0);
    });
  });

  inLongForm('connections that are cut while they are idle', async () => {
    await through('MariaDB: idle connections of the daemon killed, for 4 s', async () => {
      const idle = "select id from information_schema.processlist where user = 'plain' and command = 'Sleep'";
      let cut = 0;
      for (const until = Date.now() + 4000; Date.now() < until; await pause(100)) {
        const [rows] = (await admin.raw(idle)) as [{ id: number }[]];
        cut += rows.length;
        for (const { id } of rows) await admin.raw(`kill ${id}`).catch(() => {});
      }
      expect(cut).toBeGreaterThan(0);
    });
  });

  inLongForm('locks that are held for longer than it waits for one', async () => {
    await through('MariaDB: rows of the daemon locked for 14 s (its wait is 10 s)', () => holdRows(14_000, 14_000));
  });

  inLongForm('deadlocks', async () => {
    await through('MariaDB: deadlocks forced until the server has counted three', async () => {
      const deadlocks = async () => {
        const [[row]] = (await admin.raw("show global status like 'Innodb_deadlocks'")) as [[{ Value: string }]];
        return Number(row.Value);
      };
      const before = await deadlocks();
      const deadline = Date.now() + 20_000;
      while ((await deadlocks()) < before + 3 && Date.now() < deadline) {
        await Promise.all([lockBothWays(['computer', 'request']), lockBothWays(['request', 'computer'])]);
      }
      expect(await deadlocks()).toBeGreaterThanOrEqual(before + 3);
    });
  });

  inLongForm('no connection left for it', async () => {
    await through('MariaDB: all connections taken for 5 s', async () => {
      const greedy = knex({ client: 'mysql2', connection: server.url, pool: { min: 0, max: 60 } });
      await admin.raw('set global max_connections = 20');
      const taken = Array.from({ length: 60 }, () => greedy.raw('select sleep(5)').catch(() => {}));
      await cutPlain();
      await Promise.all(taken);
      await admin.raw('set global max_connections = 200');
      await greedy.destroy();
    });
  });

  inLongForm('gone for 2 minutes', async () => {
    await through('MariaDB gone for 2 minutes', async () => {
      server.kill();
      await pause(120_000);
      server.restart();
    });
  });

  async function cutPlain(): Promise<void> {
    const own = "select id from information_schema.processlist where user = 'plain'";
    const [rows] = (await admin.raw(own)) as [{ id: number }[]];
    for (const { id } of rows) await admin.raw(`kill ${id}`).catch(() => {});
  }

  /** Locks the rows that the daemon writes, again and again for so long each time. */
  async function holdRows(milliseconds: number, eachMs: number, more: readonly string[] = []): Promise<void> {
    for (const until = Date.now() + milliseconds; Date.now() < until; await pause(50)) {
      await other.transaction(async (tx) => {
        for (const table of ['request', 'computer', 'provisiond_job', ...more])
          await tx.raw(`select * from ${table} for update`);
        await pause(eachMs);
      });
    }
  }

  /** One of two that lock the same rows in another order; who loses is the server's choice. */
  async function lockBothWays(tables: readonly string[]): Promise<void> {
    await other
      .transaction(async (tx) => {
        for (const table of tables) {
          await tx.raw(`select * from ${table} for update`);
          await pause(Math.random() * 60);
        }
      })
      .catch((error: { code?: string }) => {
        if (error.code !== 'ER_LOCK_DEADLOCK') throw error;
      });
  }
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
