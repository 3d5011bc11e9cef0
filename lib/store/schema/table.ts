/** Tables as data: a description that both dialects are rendered from (`render.ts`). */

/** Sizes of VCL's unsigned integers; SQLite makes INTEGER of all of them. */
export type IntegerSize = 'tinyint' | 'smallint' | 'mediumint' | 'int' | 'bigint';

export interface Reference {
  readonly table: string;
  readonly column: string;
  readonly onDelete: 'restrict' | 'cascade' | 'set null';
  readonly onUpdate: 'restrict' | 'cascade';
}

export interface Column {
  readonly type: 'integer' | 'string' | 'text' | 'datetime' | 'choice';
  readonly size?: IntegerSize;
  readonly serial?: true;
  /** Characters of a string. */
  readonly length?: number;
  /** MySQL's word for an unlimited text. */
  readonly text?: 'text' | 'mediumtext' | 'longtext' | 'blob';
  readonly choices?: readonly string[];
  readonly optional: boolean;
  /** Left out: the column has none, and a row that does not name it is wrong. */
  readonly default?: number | string | null;
  readonly references?: Reference;
}

export interface Table {
  readonly name: string;
  readonly columns: Readonly<Record<string, Column>>;
  readonly primaryKey: readonly string[];
  readonly unique: readonly (readonly string[])[];
  readonly indexes: readonly (readonly string[])[];
}

interface ColumnOptions {
  readonly optional?: boolean;
  readonly default?: number | string | null;
  readonly references?: Reference;
}

/** VCL's "never" in columns that cannot be null. */
export const ZERO_DATE = '0000-00-00 00:00:00';

/** A column that may be left empty. */
export const OPTIONAL = { optional: true, default: null } as const;

export function table(
  name: string,
  columns: Record<string, Column>,
  keys: { primaryKey?: string[]; unique?: string[][]; indexes?: string[][] } = {},
): Table {
  const { primaryKey = 'id' in columns ? ['id'] : [], unique = [], indexes = [] } = keys;
  return { name, columns, primaryKey, unique, indexes };
}

function column(kind: Pick<Column, 'type'> & Partial<Column>, options: ColumnOptions = {}): Column {
  return { ...kind, ...options, optional: options.optional ?? false };
}

/** The key that the database counts up; never used twice, also not after deletions. */
export const serial = (size: IntegerSize): Column => column({ type: 'integer', size, serial: true });

export const integer = (size: IntegerSize, options?: ColumnOptions): Column =>
  column({ type: 'integer', size }, options);

export const string = (length: number, options?: ColumnOptions): Column => column({ type: 'string', length }, options);

export const text = (kind: NonNullable<Column['text']>, options?: ColumnOptions): Column =>
  column({ type: 'text', text: kind }, options);

/** Zone-less local time, `YYYY-MM-DD HH:MM:SS`. */
export const datetime = (options?: ColumnOptions): Column => column({ type: 'datetime' }, options);

export const choice = (choices: readonly string[], options?: ColumnOptions): Column =>
  column({ type: 'choice', choices }, options);

/** A foreign key. Ids that are renumbered take their children along, unless told otherwise. */
export function to(
  name: string,
  rules: { onDelete?: Reference['onDelete']; onUpdate?: Reference['onUpdate']; column?: string } = {},
): Reference {
  return {
    table: name,
    column: rules.column ?? 'id',
    onDelete: rules.onDelete ?? 'restrict',
    onUpdate: rules.onUpdate ?? 'cascade',
  };
}

/** Rows that a new database begins with. */
export interface Seed {
  readonly table: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number | null)[])[];
}

export function seed(name: string, columns: string, rows: Seed['rows']): Seed {
  return { table: name, columns: columns.split(' '), rows };
}
