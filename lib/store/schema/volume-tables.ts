/** What VMs are made of, what new ones are to get, and what was replaced and waits for its end. lib/operations/volumes. */
import { datetime, integer, OPTIONAL, serial, string, table, text, type Table } from './table';

/** As the definition of the domain was seen last; without a target: a data volume that no domain has at this moment. */
const VOLUME = table(
  'provisiond_volume',
  {
    id: serial('int'),
    computerid: integer('smallint'),
    hostcomputerid: integer('smallint', OPTIONAL),
    name: string(40),
    type: string(16),
    target: string(16, OPTIONAL),
    path: string(400),
    format: string(16),
    generation: integer('int'),
    size: integer('bigint'),
    /** Whose data it is: of whoever had the VM when it was made. */
    userid: integer('mediumint', OPTIONAL),
    changed: datetime(OPTIONAL),
  },
  { indexes: [['computerid']] },
);

/** Volumes that a load makes, beside the system volume; `kind` says whose: a computer's, an image's or a VM profile's. */
const VOLUME_PLAN = table(
  'provisiond_volume_plan',
  {
    kind: string(16),
    targetid: integer('mediumint'),
    name: string(40),
    type: string(16),
    sizemib: integer('int'),
  },
  { primaryKey: ['kind', 'targetid', 'name'] },
);

/** A change that can be undone, by its operation. `expires`: seconds since 1970 by the database's clock. */
const TRASH = table(
  'provisiond_trash',
  {
    operationid: integer('int'),
    computerid: integer('smallint'),
    managementnodeid: integer('smallint'),
    folder: string(400),
    /** JSON: the change. */
    plan: text('text'),
    /** `kept`, or in somebody's hands: `taken` (an undo), `purging`. */
    state: string(8, { default: 'kept' }),
    created: datetime(),
    expires: integer('bigint'),
  },
  { primaryKey: ['operationid'], indexes: [['computerid'], ['expires']] },
);

export const VOLUME_TABLES: readonly Table[] = [VOLUME, VOLUME_PLAN, TRASH];
