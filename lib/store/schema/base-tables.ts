/** Our tables of image files: what base files are trusted to be, and what an image needs at its first boot. */
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
    sha256: string(64),
    source: string(500),
    recorded: datetime(),
    checked: datetime(OPTIONAL),
    damage: string(500, OPTIONAL),
  },
  { primaryKey: ['hostid', 'path'], indexes: [['imagename']] },
);

/** How a guest without VCL's preparation is told its name and its keys: `nocloud`. */
const FIRST_BOOT = table(
  'provisiond_firstboot',
  { imageid: integer('smallint'), seed: string(16) },
  { primaryKey: ['imageid'] },
);

export const BASE_TABLES: readonly Table[] = [BASE, FIRST_BOOT];
