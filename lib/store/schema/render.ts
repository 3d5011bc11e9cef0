/** Tables and seeds to SQL, one renderer a dialect. Every statement may be repeated. */
import { ZERO_DATE, type Column, type Reference, type Seed, type Table } from './table';

export type SqlDialect = 'mysql' | 'sqlite';

export interface Statement {
  readonly sql: string;
  readonly bindings: (string | number | null)[];
}

const name = (identifier: string): string => `\`${identifier}\``;
const names = (identifiers: readonly string[]): string => identifiers.map(name).join(', ');
const literal = (value: string | number): string =>
  typeof value === 'number' ? String(value) : `'${value.replaceAll("'", "''")}'`;

/** `create table if not exists …` and what belongs to it. */
export function renderTable(table: Table, dialect: SqlDialect): Statement[] {
  return (dialect === 'mysql' ? renderForMysql(table) : renderForSqlite(table)).map((sql) => ({ sql, bindings: [] }));
}

/** One insert that leaves rows alone which are there already. */
export function renderSeed(seed: Seed, dialect: SqlDialect): Statement {
  const places = `(${seed.columns.map(() => '?').join(', ')})`;
  const rows = `into ${name(seed.table)} (${names(seed.columns)}) values ${seed.rows.map(() => places).join(', ')}`;
  return {
    sql: dialect === 'mysql' ? `insert ignore ${rows}` : `insert ${rows} on conflict do nothing`,
    bindings: seed.rows.flat(),
  };
}

function renderForMysql(table: Table): string[] {
  const lines = [
    ...Object.entries(table.columns).map(([key, column]) => `${name(key)} ${mysqlType(column)}${constraint(column)}`),
    ...(table.primaryKey.length > 0 ? [`primary key (${names(table.primaryKey)})`] : []),
    ...table.unique.map((columns) => `unique key (${names(columns)})`),
    ...table.indexes.map((columns) => `key (${names(columns)})`),
    ...foreignKeys(table),
  ];
  return [`create table if not exists ${name(table.name)} (${lines.join(', ')}) engine=InnoDB default charset=utf8mb4`];
}

function renderForSqlite(table: Table): string[] {
  const serial = Object.values(table.columns).some((column) => column.serial);
  const lines = [
    ...Object.entries(table.columns).map(
      ([key, column]) => `${name(key)} ${sqliteType(column)}${constraint(withImplicitDefault(column))}`,
    ),
    ...(table.primaryKey.length > 0 && !serial ? [`primary key (${names(table.primaryKey)})`] : []),
    ...table.unique.map((columns) => `unique (${names(columns)})`),
    ...foreignKeys(table),
  ];
  return [
    `create table if not exists ${name(table.name)} (${lines.join(', ')})`,
    ...table.indexes.map(
      (columns) =>
        `create index if not exists ${name([table.name, ...columns].join('_'))} on ${name(table.name)} (${names(columns)})`,
    ),
  ];
}

function mysqlType(column: Column): string {
  switch (column.type) {
    case 'integer':
      return `${column.size} unsigned${column.serial ? ' auto_increment' : ''}`;
    case 'string':
      return `varchar(${column.length})`;
    case 'text':
      return column.text!;
    case 'datetime':
      return 'datetime';
    case 'choice':
      return `enum(${column.choices!.map(literal).join(', ')})`;
  }
}

/** Without case, as VCL's collation compares. */
function sqliteType(column: Column): string {
  switch (column.type) {
    case 'integer':
      return column.serial ? 'integer primary key autoincrement' : 'integer';
    case 'string':
      return `varchar(${column.length}) collate nocase`;
    case 'choice':
      return 'text collate nocase';
    case 'text':
    case 'datetime':
      return 'text';
  }
}

/** What MySQL without strict mode writes into a column that an insert left out; VCL's inserts depend on it. */
function withImplicitDefault(column: Column): Column {
  if (column.optional || column.serial || column.default !== undefined) return column;
  const implicit = { integer: 0, string: '', text: '', datetime: ZERO_DATE, choice: column.choices?.[0] ?? '' };
  return { ...column, default: implicit[column.type] };
}

function constraint(column: Column): string {
  if (column.serial) return ' not null';
  const presence = column.optional ? ' null' : ' not null';
  // MySQL refuses defaults of texts; null is what an optional one has anyway.
  if (column.default === undefined || (column.type === 'text' && column.default === null)) return presence;
  return `${presence} default ${column.default === null ? 'null' : literal(column.default)}`;
}

function foreignKeys(table: Table): string[] {
  return Object.entries(table.columns)
    .filter((entry): entry is [string, Column & { references: Reference }] => entry[1].references !== undefined)
    .map(
      ([
        key,
        {
          references: { table: other, column, onDelete, onUpdate },
        },
      ]) => {
        const target = `${name(other)} (${name(column)})`;
        return `foreign key (${name(key)}) references ${target} on delete ${onDelete} on update ${onUpdate}`;
      },
    );
}
