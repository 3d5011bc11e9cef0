/** The second inbox, and what is known of VMs. Who writes which column: lib/operations/README.md. */
import { datetime, integer, OPTIONAL, string, serial, table, text, type Table } from './table';

/** A front end inserts the first columns; the rest is the daemon's answer. */
const OPERATION = table(
  'provisiond_operation',
  {
    id: serial('int'),
    kind: string(40),
    computerid: integer('smallint', OPTIONAL),
    arguments: text('text', OPTIONAL),
    requestedby: string(255, { default: '' }),
    /** A second row with the same key is refused by the database: the same wish, sent twice. */
    idempotencykey: string(120, OPTIONAL),
    /** Who is to work it; left out: found by the computer. */
    managementnodeid: integer('smallint', OPTIONAL),
    /** 1: whoever asked for it does not want it any more. */
    cancel: integer('tinyint', { default: 0 }),
    state: string(16, { default: 'queued' }),
    percent: integer('tinyint', { default: 0 }),
    step: string(120, OPTIONAL),
    result: text('text', OPTIONAL),
    errorcode: string(64, OPTIONAL),
    blame: string(16, OPTIONAL),
    message: text('text', OPTIONAL),
    hint: text('text', OPTIONAL),
    created: datetime(OPTIONAL),
    started: datetime(OPTIONAL),
    ended: datetime(OPTIONAL),
    attempts: integer('int', { default: 0 }),
    token: integer('int', { default: 0 }),
    /** What the checks found when they passed, for whoever resumes it. */
    journal: text('text', OPTIONAL),
  },
  { unique: [['idempotencykey']], indexes: [['state'], ['computerid', 'id'], ['ended']] },
);

/** The power of each computer's domain, as the host says. `startedat`: seconds since 1970 by the database's clock. */
const VM = table(
  'provisiond_vm',
  {
    computerid: integer('smallint'),
    hostcomputerid: integer('smallint', OPTIONAL),
    domain: string(255, OPTIONAL),
    uuid: string(36, OPTIONAL),
    powerstate: string(16),
    /** The state before it became Unknown. */
    lastpowerstate: string(16, OPTIONAL),
    reason: string(255, { default: '' }),
    fault: string(40, OPTIONAL),
    guestsleeping: integer('tinyint', { default: 0 }),
    lastexit: string(20, OPTIONAL),
    lastexittime: datetime(OPTIONAL),
    startedat: integer('bigint', OPTIONAL),
    /** JSON: names of the operations that would be begun now. */
    allowed: text('text', OPTIONAL),
    changed: datetime(OPTIONAL),
  },
  { primaryKey: ['computerid'], indexes: [['hostcomputerid']] },
);

/** What a site wants to happen to a VM; rows are a front end's. */
const VM_POLICY = table(
  'provisiond_vm_policy',
  { computerid: integer('smallint'), aftercrash: string(16, { default: 'preserve' }) },
  { primaryKey: ['computerid'] },
);

/** Operations that nobody may begin; rows are a front end's. */
const VM_BLOCK = table(
  'provisiond_vm_block',
  { computerid: integer('smallint'), operation: string(40), reason: string(255) },
  { primaryKey: ['computerid', 'operation'] },
);

/** What became of VMs: changes of their power states, and the steps of operations. */
const VM_EVENT = table(
  'provisiond_vm_event',
  {
    id: serial('int'),
    time: datetime(),
    computerid: integer('smallint', OPTIONAL),
    operationid: integer('int', OPTIONAL),
    kind: string(16),
    text: text('text', OPTIONAL),
    milliseconds: integer('int', OPTIONAL),
  },
  { indexes: [['computerid', 'id'], ['operationid', 'id'], ['time']] },
);

export const OPERATION_TABLES: readonly Table[] = [OPERATION, VM, VM_POLICY, VM_BLOCK, VM_EVENT];
