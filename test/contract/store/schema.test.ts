import { expect, it } from '@jest/globals';
import { STATE_IDS } from '../../../lib/model/states';
import { VCL_SEEDS, VCL_TABLES } from '../../../lib/store/migration';
import { openStore, type OpenStore } from '../../../lib/store/open-store';
import { renderSeed, renderTable } from '../../../lib/store/schema/render';
import { describeOnBoth, NODE_NAME, type TestStore } from '../../support/store';

/** An empty database beside that of the running test. */
async function openEmpty(t: TestStore): Promise<OpenStore> {
  if (t.db.dialect.name === 'sqlite') return openStore({ database: `${t.url}-empty` });
  const name = `${t.url.split('/').pop()}_empty`;
  await t.db.change(`create database ${name} character set utf8mb4`);
  return openStore({ database: t.url.replace(/[^/]*$/, name) });
}

/** The tables and first rows of VCL, as a site has them that ran vcld until now. */
async function makeVclSite({ db }: OpenStore): Promise<void> {
  const { name } = db.dialect;
  await db.transaction(async (tx) => {
    await tx.change(name === 'mysql' ? 'set session foreign_key_checks = 0' : 'pragma defer_foreign_keys = on');
    for (const table of VCL_TABLES) {
      for (const { sql } of renderTable(table, name)) await tx.change(sql);
    }
    for (const seed of VCL_SEEDS) {
      const { sql, bindings } = renderSeed(seed, name);
      await tx.change(sql, bindings);
    }
    if (name === 'mysql') await tx.change('set session foreign_key_checks = 1');
  });
}

async function describeTables({ db }: OpenStore): Promise<Map<string, string>> {
  const rows =
    db.dialect.name === 'mysql'
      ? await db.rows<{ name: string; text: string }>(
          `select c.table_name as name, group_concat(c.column_name, ' ', c.column_type, ' ', c.is_nullable
             order by c.ordinal_position) as text
           from information_schema.columns c where c.table_schema = database() group by c.table_name`,
        )
      : await db.rows<{ name: string; text: string }>(
          "select name, sql as text from sqlite_master where name not like 'sqlite%'",
        );
  return new Map(rows.map(({ name, text }) => [name, text]));
}

describeOnBoth('the schema', (current) => {
  it('is made once: a second time there is nothing to do', async () => {
    const t = current();
    expect(await t.store.schemaState()).toBe('current');
    expect(await t.store.migrate()).toEqual([]);
  });

  it('is missing in an empty database, which says how to make it', async () => {
    const empty = await openEmpty(current());
    expect(await empty.store.schemaState()).toBe('missing');
    await expect(empty.store.poll(1, [])).rejects.toMatchObject({ code: 'SCHEMA_MISSING' });
    expect(await empty.store.migrate()).toContainEqual(expect.stringContaining('of VCL'));
    expect(await empty.store.schemaState()).toBe('current');
    await empty.store.close();
  });

  it('begins with the rows that VCL begins with, by their ids', async () => {
    const { db } = current();
    for (const seed of VCL_SEEDS) {
      const { count } = (await db.one<{ count: number }>(`select count(*) as count from \`${seed.table}\``))!;
      expect([seed.table, count]).toEqual([seed.table, expect.any(Number)]);
      expect(count).toBeGreaterThanOrEqual(seed.rows.length);
    }
    const states = await db.rows<{ id: number; name: string }>('select id, name from state');
    expect(Object.fromEntries(states.map(({ id, name }) => [name, id]))).toEqual(STATE_IDS);
    expect(await db.rows('select id, unityid from user where id <= 3 order by id')).toEqual([
      { id: 1, unityid: 'admin' },
      { id: 2, unityid: 'vclreload' },
      { id: 3, unityid: 'vclsystem' },
    ]);
    const flow = await db.rows<{ name: string }>(
      `select s.loadstatename as name from computerloadflow f join computerloadstate s on s.id = f.computerloadstateid
       where f.type = 'virtualmachine'`,
    );
    expect(flow.map(({ name }) => name)).toContain('machinebooted');
    expect(flow).toHaveLength(12);
  });

  it('in a database of VCL adds tables of ours and changes none of VCL', async () => {
    const site = await openEmpty(current());
    await makeVclSite(site);
    const before = await describeTables(site);
    expect(await site.store.schemaState()).toBe('missing');
    expect(await site.store.migrate()).not.toEqual([expect.stringContaining('of VCL')]);
    const after = await describeTables(site);
    for (const [name, text] of before) expect([name, after.get(name)]).toEqual([name, text]);
    const added = [...after.keys()].filter((name) => !before.has(name) && !name.includes('autoindex'));
    for (const name of added) expect(name).toMatch(/^provisiond_/);
    const node = await site.frontEnd.ensureManagementNode(NODE_NAME, '127.0.0.1', []);
    expect(await site.store.poll(node, [])).toMatchObject({ due: [] });
    await site.store.close();
  });

  it('goes on where a creation was cut off', async () => {
    const t = current();
    await t.db.change("update provisiond_schema set version = 0, vcl = 'begun'");
    await t.db.change('drop table provisiond_guest');
    expect(await t.store.schemaState()).toBe('missing');
    expect(await t.store.migrate()).toContainEqual(expect.stringContaining('of VCL'));
    expect(await t.db.rows('select * from computerloadflow')).toHaveLength(24);
    expect(await t.db.rows('select * from connectmethodmap')).toHaveLength(8);
    expect(await t.frontEnd.listComputers()).toHaveLength(2);
  });

  it('of an older version gets what is new', async () => {
    const t = current();
    await t.db.change('drop table provisiond_boot');
    await t.db.change('update provisiond_schema set version = 1');
    expect(await t.store.schemaState()).toBe('older');
    expect(await t.store.migrate()).toContain('created the table of boot parameters');
    expect(await t.frontEnd.listBoot()).toEqual([]);
    expect(await t.store.schemaState()).toBe('current');
  });

  it('of a newer version is refused', async () => {
    const t = current();
    await t.db.change('update provisiond_schema set version = 99');
    expect(await t.store.schemaState()).toBe('newer');
    await expect(t.store.migrate()).rejects.toMatchObject({ code: 'SCHEMA_NEWER' });
  });

  it('can be made by two at once', async () => {
    const empty = await openEmpty(current());
    const other = openStore({
      database: current().db.dialect.name === 'sqlite' ? `${current().url}-empty` : `${current().url}_empty`,
    });
    await Promise.all([empty.store.migrate(), other.store.migrate()]);
    expect(await empty.db.rows('select * from computerloadflow')).toHaveLength(24);
    await Promise.all([empty.store.close(), other.store.close()]);
  });
});

/** What a web page may write into any column. */
const HOSTILE = [
  `'; drop table request; --`,
  `"\`$(reboot)\``,
  `\\'; \\" \\\\ %s %_`,
  'line one\nline two\r\tthree',
  '<b>&amp;</b> {{x}} ?? ? :name',
  '../../etc/passwd',
  '-x --help',
  'ünïcödé ☃ 😀',
];

describeOnBoth('hostile text', (current) => {
  it.each(HOSTILE)('comes back from every text column as it went in: %j', async (text) => {
    const t = current();
    for (const table of VCL_TABLES) {
      for (const [name, column] of Object.entries(table.columns)) {
        if (column.references || !(column.type === 'text' || (column.type === 'string' && column.length! >= 40)))
          continue;
        const key = table.primaryKey.length === 1 && table.primaryKey[0] === 'id' ? 'id' : undefined;
        const row = key && (await t.db.one<{ id: number }>(`select id from \`${table.name}\` order by id desc`));
        if (!row) continue;
        await t.db.change(`update \`${table.name}\` set \`${name}\` = ? where id = ?`, [text, row.id]);
        const read = await t.db.one<{ value: string }>(
          `select \`${name}\` as value from \`${table.name}\` where id = ?`,
          [row.id],
        );
        const value: unknown = Buffer.isBuffer(read!.value) ? (read!.value as Buffer).toString() : read!.value;
        expect([table.name, name, value]).toEqual([table.name, name, text]);
      }
    }
  });

  it.each(HOSTILE)('is a name like any other: %j', async (text) => {
    const t = current();
    await t.frontEnd.ensureUser(text);
    const { fileName } = await t.frontEnd.addImage({
      prettyName: text,
      os: 'vmwarelinux',
      ramMiB: 256,
      cpus: 1,
      sizeMiB: 64,
      owner: text,
    });
    expect(fileName).toMatch(/^vmwarelinux-\w*-v0$/);
    const { requestId, reservationId } = await t.frontEnd.addReservation({
      image: text,
      user: text,
      start: null,
      minutes: 30,
    });
    const claim = await t.take(requestId);
    const [reservation] = await t.store.readReservations(claim);
    expect(reservation!.image.prettyName).toBe(text);
    const event = { requestId, loadId: claim.loadId, state: 'new', step: text, kind: 'note', hint: text } as const;
    await t.store.tell([{ reservationId, computerId: reservation!.computer.id, loadState: 'info', text, event }]);
    await t.store.setPassword(claim, reservation!, text);
    const shown = await t.frontEnd.show(requestId);
    expect(shown).toMatchObject({ user: text, image: text, password: text });
    expect(shown.timeline).toContainEqual(expect.objectContaining({ step: text, text, hint: text }));
  });

  it('that would be cut is refused where it decides something', async () => {
    const t = current();
    await expect(t.frontEnd.ensureUser('x'.repeat(81))).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    await expect(t.frontEnd.ensureManagementNode('x'.repeat(51), '127.0.0.1', [])).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
    });
  });
});
