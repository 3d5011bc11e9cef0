/** Our table of image files: what base files are trusted to be. */
import { datetime, integer, OPTIONAL, string, table, type Table } from './table';

const BASE = table(
  'provisiond_base',
  {
    hostid: integer('smallint'),
    path: string(400),
    imagename: string(75),
    format: string(16),
    virtualsize: integer('bigint'),
    size: integer('bigint'),
    modified: integer('bigint'),
    /** Empty: it is being read, or whoever read it died. */
    sha256: string(64),
    source: string(500),
    recorded: datetime(),
    checked: datetime(OPTIONAL),
    damage: string(500, OPTIONAL),
  },
  { primaryKey: ['hostid', 'path'], indexes: [['imagename']] },
);

export const BASE_TABLES: readonly Table[] = [BASE];
