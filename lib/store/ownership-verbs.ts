/** What the rows own, for an audit of the hosts; and the operator's way out of every state. */
import { ProvisiondError } from '../errors';
import { isWorkable, STATE_IDS, type StateName } from '../model/states';
import type { Database, Queryable } from './database';
import type { FrontEnd, Ownership, Recovery, RecoveryKind } from './front-end';
import { knownState } from './inbox-verbs';
import { NO_IMAGE } from './claim-verbs';
import { stateIds } from './poll-sql';
import { shortName } from '../model/names';

export function ownershipVerbs(db: Database): Pick<FrontEnd, 'ownership' | 'recover'> {
  return {
    ownership: () => db.transaction((tx) => readOwnership(tx)),
    recover: (requestId, kind, options) => db.transaction((tx) => recover(tx, requestId, kind, options.dryRun)),
  };
}

interface OwnerRow {
  id: number;
  name: string;
  stateid: number;
  imageid: number;
  revisionid: number;
  hostId: number | null;
}

async function readOwnership(tx: Queryable): Promise<Ownership> {
  const computers = await tx.rows<OwnerRow>(
    `select c.id, c.hostname as name, c.stateid, c.currentimageid as imageid, c.imagerevisionid as revisionid,
       v.computerid as hostId
     from computer c left join vmhost v on v.id = c.vmhostid where c.deleted = 0 and c.type = 'virtualmachine'`,
  );
  const live = await tx.rows<{ computerid: number }>(
    `select r.computerid from reservation r join request q on q.id = r.requestid
     where q.stateid not in (${stateIds('failed', 'complete')})`,
  );
  const busy = new Set(live.map(({ computerid }) => computerid));
  const ids = async (sql: string) => (await tx.rows<{ id: number }>(sql)).map(({ id }) => id);
  return {
    computers: computers.map((row) => ({
      computerId: row.id,
      shortName: shortName(row.name),
      state: knownState(row.stateid, `computer '${row.name}'`),
      hostComputerId: row.hostId,
      currentRevisionId: row.imageid === NO_IMAGE.id ? null : row.revisionid,
      isBusy: busy.has(row.id),
    })),
    requestIds: await ids('select id from request'),
    imageRevisionIds: await ids('select id from imagerevision where deleted = 0'),
  };
}

interface Row {
  stateid: number;
  laststateid: number;
  holder: string | null;
}

/** One conditional update, so that whoever changes the request at the same time wins or loses, and never half. */
async function recover(tx: Queryable, requestId: number, kind: RecoveryKind, dryRun: boolean): Promise<Recovery> {
  const row = await tx.one<Row>(
    `select q.stateid, q.laststateid, l.holder from request q
     left join provisiond_job j on j.requestid = q.id
     left join provisiond_lease l on l.token = j.token and l.expires > ${tx.dialect.clock} and l.managementnodeid in
       (select r.managementnodeid from reservation r where r.requestid = q.id)
     where q.id = ?`,
    [requestId],
  );
  if (!row) throw new ProvisiondError('REQUEST_NOT_FOUND', `there is no request ${requestId}`);
  const what = `request ${requestId}`;
  const state = knownState(row.stateid, what);
  const lastState = knownState(row.laststateid, what);
  const recovery = plan(requestId, kind, { state, lastState, holder: state === 'pending' ? row.holder : null });
  if (dryRun || recovery.to === null) return recovery;
  const changed = await tx.change(
    'update request set stateid = ?, laststateid = ? where id = ? and stateid = ? and laststateid = ?',
    [STATE_IDS[recovery.to.state], STATE_IDS[recovery.to.lastState], requestId, row.stateid, row.laststateid],
  );
  if (changed === 0) throw new ProvisiondError('CLAIM_LOST', `${what} changed at this very moment`);
  if (recovery.computer !== null) await setComputers(tx, requestId, recovery.computer);
  if (kind !== 'release') await tx.change('delete from provisiond_job where requestid = ?', [requestId]);
  return recovery;
}

async function setComputers(tx: Queryable, requestId: number, state: NonNullable<Recovery['computer']>): Promise<void> {
  const only = {
    available: `stateid = ${STATE_IDS.failed}`,
    // A capture that failed has put it aside, with its user's machine on it.
    inuse: `stateid in (${stateIds('maintenance', 'failed')})`,
    failed: `stateid not in (${stateIds('maintenance')})`,
  }[state];
  await tx.change(
    `update computer set stateid = ? where ${only} and stateid <> ${STATE_IDS.deleted}
       and id in (select computerid from reservation where requestid = ?)`,
    [STATE_IDS[state], requestId],
  );
}

interface Facts {
  readonly state: StateName;
  readonly lastState: StateName;
  /** The living daemon that works it. */
  readonly holder: string | null;
}

/** What each verb does in each state. @throws CONFLICT where it would be wrong, with what to do instead */
function plan(requestId: number, kind: RecoveryKind, facts: Facts): Recovery {
  const { state, lastState, holder } = facts;
  const from = { state, lastState };
  const work = state === 'pending' || !isWorkable(state) ? lastState : state;
  const base = { requestId, kind, from, computer: null };
  if (kind === 'release') {
    if (work === 'deleted' && holder !== null) {
      return { ...base, to: null, says: 'it is being released already' };
    }
    const says = 'the daemon clears its computer, which becomes available, and removes the request';
    const computer = isFailedCapture(from) ? ('inuse' as const) : null;
    return { ...base, to: { state: 'deleted', lastState: work === 'deleted' ? 'inuse' : work }, computer, says };
  }
  if (holder !== null) {
    const hint = `Wait for it, or take the machine away: provisiond recover ${requestId} --release`;
    throw new ProvisiondError('CONFLICT', `request ${requestId} is being worked by ${holder} (${lastState})`, { hint });
  }
  if (kind === 'fail') {
    if (state === 'failed') return { ...base, to: null, says: 'it has failed already' };
    const says = 'it ends as failed; its computer is set failed and keeps what is on it until somebody has looked';
    return { ...base, to: { state: 'failed', lastState: work }, computer: 'failed', says };
  }
  return retry(base, work);
}

/** As the restart in VCL's dashboard: the computer is the user's again, and what becomes of it is decided anew. */
function isFailedCapture({ state, lastState }: Recovery['from']): boolean {
  return state === 'maintenance' && (lastState === 'image' || lastState === 'checkpoint');
}

function retry(base: Omit<Recovery, 'to' | 'says'>, work: StateName): Recovery {
  const { requestId, from } = base;
  if (from.state === 'pending') {
    return { ...base, to: null, says: `the next daemon that starts goes on with it (${from.lastState})` };
  }
  if (isWorkable(from.state)) return { ...base, to: null, says: 'the daemon takes it up as soon as it is due' };
  if (!isWorkable(work) || from.state === 'complete') {
    const hint = `Make a new reservation, or clear its computer: provisiond recover ${requestId} --release`;
    throw new ProvisiondError('CONFLICT', `request ${requestId} (${from.state}/${from.lastState}) is over`, { hint });
  }
  if (isFailedCapture(from)) {
    const says = `the daemon makes the image once more from the user's machine (${work})`;
    return { ...base, to: { state: work, lastState: 'inuse' }, computer: 'inuse', says };
  }
  const says = `the daemon works it once more from the top, as ${work}; a failed computer is used again`;
  return { ...base, to: { state: work, lastState: work }, computer: 'available', says };
}
