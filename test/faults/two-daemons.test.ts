/**
 * Two daemons of one management node on one database: SQLite, MariaDB, and a Galera cluster of two servers with a daemon at
 * each. One works, the other waits; whoever dies is replaced; nothing is worked twice and nothing is lost.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type ChildProcess, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openDatabase } from '../../lib/store/database';
import { openStore } from '../../lib/store/open-store';
import { NO_FAKE_GUESTS } from '../support/fake-guest';
import { inLongForm, LONG, round, writeTable } from '../support/fault-table';
import { FaultSite } from '../support/fault-site';
import { eventually } from '../support/eventually';
import { MariadbServer, openTestStore } from '../support/store';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const LEASE_SECONDS = 4;
const LIVES = LONG ? 6 : 1;

afterAll(writeTable);

/** Reservations come and go on both computers while the one that works is killed again and again. */
async function takeTurns(fault: FaultSite, databases: readonly string[]): Promise<void> {
  const { site } = fault;
  const daemons = databases.map((database) => fault.startDaemon('', { database, leaseSeconds: LEASE_SECONDS }));
  const active = async () => {
    const sql = 'select holder, token from provisiond_lease';
    const { holder, token } = (await site.database.one<{ holder: string; token: number }>(sql))!;
    return { index: daemons.findIndex(({ pid }) => holder.split(':')[1] === String(pid)), token };
  };
  try {
    for (let life = 0; life < LIVES; life++) {
      const requests = [await site.reserve({ computer: 'vm1' }), await site.reserve({ computer: 'vm2' })];
      await eventually(async () => (await site.requestState(requests[0]!)) !== 'new/new', 30);
      await pause(Math.random() * 1500);
      const dead = (await active()).index;
      daemons[dead]!.kill('SIGKILL');
      await once(daemons[dead]!, 'exit');
      for (const requestId of requests) await fault.waitForRequest(requestId, ['pending/reserved'], 60);
      await eventually(async () => (await active()).index === 1 - dead, LEASE_SECONDS + 15);
      // A machine that was there already was not started once more.
      for (const { boots, state } of site.host.domains())
        expect({ boots, state }).toEqual({ boots: 1, state: 'running' });
      expect(site.host.domains()).toHaveLength(2);
      daemons[dead] = fault.startDaemon('', { database: databases[dead]!, leaseSeconds: LEASE_SECONDS });
      for (const requestId of requests) await site.frontEnd.end(requestId);
      for (const requestId of requests) await fault.waitForRequest(requestId, [null], 60);
      await clearKept(fault);
    }
    expect(await fault.audit()).toEqual([]);
    expect(readFileSync(fault.logFile, 'utf8')).toContain('waiting as standby');
  } finally {
    for (const daemon of daemons) await end(daemon);
  }
}

/** A machine that nobody used is kept for the next; here each life begins with nothing. */
async function clearKept({ site }: FaultSite): Promise<void> {
  for (const { name } of site.host.domains()) {
    await site.host.run(['virsh', '-q', 'destroy', name], { expect: 'any' });
    await site.host.run(['virsh', '-q', 'undefine', name], { expect: 'any' });
  }
  await site.host.run(['sh', '-c', 'rm -f "$1"/* "$2"/*', 'sh', site.host.path('vms'), site.host.path('xml')]);
  await site.database.change('update computer set currentimageid = 1, imagerevisionid = 1 where currentimageid <> 1');
  for (const { mac, name, ip } of site.host.dhcpHosts('private', 'live')) {
    const entry = `<host mac='${mac}' name='${name}' ip='${ip}'/>`;
    await site.host.run([
      'virsh',
      '-q',
      'net-update',
      'private',
      'delete',
      'ip-dhcp-host',
      entry,
      '--live',
      '--config',
    ]);
  }
}

async function end(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  daemon.kill('SIGKILL');
  await once(daemon, 'exit');
}

wherever('two daemons of one management node', () => {
  let fault: FaultSite | undefined;
  let server: MariadbServer | undefined;
  afterEach(async () => {
    await fault?.close();
    server?.stop();
    [fault, server] = [undefined, undefined];
  });

  inLongForm('on SQLite: one works, the other takes over when it is killed, and nothing is done twice', async () => {
    await round('two daemons on SQLite, the active one killed', 'P1 P2', async () => {
      fault = await FaultSite.open();
      await takeTurns(fault, [fault.site.url, fault.site.url]);
    });
  });

  it('on MariaDB: one works, the other takes over when it is killed, and nothing is done twice', async () => {
    await round('two daemons on MariaDB, the active one killed', 'P1 P2', async () => {
      server = MariadbServer.start();
      const database = await server.createDatabase();
      fault = await FaultSite.open({ database });
      await takeTurns(fault, [database, database]);
    });
  });
});

// ----------------------------------------------------------------------------------------------------

const GALERA = path.join(__dirname, '../lab/galera');

/** The two servers, and how to end them; null where Galera is not installed, which is said loudly. */
function startGalera(): { folder: string; urls: string[] } | null {
  const folder = mkdtempSync(path.join(tmpdir(), 'galera-'));
  const { status, stdout, stderr } = spawnSync(GALERA, ['start', folder], { encoding: 'utf8' });
  if (status === 0) return { folder, urls: stdout.trim().split('\n') };
  spawnSync(GALERA, ['stop', folder]);
  rmSync(folder, { recursive: true, force: true });
  if (status !== 77) throw new Error(`the cluster did not come up: ${stderr}`);
  process.stderr.write(`NOT RUN: two daemons on Galera: ${stderr}`);
  return null;
}

if (LONG)
  wherever('two daemons at the two servers of a Galera cluster', () => {
    let cluster: ReturnType<typeof startGalera>;
    beforeAll(() => {
      cluster = startGalera();
    });
    afterAll(() => {
      if (!cluster) return;
      spawnSync(GALERA, ['stop', cluster.folder]);
      rmSync(cluster.folder, { recursive: true, force: true });
    });

    const urlsOf = async (name: string) => {
      const admin = openDatabase(cluster!.urls[0]!);
      await admin.change(`create database ${name} character set utf8mb4`);
      await admin.close();
      return cluster!.urls.map((url) => url.replace(/[^/]*$/, name));
    };

    it('a lease and a request that both ask for at the same moment go to one of them', async () => {
      if (!cluster) return;
      await round('Galera: 60 leases and 30 requests claimed at both servers at once', 'P1', async () => {
        const [here, there] = await urlsOf('race');
        const site = await openTestStore('mysql', { createDatabase: async () => here } as unknown as MariadbServer);
        const other = openStore({ database: there! });
        try {
          await eventually(async () => (await other.store.schemaState()) === 'current');
          let lease = site.lease;
          for (let turn = 0; turn < 60; turn++) {
            await site.store.releaseLease(lease);
            await eventually(async () => (await other.store.leaseHolder(site.managementNodeId)) === null);
            const taken = await Promise.all([
              site.store.acquireLease(site.managementNodeId, 'here', 60),
              other.store.acquireLease(site.managementNodeId, 'there', 60),
            ]);
            const winners = taken.filter((won) => won !== null);
            expect(winners).toHaveLength(1);
            expect(winners[0]!.token).toBeGreaterThan(lease.token);
            lease = winners[0]!;
          }
          for (let turn = 0; turn < 30; turn++) {
            const { requestId } = await site.newReservation();
            const due = { requestId, state: 'new', lastState: 'new' } as const;
            await eventually(async () => {
              const found = await other.store.poll(site.managementNodeId, []);
              return found.due.some((request) => request.requestId === requestId);
            });
            const claims = await Promise.all([site.store.claim(lease, due), other.store.claim(lease, due)]);
            expect(claims.filter((claim) => claim !== null)).toHaveLength(1);
            await site.db.change('delete from request where id = ?', [requestId]);
          }
        } finally {
          await other.store.close();
          await site.close();
        }
      });
    });

    it('one works, the other takes over when it is killed; a server without quorum is waited for', async () => {
      if (!cluster) return;
      let fault: FaultSite | undefined;
      await round('Galera: a daemon at each server, the active one killed', 'P1 P2', async () => {
        const urls = await urlsOf(`site_${Date.now()}`);
        fault = await FaultSite.open({ database: urls[0]! });
        await takeTurns(fault, urls);
      });
      await round('Galera: one server killed, the other without quorum', 'P6', async () => {
        const { site } = fault!;
        fault!.startDaemon();
        const requestId = await site.reserve({ computer: 'vm1' });
        await fault!.waitForRequest(requestId, ['pending/new']);
        spawnSync(GALERA, ['kill', cluster!.folder, 'two']);
        await pause(8000);
        expect(fault!.daemon).toMatchObject({ exitCode: null, signalCode: null });
        const socket = path.join(cluster!.folder, 'one/socket');
        const sql = "set global wsrep_provider_options = 'pc.bootstrap=yes'"; // an admin says that this one goes on
        spawnSync('mariadb', ['--no-defaults', `--socket=${socket}`, '--user=root', '-e', sql]);
        // It answers again a moment after it was told to go on.
        const answers = () =>
          site.requestState(requestId).then(
            () => true,
            () => false,
          );
        await eventually(answers, 30);
        await fault!.waitForRequest(requestId, ['pending/reserved'], 60);
        await site.frontEnd.end(requestId);
        await fault!.waitForRequest(requestId, [null], 60);
        await fault!.killDaemon();
        expect(await fault!.audit()).toEqual([]);
      }).finally(() => fault?.close());
    });
  });
