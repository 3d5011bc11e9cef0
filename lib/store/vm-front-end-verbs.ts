import { ProvisiondError } from '../errors';
import { CRASH_POLICIES, type CrashPolicy } from '../model/vm-rules';
import type { Database, Queryable, Value } from './database';
import { requireFit } from './inventory-rows';
import { askForOperation } from './operation-verbs';
import type { NewOperation, OperationDetails, VmDetails, VmFrontEnd, VmHistoryEntry, VmSummary } from './vm-front-end';
import { toRecord, vmColumns } from './vm-verbs';
import { readTrash, readVolumes } from './volume-verbs';

/** So many of the newest operations and events are shown with a VM. */
const SHOWN_OPERATIONS = 10;
const SHOWN_EVENTS = 50;

export function vmFrontEndVerbs(db: Database): VmFrontEnd {
  return {
    addOperation: (operation) => addOperation(db, operation),
    showOperation: async (id) => one(await readOperations(db, 'o.id = ?', [id]), `operation ${id}`),
    cancelOperation: async (id) => {
      await db.change("update provisiond_operation set cancel = 1 where id = ? and state in ('queued', 'working')", [
        id,
      ]);
      return one(await readOperations(db, 'o.id = ?', [id]), `operation ${id}`);
    },
    listOperations: (limit) => readOperations(db, '1 = 1', [], limit),
    operationStory: (id) => readHistory(db, 'operationid = ? order by id', [id]),
    listVms: () => readVms(db, '1 = 1', []),
    showVm: (computer) => showVm(db, computer),
    blockOperation: (computer, operation, reason) => blockOperation(db, computer, operation, reason),
    setAfterCrash: async (computer, policy) => {
      const overwrite = db.dialect.overwrite(['computerid'], ['aftercrash']);
      const insert = `insert into provisiond_vm_policy (computerid, aftercrash) values (?, ?) ${overwrite}`;
      await db.change(insert, [await findComputer(db, computer), policy]);
    },
  };
}

function one<T>(rows: readonly T[], what: string): T {
  if (rows[0] === undefined) throw new ProvisiondError('NOT_FOUND', `there is no ${what}`);
  return rows[0];
}

/** By full name or its first label. @throws NOT_FOUND */
async function findComputer(db: Queryable, name: string): Promise<number> {
  const rows = await db.rows<{ id: number }>(
    `select id from computer where deleted = 0 and type = 'virtualmachine'
       and (hostname = ? or hostname like ? escape '!') order by hostname = ? desc, id`,
    [name, `${name.replace(/[!%_]/g, '!$&')}.%`, name],
  );
  return one(rows, `computer '${name}'`).id;
}

async function addOperation(db: Database, wish: NewOperation): Promise<OperationDetails> {
  const computerId = wish.computer === null ? null : await findComputer(db, wish.computer);
  if (wish.idempotencyKey !== undefined) requireFit('the idempotency key', wish.idempotencyKey, 120);
  const id = await askForOperation(db, { ...wish, computerId });
  const [condition, key] = id === null ? ['o.idempotencykey = ?', wish.idempotencyKey!] : ['o.id = ?', id];
  return one(await readOperations(db, condition, [key]), 'such operation any more');
}

interface OperationRow {
  id: number;
  kind: string;
  computer: string | null;
  arguments: string | null;
  requestedBy: string;
  state: string;
  percent: number;
  step: string | null;
  result: string | null;
  errorcode: string | null;
  blame: string | null;
  message: string | null;
  hint: string | null;
  created: string | null;
  started: string | null;
  ended: string | null;
  attempts: number;
}

async function readOperations(db: Queryable, condition: string, bindings: readonly Value[], limit = 100) {
  const rows = await db.rows<OperationRow>(
    `select o.id, o.kind, c.hostname as computer, o.arguments, o.requestedby as requestedBy, o.state, o.percent, o.step,
       o.result, o.errorcode, o.blame, o.message, o.hint, o.created, o.started, o.ended, o.attempts
     from provisiond_operation o left join computer c on c.id = o.computerid
     where ${condition} order by o.id desc limit ?`,
    [...bindings, limit],
  );
  return rows.map(toDetails);
}

function toDetails({ errorcode, blame, message, hint, ...row }: OperationRow): OperationDetails {
  const error = errorcode === null ? null : { code: errorcode, blame, message: message ?? '', hint };
  return { ...row, arguments: parse(row.arguments), result: parse(row.result), error };
}

/** What is no JSON is shown as it is. */
function parse(json: string | null): unknown {
  if (json === null) return null;
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return json;
  }
}

async function readHistory(db: Queryable, condition: string, bindings: readonly Value[]): Promise<VmHistoryEntry[]> {
  return db.rows<VmHistoryEntry>(
    `select time, operationid as operationId, kind, coalesce(text, '') as text, milliseconds
     from provisiond_vm_event where ${condition}`,
    bindings,
  );
}

type VmRow = Parameters<typeof toRecord>[0] & {
  computerId: number;
  computer: string;
  host: string | null;
  lastexittime: string | null;
  changed: string | null;
};

const NOTHING_KNOWN = { powerstate: 'Unknown', reason: 'nobody has looked yet', guestsleeping: 0 };

async function readVms(db: Queryable, condition: string, bindings: readonly Value[]): Promise<VmSummary[]> {
  const rows = await db.rows<VmRow>(
    `select c.id as computerId, c.hostname as computer, h.hostname as host, vm.lastexittime, vm.changed,
       ${vmColumns(db.dialect)}
     from computer c
     left join vmhost v on v.id = c.vmhostid
     left join computer h on h.id = v.computerid
     left join provisiond_vm vm on vm.computerid = c.id
     where c.deleted = 0 and c.type = 'virtualmachine' and ${condition} order by c.hostname`,
    bindings,
  );
  return rows.map((row) => {
    const { computerId, computer, host, lastexittime: lastExitTime, changed } = row;
    const known = toRecord(row) ?? toRecord({ ...row, ...NOTHING_KNOWN })!;
    return { computerId, computer, host, ...known, lastExitTime, changed };
  });
}

async function showVm(db: Database, computer: string): Promise<VmDetails> {
  const id = await findComputer(db, computer);
  const vm = one(await readVms(db, 'c.id = ?', [id]), `computer '${computer}'`);
  const policy = await db.one<{ aftercrash: string }>(
    'select aftercrash from provisiond_vm_policy where computerid = ?',
    [id],
  );
  const blocks = await db.rows<{ operation: string; reason: string }>(
    'select operation, reason from provisiond_vm_block where computerid = ? order by operation',
    [id],
  );
  const newest = await readHistory(db, `computerid = ? order by id desc limit ${SHOWN_EVENTS}`, [id]);
  const trash = await readTrash(db, "computerid = ? and state = 'kept'", [id]);
  return {
    ...vm,
    volumes: await readVolumes(db, id),
    undoable: trash.map(({ operationId, created, secondsLeft }) => ({ operationId, created, secondsLeft })),
    afterCrash: CRASH_POLICIES.find((known): known is CrashPolicy => known === policy?.aftercrash) ?? 'preserve',
    blocked: Object.fromEntries(blocks.map(({ operation, reason }) => [operation, reason])),
    operations: await readOperations(db, 'o.computerid = ?', [id], SHOWN_OPERATIONS),
    history: newest.reverse(),
  };
}

async function blockOperation(db: Database, computer: string, operation: string, reason: string | null): Promise<void> {
  const id = await findComputer(db, computer);
  if (reason === null) {
    await db.change('delete from provisiond_vm_block where computerid = ? and operation = ?', [id, operation]);
    return;
  }
  requireFit('the reason', reason, 255);
  const overwrite = db.dialect.overwrite(['computerid', 'operation'], ['reason']);
  const insert = `insert into provisiond_vm_block (computerid, operation, reason) values (?, ?, ?) ${overwrite}`;
  await db.change(insert, [id, operation, reason]);
}
