/** The few expressions in which MariaDB/MySQL and SQLite differ; all other SQL of the store is the same for both. */

export interface Dialect {
  readonly name: 'mysql' | 'sqlite';
  /** Zone-less local time, as all of VCL's columns hold it. */
  readonly now: string;
  /** Whole seconds since 1970, free of zones and daylight saving: for leases. */
  readonly clock: string;
  /** Keeps what a sub-select read from changing until the end of the transaction. */
  readonly shareLock: string;
  readonly updateLock: string;
  /** Whole seconds; null when one of them is no date (VCL's zero date). */
  readonly secondsBetween: (from: string, to: string) => string;
  /** @param seconds an expression or a placeholder; may be negative */
  readonly addSeconds: (time: string, seconds: string) => string;
  /** End of an insert that overwrites the row with the same key. */
  readonly overwrite: (key: readonly string[], columns: readonly string[]) => string;
  /** End of an insert that leaves the row with the same key alone. */
  readonly keep: (key: string) => string;
  /** Rows as one value, a JSON array of objects in no order; for {@link rowsOfJson}. */
  readonly asJson: (columns: Readonly<Record<string, string>>) => string;
}

const jsonObject = (columns: Readonly<Record<string, string>>): string =>
  `json_object(${Object.entries(columns)
    .map(([name, expression]) => `'${name}', ${expression}`)
    .join(', ')})`;

/** What a column of `asJson` holds: MySQL's driver reads it, MariaDB's and SQLite's give the text; null: no rows. */
export function rowsOfJson<Row>(value: unknown): Row[] {
  const rows: unknown = typeof value === 'string' ? JSON.parse(value) : value;
  return (rows ?? []) as Row[];
}

export const MYSQL: Dialect = {
  name: 'mysql',
  now: 'now()',
  clock: 'unix_timestamp()',
  shareLock: ' lock in share mode',
  updateLock: ' for update',
  secondsBetween: (from, to) => `timestampdiff(second, ${from}, ${to})`,
  addSeconds: (time, seconds) => `(${time} + interval ${seconds} second)`,
  overwrite: (_key, columns) =>
    `on duplicate key update ${columns.map((column) => `\`${column}\` = values(\`${column}\`)`).join(', ')}`,
  keep: (key) => `on duplicate key update \`${key}\` = \`${key}\``,
  asJson: (columns) => `json_arrayagg(${jsonObject(columns)})`,
};

export const SQLITE: Dialect = {
  name: 'sqlite',
  now: "datetime('now', 'localtime')",
  clock: "cast(strftime('%s', 'now') as integer)",
  // A transaction that writes has the whole file to itself.
  shareLock: '',
  updateLock: '',
  secondsBetween: (from, to) => `(cast(strftime('%s', ${to}) as integer) - cast(strftime('%s', ${from}) as integer))`,
  addSeconds: (time, seconds) => `datetime(${time}, (${seconds}) || ' seconds')`,
  overwrite: (key, columns) =>
    `on conflict (${key.map((column) => `\`${column}\``).join(', ')}) do update set ` +
    columns.map((column) => `\`${column}\` = excluded.\`${column}\``).join(', '),
  keep: (key) => `on conflict (\`${key}\`) do nothing`,
  asJson: (columns) => `json_group_array(${jsonObject(columns)})`,
};
