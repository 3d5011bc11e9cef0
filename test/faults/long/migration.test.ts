/** `provisiond init` killed while it makes the tables: the next one goes on, and what is there in the end is whole. */
import { afterAll, afterEach, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { openStore } from '../../../lib/store/open-store';
import { builtProgram, Program } from '../../contract/cli/program';
import { round, writeTable } from '../../support/fault-table';
import { MariadbServer } from '../../support/store';

const ROUNDS = 12;
/** From the start of the process on: it takes this long to load the program, and a second or two to make the tables. */
const [FIRST_MS, LAST_MS] = [300, 2500];

let server: MariadbServer | undefined;
let program: Program | undefined;
afterEach(() => {
  program?.end();
  server?.stop();
});
afterAll(writeTable);

/** Every column of every table, and how many rows the tables begin with. */
async function picture(database: string): Promise<unknown> {
  const { store, db } = openStore({ database });
  try {
    expect(await store.schemaState()).toBe('current');
    const columns = await db.rows(
      `select table_name, column_name, column_type, is_nullable, column_default from information_schema.columns
       where table_schema = database() order by table_name, ordinal_position`,
    );
    const keys = await db.rows(
      `select table_name, index_name, column_name, non_unique from information_schema.statistics
       where table_schema = database() order by table_name, index_name, seq_in_index`,
    );
    const tables = await db.rows<{ name: string }>(
      `select table_name as name from information_schema.tables where table_schema = database() order by table_name`,
    );
    const counts = await Promise.all(
      tables.map(async ({ name }) => [name, (await db.one(`select count(*) as n from \`${name}\``))!]),
    );
    return { columns, keys, counts };
  } finally {
    await store.close();
  }
}

it('a creation of the tables that is killed at any moment is finished by the next one', async () => {
  await round('init killed while it makes the tables (MariaDB)', 'P3 P6', async () => {
    server = MariadbServer.start();
    program = new Program(builtProgram());
    const init = (url: string) => program!.start(['init'], { PROVISIOND_DATABASE: url });
    const whole = await server.createDatabase();
    expect(await init(whole).ended).toMatchObject({ exitCode: 0 });
    const wanted = await picture(whole);

    let [cutOff, moment] = [0, FIRST_MS];
    for (let index = 0; index < ROUNDS; index++) {
      const url = await server.createDatabase();
      const first = init(url);
      await pause(moment);
      first.child.kill('SIGKILL');
      await first.ended;
      moment += (LAST_MS - FIRST_MS) / ROUNDS;

      const { store, db } = openStore({ database: url });
      const tables = await db.rows('select 1 from information_schema.tables where table_schema = database()');
      if (tables.length > 0 && (await store.schemaState()) !== 'current') cutOff++;
      await store.close();
      const second = await init(url).ended;
      expect(second).toMatchObject({ exitCode: 0, stderr: expect.not.stringContaining('error') });
      expect(await picture(url)).toEqual(wanted);
    }
    expect(cutOff).toBeGreaterThan(0); // else nothing was injected
  });
});
