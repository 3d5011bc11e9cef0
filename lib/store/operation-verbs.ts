/** The rows of `provisiond_operation`: polled, taken up, told, ended, pruned. */
import { isWaiting, STATE_IDS, WORKABLE_REQUEST_STATES } from '../model/states';
import { ProvisiondError } from '../errors';
import { groupsOf } from './allocation';
import type { Database, Queryable, Value } from './database';
import { isDuplicate } from './database-errors';
import { assertLease, leaseHeld } from './lease-verbs';
import type {
  Operation,
  OperationEnd,
  OperationProgress,
  OperationState,
  OperationStore,
  OperationWish,
  VmEvent,
} from './operation-store';
import { stateIds } from './poll-sql';
import type { Lease } from './store';
import { fit } from './story-verbs';

type OperationVerbs = Pick<
  OperationStore,
  | 'pollOperations'
  | 'claimOperation'
  | 'noteOperation'
  | 'endOperation'
  | 'askForOperation'
  | 'pruneOperations'
  | 'tellVmEvents'
>;

export function operationVerbs(db: Database): OperationVerbs {
  return {
    pollOperations: (lease) => pollOperations(db, lease),
    claimOperation: (lease, id) => claimOperation(db, lease, id),
    noteOperation: (lease, id, progress) => noteOperation(db, lease, id, progress),
    endOperation: (lease, id, end) => endOperation(db, lease, id, end),
    askForOperation: (wish) => askForOperation(db, wish),
    pruneOperations: (lease, days) => pruneOperations(db, lease, days),
    tellVmEvents: (events) => tellVmEvents(db, events),
  };
}

/** A computer `c` that the node manages by VCL's groups. */
export const managedBy = (node: string, computer: string): string =>
  `exists (select 1 from resourcemap map where map.resourcegroupid1 in (${groupsOf('managementnode', node)})
     and map.resourcegroupid2 in (${groupsOf('computer', computer)}))`;

/**
 * Rows that name no node go to the one that has a reservation on the computer, else to one that manages it; where no
 * other node does, to us, so that nonsense is told to somebody.
 */
const OURS = `(o.managementnodeid = ? or (o.managementnodeid is null and (o.computerid is null or (
    not exists (select 1 from reservation r join request q on q.id = r.requestid where r.computerid = o.computerid
      and r.managementnodeid <> ? and q.stateid not in (${stateIds('failed', 'complete')}))
    and (${managedBy('?', 'o.computerid')} or not exists (select 1 from managementnode m where m.id <> ?
      and m.stateid not in (${stateIds('maintenance', 'deleted')}) and ${managedBy('m.id', 'o.computerid')}))))))`;

const COLUMNS = `o.id, o.kind, o.computerid, o.arguments, o.requestedby, o.state, o.cancel, o.attempts, o.token, o.journal`;

interface Row {
  id: number;
  kind: string;
  computerid: number | null;
  arguments: string | null;
  requestedby: string;
  state: OperationState;
  cancel: number;
  attempts: number;
  token: number;
  journal: string | null;
}

function toOperation({ computerid, requestedby, cancel, ...row }: Row): Operation {
  return { ...row, computerId: computerid, requestedBy: requestedby, cancelWanted: cancel !== 0 };
}

async function pollOperations(db: Database, { managementNodeId: node }: Lease): Promise<Operation[]> {
  const rows = await db.rows<Row>(
    `select ${COLUMNS} from provisiond_operation o where o.state in ('queued', 'working') and ${OURS}
     order by o.state desc, o.id`,
    [node, node, node, node],
  );
  return rows.map(toOperation);
}

async function claimOperation(db: Database, lease: Lease, id: number): Promise<Operation | null> {
  const { now } = db.dialect;
  const held = leaseHeld(db.dialect, lease);
  return db.transaction(async (tx) => {
    const won = await tx.change(
      `update provisiond_operation set state = 'working', managementnodeid = ?, token = ?, attempts = attempts + 1,
         created = coalesce(created, ${now}), started = coalesce(started, ${now}) where id = ?
         and (state = 'queued' or (state = 'working' and token <> ?)) and ${held.sql}`,
      [lease.managementNodeId, lease.token, id, lease.token, ...held.bindings],
    );
    if (won === 0) {
      await assertLease(tx, lease);
      return null;
    }
    const row = await tx.one<Row>(`select ${COLUMNS} from provisiond_operation o where o.id = ?`, [id]);
    return row ? toOperation(row) : null;
  });
}

async function noteOperation(db: Database, lease: Lease, id: number, progress: OperationProgress): Promise<void> {
  const values: [string, Value][] = [
    ...(progress.percent === undefined ? [] : [['percent', Math.round(progress.percent)] as [string, Value]]),
    ...(progress.step === undefined ? [] : [['step', fit(progress.step, 120)] as [string, Value]]),
    ...(progress.journal === undefined ? [] : [['journal', progress.journal] as [string, Value]]),
    ...(progress.result === undefined ? [] : [['result', fit(progress.result)] as [string, Value]]),
  ];
  if (values.length === 0) return;
  const held = leaseHeld(db.dialect, lease);
  const changed = await db.change(
    `update provisiond_operation set ${values.map(([column]) => `${column} = ?`).join(', ')}
     where id = ? and state = 'working' and token = ? and ${held.sql}`,
    [...values.map(([, value]) => value), id, lease.token, ...held.bindings],
  );
  if (changed > 0) return;
  await assertLease(db, lease);
  throw new ProvisiondError('CLAIM_LOST', `operation ${id} is not in our hands any more`);
}

async function endOperation(db: Database, lease: Lease, id: number, { state, error }: OperationEnd): Promise<void> {
  const { now } = db.dialect;
  const held = leaseHeld(db.dialect, lease);
  const changed = await db.change(
    `update provisiond_operation set state = ?, ended = ${now}, created = coalesce(created, ${now}),
       percent = case when ? = 'done' then 100 else percent end, errorcode = ?, blame = ?, message = ?, hint = ?
     where id = ? and (state = 'queued' or (state = 'working' and token = ?)) and ${held.sql}`,
    [
      ...[state, state, error?.code ?? null, error?.blame ?? null],
      ...[error ? fit(error.message) : null, error ? fit(error.hint) : null],
      ...[id, lease.token, ...held.bindings],
    ],
  );
  if (changed === 0) await assertLease(db, lease);
}

export async function askForOperation(db: Database, wish: OperationWish): Promise<number | null> {
  const { time } = (await db.one<{ time: string }>(`select ${db.dialect.now} as time`))!;
  const row = {
    kind: wish.kind,
    computerid: wish.computerId,
    arguments: wish.arguments === undefined ? null : JSON.stringify(wish.arguments),
    requestedby: fit(wish.requestedBy, 255),
    idempotencykey: wish.idempotencyKey ?? null,
    created: time,
  };
  return db.transaction(async (tx) => {
    try {
      return await tx.insert('provisiond_operation', row);
    } catch (error) {
      if (wish.idempotencyKey !== undefined && isDuplicate(error)) return null;
      throw error;
    }
  });
}

async function pruneOperations(db: Database, lease: Lease, days: number): Promise<number> {
  const { now, addSeconds } = db.dialect;
  const before = addSeconds(now, '?');
  const seconds = -days * 24 * 3600;
  const held = leaseHeld(db.dialect, lease);
  const removed = await db.change(
    `delete from provisiond_operation where state in ('done', 'failed', 'cancelled') and ended < ${before} and ${held.sql}`,
    [seconds, ...held.bindings],
  );
  await db.change(`delete from provisiond_vm_event where time < ${before} and ${held.sql}`, [
    seconds,
    ...held.bindings,
  ]);
  return removed;
}

export async function tellVmEvents(db: Queryable, events: readonly VmEvent[]): Promise<void> {
  if (events.length === 0) return;
  const places = events.map(() => `(${db.dialect.now}, ?, ?, ?, ?, ?)`).join(', ');
  await db.change(
    `insert into provisiond_vm_event (time, computerid, operationid, kind, text, milliseconds) values ${places}`,
    events.flatMap(({ computerId, operationId, kind, text, milliseconds }): Value[] => [
      ...[computerId, operationId, kind, fit(text)],
      milliseconds === undefined ? null : Math.round(milliseconds),
    ]),
  );
}

/** States in which a request in hand works on the machine itself; in the others it waits for people. */
export const WORKING_STATES = stateIds(...WORKABLE_REQUEST_STATES.filter((state) => !isWaiting(state)));
export const PENDING = STATE_IDS.pending;
