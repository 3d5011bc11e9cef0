/**
 * Every text column of every table is what somebody typed into a web page. Whatever stands there, the real shells, the real
 * SQL and the real libvirt behind it run nothing of it, touch nothing of others, and the request ends.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import { FakeDaemon } from '../support/fake-daemon';
import { NO_FAKE_GUESTS } from '../support/fake-guest';
import { FakeSite, USER_ADDRESS } from '../support/fake-site';
import { LONG, round, writeTable } from '../support/fault-table';
import { audit } from '../support/auditor';
import { eventually } from '../support/eventually';
import { Site } from '../support/site';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

/** Made by whoever runs one of the strings below. Guests have a /tmp of their own, which is looked at as well. */
const CANARY = '/tmp/provisiond-canary';

/** The rows of a site that a reservation of its one image for computer vm1 is made of, and the variables. */
const ROWS: Readonly<Record<string, string>> = {
  computer: "hostname = 'vm1'",
  image: "prettyname = 'Tiny Linux'",
  imagerevision: "imageid in (select id from image where prettyname = 'Tiny Linux')",
  OS: "name = 'vmwarelinux'",
  module: "id in (select moduleid from OS where name = 'vmwarelinux')",
  user: "unityid = 'student'",
  affiliation: '1 = 1',
  vmprofile: '1 = 1',
  vmhost: '1 = 1',
  managementnode: '1 = 1',
  connectmethod: '1 = 1',
  variable: "name not like '%schema%'",
  reservation: '1 = 1',
  request: '1 = 1',
  log: '1 = 1',
};

interface Text {
  readonly table: string;
  readonly column: string;
  readonly limit: number;
}

type Rows = Pick<FakeSite['database'], 'rows'>;

async function textColumns(database: Rows): Promise<Text[]> {
  const found: Text[] = [];
  for (const table of Object.keys(ROWS)) {
    for (const { name, type } of await database.rows<{ name: string; type: string }>(
      `pragma table_info(\`${table}\`)`,
    )) {
      const limit = Number(/char\((\d+)\)/i.exec(type)?.[1] ?? (/text/i.test(type) ? 255 : 0));
      if (limit > 0 && !/^(start|end|date|.*time|lastc.*)$/i.test(name)) found.push({ table, column: name, limit });
    }
  }
  return found;
}

const ATTACKS = [
  `$(touch ${CANARY})`,
  `\`touch ${CANARY}\``,
  `'; touch ${CANARY}; '`,
  `"; touch ${CANARY}; "`,
  `x\ntouch ${CANARY}\n`,
  `|touch ${CANARY}`,
  `-x --config=${CANARY}`,
  `'); delete from computer; --`,
  `"/><disk type='file'><source file='/etc/shadow'/></disk><x y="`,
  ']]><!--&amp;&#0;',
  '../../../../etc/passwd',
  'a:b.qcow2',
  '%s%n\\n\\0$IFS*?[!]{a,b}~',
  '\u202e🙂é\u0000',
];
const attack = fc.oneof(
  fc.constantFrom(...ATTACKS),
  fc.tuple(fc.constantFrom(...ATTACKS), fc.string({ unit: 'binary', maxLength: 20 })).map((parts) => parts.join('')),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 255 }),
);

const SEED = Number(process.env.PROVISIOND_FAULT_SEED ?? Date.now() % 1_000_000);

/** @returns one of the strings, always the same for a place and a seed */
function attackFor({ table, column, limit }: Text, turn: number): string {
  const seed = [...`${table}.${column}`].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), SEED + turn) >>> 0;
  return fc.sample(attack, { seed, numRuns: 1 })[0]!.slice(0, limit);
}

wherever('a hostile text, in the fake world,', () => {
  let site: FakeSite;
  let daemon: FakeDaemon;
  afterEach(async () => {
    await daemon?.stop();
    await site?.close();
  });
  afterAll(writeTable);

  async function live(text: Text, value: string): Promise<void> {
    const { database } = site;
    const before = await database.rows<Record<string, string | number>>(`select * from \`${text.table}\``);
    const requestId = await site.reserve({ computer: 'vm1' });
    const where = ROWS[text.table]!;
    const update = `update \`${text.table}\` set \`${text.column}\` = ? where ${where}`;
    // A key that is referred to, or must be unique, cannot be such a text.
    const isWritten = await database.change(update, [value]).then(
      () => true,
      () => false,
    );
    daemon = new FakeDaemon(site);
    const isSettled = async () =>
      /^(failed|complete|pending\/reserved|$)/.test((await site.requestState(requestId)) ?? '');
    await within(isSettled, 30, `${text.table}.${text.column} = ${JSON.stringify(value)}`);
    if ((await site.requestState(requestId)) === 'pending/reserved') {
      await site.frontEnd.connect(requestId, USER_ADDRESS).catch(() => {});
      await pause(300);
    }
    expect(existsSync(CANARY)).toBe(false);
    expect(site.host.files().filter((file) => path.basename(file) === path.basename(CANARY))).toEqual([]);
    for (const table of ['computer', 'image', 'user', 'state']) {
      expect((await database.rows(`select 1 from \`${table}\``)).length).toBeGreaterThan(1);
    }
    if (isWritten && before.length > 0 && 'id' in before[0]!) {
      for (const row of before) {
        const sql = `update \`${text.table}\` set \`${text.column}\` = ? where id = ?`;
        await database.change(sql, [row[text.column] ?? null, row['id']!]);
      }
    }
    await site.frontEnd.end(requestId).catch(() => {});
    await daemon.stop();
  }

  it(`in any text column runs nothing and ends (seed ${SEED})`, async () => {
    site = await FakeSite.open();
    const columns = await textColumns(site.database);
    expect(columns.length).toBeGreaterThan(60);
    await site.close();
    const tried = LONG ? columns : columns.filter((_text, index) => (index + SEED) % 24 === 0);
    for (const [turn, text] of tried.entries()) {
      await round('hostile text in a column (fake world)', 'P4 P11', async () => {
        site = await FakeSite.open();
        try {
          await live(text, attackFor(text, turn));
        } finally {
          await daemon?.stop();
          await site.close();
        }
      });
    }
  }, 900_000);
});

async function within(what: () => Promise<boolean>, seconds: number, doing: string): Promise<void> {
  await eventually(what, seconds, () => `settled with ${doing}`);
}

/** What becomes part of the domain XML, of file names and of virsh's arguments. */
const ON_THE_HOST: readonly Omit<Text, 'limit'>[] = [
  { table: 'image', column: 'prettyname' },
  { table: 'imagerevision', column: 'imagename' },
  { table: 'computer', column: 'eth0macaddress' },
  { table: 'computer', column: 'privateIPaddress' },
  { table: 'vmprofile', column: 'virtualswitch0' },
  { table: 'vmprofile', column: 'vmpath' },
  { table: 'vmprofile', column: 'datastorepath' },
  { table: 'computer', column: 'hostname' },
];

describe('a hostile text, on real libvirt,', () => {
  let site: Site;
  beforeAll(async () => {
    site = await Site.open();
    await site.virsh('net-info', 'private');
  });
  afterEach(() => rmSync(CANARY, { force: true }));
  afterAll(async () => {
    await site?.close();
    writeTable();
  });

  const tried = LONG ? ON_THE_HOST : ON_THE_HOST.slice(0, 1);
  it.each(tried)(`in $column of $table changes nothing but its own (seed ${SEED})`, async ({ table, column }) => {
    for (let turn = 0; turn < (LONG ? 3 : 1); turn++) {
      await round('hostile text in a column (real libvirt)', 'P4 P11', async () => {
        const value = attackFor({ table, column, limit: 60 }, turn);
        const networks = await site.virsh('net-list', '--all');
        const [row] = await site.database.raw<{ id: number }[]>(`select * from ${table} where ${ROWS[table]}`);
        const requestId = await site.reserve({ computer: 'vm1' });
        await site
          .database(table)
          .where({ id: row!.id })
          .update({ [column]: value });
        const isSettled = async () =>
          /^failed/.test((await site.requestState(requestId)) ?? '') ||
          (await site.loadStates(requestId)).includes('startvm');
        try {
          await within(isSettled, 60, `${table}.${column} = ${JSON.stringify(value)}`);
        } finally {
          await site
            .database(table)
            .where({ id: row!.id })
            .update({ [column]: (row as Record<string, unknown>)[column] });
        }
        expect(existsSync(CANARY)).toBe(false);
        expect(await site.virsh('net-list', '--all')).toBe(networks);
        for (const name of await site.domains()) expect(await site.virsh('dumpxml', name)).not.toContain('/etc/shadow');
        await site.frontEnd.end(requestId).catch(() => {});
        await eventually(
          async () =>
            (await site.requestState(requestId)) === null || /^failed/.test((await site.requestState(requestId))!),
          60,
        );
        await site.database('request').where({ id: requestId }).delete();
        expect(await audit({ ...site.config, vms: site.vms, datastore: site.datastore })).toEqual([]);
      });
    }
  });
});
