/** What the database says of itself, for `provisiond doctor`: grants, settings, and what they let us do. */
import type { Database } from './database';
import type { Store, StoreFinding } from './store';

const RIGHTS = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'];

export function examineVerbs(db: Database): Pick<Store, 'examine' | 'frontEndSecondsAhead'> {
  return {
    examine: () => (db.dialect.name === 'mysql' ? examineMysql(db) : examineSqlite(db)),
    frontEndSecondsAhead: () => frontEndSecondsAhead(db),
  };
}

/** Of a reservation from now on the front end writes the log by its own clock, the request by the database's. */
async function frontEndSecondsAhead(db: Database): Promise<number | null> {
  const difference = db.dialect.secondsBetween('q.daterequested', 'l.start');
  const row = await db.one<{ seconds: number | null }>(
    `select ${difference} as seconds from request q join log l on l.id = q.logid
     where l.nowfuture = 'now' order by q.id desc limit 1`,
  );
  return row?.seconds ?? null;
}

async function examineMysql(db: Database): Promise<StoreFinding[]> {
  const findings: StoreFinding[] = [];
  const grants = (await db.rows<Record<string, string>>('show grants')).map((row) => Object.values(row)[0] ?? '');
  const account = (await db.one<{ account: string }>('select current_user() as account'))!.account;
  const name = (await db.one<{ name: string }>('select database() as name'))!.name;
  const missing = missingRights(grants, name);
  const quoted = account
    .split('@')
    .map((part) => `'${part}'`)
    .join('@');
  findings.push(
    missing.length === 0
      ? { check: 'grants', problem: false, text: `${account} may read and write ${name}`, mend: null }
      : {
          check: 'grants',
          problem: true,
          text: `${account} lacks ${missing.join(', ')} on ${name}`,
          mend: `mysql -e "GRANT ${[...missing, 'CREATE', 'ALTER', 'INDEX', 'REFERENCES'].join(', ')} ON \`${name}\`.* TO ${quoted}"`,
        },
  );
  const row = await db.one<{ version: string; global: string; session: string; readOnly: number }>(
    'select version() as version, @@global.sql_mode as global, @@session.sql_mode as session, @@global.read_only as readOnly',
  );
  const { version, global: mode, session, readOnly } = row!;
  const isOld = /MariaDB/i.test(version) ? numberOf(version) < 10.06 : numberOf(version) < 8;
  findings.push({
    check: 'version',
    problem: false,
    text: version,
    mend: isOld ? 'apt-get install mariadb-server   # MariaDB 10.6 or newer, MySQL 8 or newer' : null,
  });
  const strict = /STRICT_|NO_ZERO_DATE/.test(session);
  findings.push({
    check: 'sql_mode',
    problem: strict,
    text: strict
      ? `the session has ${session}`
      : `ours ${session || 'empty'}; the front end's own is that of the server: ${mode || 'empty'}`,
    mend:
      strict || /STRICT_/.test(mode)
        ? `mysql -e "SET GLOBAL sql_mode = ''"   # VCL's front end writes zero dates; and in my.cnf`
        : null,
  });
  if (Number(readOnly) === 1)
    findings.push({
      check: 'read_only',
      problem: true,
      text: 'the server is read-only',
      mend: 'mysql -e "SET GLOBAL read_only = 0"',
    });
  return findings;
}

/** `10.11.6-MariaDB` → 10.11 as 10.11, 10.6 as 10.06 */
function numberOf(version: string): number {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return major + minor / 100;
}

function missingRights(grants: readonly string[], database: string): string[] {
  const concerned = grants.filter((grant) => {
    const on = / ON (\S+)\.\* TO /.exec(grant)?.[1]?.replace(/`/g, '').replace(/\\/g, '');
    return on === '*' || (on !== undefined && matches(on, database));
  });
  const text = concerned.join('\n');
  return /GRANT ALL PRIVILEGES/.test(text) ? [] : RIGHTS.filter((right) => !new RegExp(`\\b${right}\\b`).test(text));
}

/** A database in a grant is a pattern. */
function matches(pattern: string, database: string): boolean {
  const escaped = pattern
    .replace(/[.*+?^${}()|[\]]/g, '\\$&')
    .replace(/%/g, '.*')
    .replace(/_/g, '.');
  return new RegExp(`^${escaped}$`).test(database);
}

async function examineSqlite(db: Database): Promise<StoreFinding[]> {
  const said = await db.one<{ integrity_check: string }>('pragma integrity_check(1)');
  const isWhole = said?.integrity_check === 'ok';
  return [
    {
      check: 'integrity',
      problem: !isWhole,
      text: isWhole ? 'the file is whole' : String(said?.integrity_check),
      mend: isWhole ? null : `sqlite3 ${db.label.replace(/^sqlite:/, '')} .recover | sqlite3 recovered.db`,
    },
  ];
}
