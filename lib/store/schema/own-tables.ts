/** The tables that are ours. Nothing in them refers to VCL's tables by a foreign key: VCL deletes as if we were not there. */
import { datetime, integer, OPTIONAL, serial, string, table, text, type Table } from './table';

/** One row: which version of the tables below the database has. */
export const SCHEMA_VERSION_TABLE = table(
  'provisiond_schema',
  {
    id: integer('tinyint'),
    version: integer('int'),
    /** Whether VCL's part was made by us, and then whether that was finished. */
    vcl: string(16),
  },
  { primaryKey: ['id'] },
);

/** Who works for a management node. `expires`: seconds since 1970 by the database's clock. */
const LEASE = table(
  'provisiond_lease',
  {
    managementnodeid: integer('smallint'),
    holder: string(255),
    token: integer('int', { default: 0 }),
    expires: integer('bigint', { default: 0 }),
  },
  { primaryKey: ['managementnodeid'] },
);

/** The requests in hand, and what `pending` has overwritten in them. */
const JOB = table(
  'provisiond_job',
  {
    requestid: integer('mediumint'),
    stateid: integer('tinyint'),
    laststateid: integer('tinyint'),
    loadid: string(36),
    token: integer('int'),
    claimed: datetime(),
    attempts: integer('int', { default: 1 }),
  },
  { primaryKey: ['requestid'] },
);

/** The story of every request; outlives its rows. */
const EVENT = table(
  'provisiond_event',
  {
    id: serial('int'),
    time: datetime(),
    requestid: integer('mediumint'),
    reservationid: integer('mediumint'),
    computerid: integer('smallint'),
    loadid: string(36),
    state: string(20),
    step: string(120),
    kind: string(16),
    milliseconds: integer('int', OPTIONAL),
    loadstate: string(24, OPTIONAL),
    text: text('text', OPTIONAL),
    errorcode: string(64, OPTIONAL),
    blame: string(16, OPTIONAL),
    hint: text('text', OPTIONAL),
  },
  { indexes: [['requestid', 'id'], ['time']] },
);

/** How to reach a VM host, beyond what VCL's tables say. */
const HOST = table(
  'provisiond_host',
  {
    computerid: integer('smallint'),
    transport: string(8, { default: 'ssh' }),
    port: integer('smallint', { default: 22 }),
    user: string(64, { default: 'root' }),
    hostkey: string(255, OPTIONAL),
    driver: string(64, OPTIONAL),
    maxloads: integer('smallint', OPTIONAL),
  },
  { primaryKey: ['computerid'] },
);

/** The ssh host key that a guest showed after its load. */
const GUEST = table(
  'provisiond_guest',
  { computerid: integer('smallint'), hostkey: string(255) },
  { primaryKey: ['computerid'] },
);

/** What waits to be delivered for a management node. `due`: seconds since 1970 by the database's clock. */
const queued = (name: string, content: Table['columns']): Table =>
  table(
    name,
    {
      id: serial('int'),
      managementnodeid: integer('smallint'),
      /** Names the occasion: work that is done again queues nothing twice. */
      occasion: string(150),
      created: datetime(),
      due: integer('bigint'),
      attempts: integer('int', { default: 0 }),
      state: string(8, { default: 'waiting' }),
      error: text('text', OPTIONAL),
      ...content,
    },
    { unique: [['occasion']], indexes: [['state', 'managementnodeid', 'due']] },
  );

/** Messages to users and admins. */
const MESSAGE = queued('provisiond_message', {
  recipient: string(255),
  sender: string(255, OPTIONAL),
  copy: string(255, OPTIONAL),
  subject: string(255),
  body: text('text'),
});

/** Calls to the web front end. */
const CALL = queued('provisiond_call', {
  method: string(64),
  parameters: text('text'),
  answer: text('text', OPTIONAL),
});

export const QUEUE_TABLES: readonly Table[] = [MESSAGE, CALL];
/** Boot parameters as JSON; `kind` says whose: a computer's, an image's or a VM profile's. */
const BOOT = table(
  'provisiond_boot',
  { kind: string(16), targetid: integer('mediumint'), parameters: text('text') },
  { primaryKey: ['kind', 'targetid'] },
);

export const BOOT_TABLES: readonly Table[] = [BOOT];

export const OWN_TABLES: readonly Table[] = [LEASE, JOB, EVENT, HOST, GUEST];
