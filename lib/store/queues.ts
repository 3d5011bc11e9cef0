/** The queues of what is delivered later: messages, and calls to the front end. */
import type { Database, Value } from './database';
import { assertLease, leaseHeld } from './lease-verbs';
import type { CallOutcome, Lease, Parcel, Queue, QueuedCall, QueuedMessage, Store } from './store';
import { fit } from './story-verbs';

/** So that a long queue is not read whole each time. */
const AT_ONCE = 20;

type QueueVerbs = Pick<Store, 'messages' | 'calls' | 'queueMessage' | 'queueCall' | 'callOutcome'>;

export function queueVerbs(db: Database): QueueVerbs {
  return {
    messages: queue(
      db,
      'provisiond_message',
      (row: ParcelRow & Omit<QueuedMessage, keyof Parcel>): QueuedMessage => row,
    ),
    calls: queue(db, 'provisiond_call', (row: ParcelRow & { method: string; parameters: string }): QueuedCall => ({
      ...row,
      parameters: JSON.parse(row.parameters) as unknown[],
    })),
    queueMessage: (lease, occasion, { recipient, sender, copy, subject, body }) =>
      put(db, 'provisiond_message', lease, occasion, {
        recipient,
        sender,
        copy,
        subject: fit(subject, 255),
        body: fit(body),
      }),
    queueCall: (lease, occasion, { method, parameters }) =>
      put(db, 'provisiond_call', lease, occasion, { method, parameters: JSON.stringify(parameters) }),
    callOutcome: async (occasion) => {
      const sql = 'select state, answer, error from provisiond_call where occasion = ?';
      const row = await db.one<{ state: string; answer: string | null; error: string | null }>(sql, [occasion]);
      return row ? outcomeOf(row) : null;
    },
  };
}

type ParcelRow = Parcel;
type TableName = 'provisiond_message' | 'provisiond_call';

function outcomeOf({
  state,
  answer,
  error,
}: {
  state: string;
  answer: string | null;
  error: string | null;
}): CallOutcome {
  if (state === 'done') return { state, answer: JSON.parse(answer ?? 'null') as unknown };
  return state === 'refused' ? { state, error: error ?? '' } : { state: 'waiting', error };
}

async function put(db: Database, table: TableName, lease: Lease, occasion: string, content: Record<string, Value>) {
  const { now, clock, keep } = db.dialect;
  const columns = Object.keys(content);
  await db.change(
    `insert into ${table} (managementnodeid, occasion, created, due, attempts, state, ${columns.join(', ')})
     values (?, ?, ${now}, ${clock}, 0, 'waiting', ${columns.map(() => '?').join(', ')}) ${keep('occasion')}`,
    [lease.managementNodeId, occasion, ...Object.values(content)],
  );
}

function queue<Row extends ParcelRow, P extends Parcel>(
  db: Database,
  table: TableName,
  read: (row: Row) => P,
): Queue<P> {
  const { now, clock, secondsBetween, addSeconds } = db.dialect;
  const change = async (lease: Lease, sql: string, bindings: Value[]) => {
    const held = leaseHeld(db.dialect, lease);
    if ((await db.change(`${sql} and ${held.sql}`, [...bindings, ...held.bindings])) === 0)
      await assertLease(db, lease);
  };
  return {
    due: async (managementNodeId) => {
      const rows = await db.rows<Row>(
        `select ${table}.*, ${secondsBetween('created', now)} as ageSeconds from ${table}
         where state = 'waiting' and managementnodeid = ? and due <= ${clock} order by due, id limit ${AT_ONCE}`,
        [managementNodeId],
      );
      return rows.map(read);
    },
    settle: (lease, id, outcome) => {
      const state = 'answer' in outcome ? 'done' : 'refused';
      const error = 'answer' in outcome ? null : fit(outcome.error);
      const answer = table === 'provisiond_call' && 'answer' in outcome ? [JSON.stringify(outcome.answer)] : [];
      const sql = `update ${table} set state = ?, attempts = attempts + 1, error = ?${answer.map(() => ', answer = ?').join('')}
         where id = ?`;
      return change(lease, sql, [state, error, ...answer, id]);
    },
    postpone: (lease, id, seconds, error) =>
      change(lease, `update ${table} set attempts = attempts + 1, due = ${clock} + ?, error = ? where id = ?`, [
        seconds,
        fit(error),
        id,
      ]),
    prune: async (lease, days) => {
      const old = `delete from ${table} where managementnodeid = ? and state <> 'waiting' and created < ${addSeconds(now, '?')}`;
      await db.change(old, [lease.managementNodeId, -days * 86_400]);
    },
  };
}
