/** One active daemon a management node: the lease, its token, and what a lost one means for every write. */
import { ProvisiondError } from '../errors';
import { shortName } from '../model/names';
import type { ManagementNodeFacts } from '../model/reservation';
import { STATE_IDS } from '../model/states';
import type { Bindings, Database, Queryable } from './database';
import type { Dialect } from './dialect';
import type { Claim, Lease, Store } from './store';

/** A piece of a WHERE with its values. */
export interface Condition {
  readonly sql: string;
  readonly bindings: Bindings;
}

/** Holds while the lease is ours, and keeps it ours until the transaction ends. */
export function leaseHeld(dialect: Dialect, lease: Lease): Condition {
  return {
    sql: `exists (select 1 from provisiond_lease where managementnodeid = ? and token = ?${dialect.shareLock})`,
    bindings: [lease.managementNodeId, lease.token],
  };
}

/** Holds while the lease is ours and the request is still pending with the state that we took it up in. */
export function claimHeld(dialect: Dialect, claim: Claim): Condition {
  const lease = leaseHeld(dialect, claim.lease);
  return {
    sql: `${lease.sql} and exists (select 1 from request where id = ? and stateid = ${STATE_IDS.pending} and laststateid = ?)`,
    bindings: [...lease.bindings, claim.requestId, STATE_IDS[claim.state]],
  };
}

/** @throws LEASE_LOST */
export async function assertLease(db: Queryable, lease: Lease): Promise<void> {
  const { sql, bindings } = leaseHeld(db.dialect, lease);
  if (!(await db.one(`select 1 as held from (select 1 as one) it where ${sql}`, bindings))) {
    const message = `another provisiond took over management node ${lease.managementNodeId} from ${lease.holder}`;
    throw new ProvisiondError('LEASE_LOST', message);
  }
}

/** @throws LEASE_LOST, CLAIM_LOST */
export async function assertClaim(db: Queryable, claim: Claim): Promise<void> {
  const { sql, bindings } = claimHeld(db.dialect, claim);
  if (await db.one(`select 1 as held from (select 1 as one) it where ${sql}`, bindings)) return;
  await assertLease(db, claim.lease);
  const message = `request ${claim.requestId} is not pending/${claim.state} any more`;
  throw new ProvisiondError('CLAIM_LOST', message, { details: { requestId: claim.requestId } });
}

interface NodeRow {
  id: number;
  hostname: string;
  keys: string | null;
  publicIPconfiguration: ManagementNodeFacts['publicIpConfiguration'];
  publicSubnetMask: string | null;
  publicDefaultGateway: string | null;
  publicDNSserver: string | null;
  NOT_STANDALONE: string | null;
}

export function toManagementNode(row: NodeRow): ManagementNodeFacts {
  return {
    id: row.id,
    hostname: row.hostname,
    shortName: shortName(row.hostname),
    keyFiles: splitList(row.keys),
    publicIpConfiguration: row.publicIPconfiguration,
    publicNetmask: row.publicSubnetMask || null,
    publicGateway: row.publicDefaultGateway || null,
    publicDnsServers: splitList(row.publicDNSserver),
    federatedAffiliations: splitList(row.NOT_STANDALONE),
  };
}

const splitList = (list: string | null): string[] => (list ?? '').split(/[\s,]+/).filter((item) => item !== '');

type LeaseVerbs = Pick<
  Store,
  'managementNode' | 'checkIn' | 'acquireLease' | 'leaseHolder' | 'renewLease' | 'releaseLease'
>;

export function leaseVerbs(db: Database): LeaseVerbs {
  return {
    managementNode: (hostname) => findManagementNode(db, hostname),
    checkIn: async (lease) => {
      const { sql, bindings } = leaseHeld(db.dialect, lease);
      const update = `update managementnode set lastcheckin = ${db.dialect.now} where id = ? and ${sql}`;
      if ((await db.change(update, [lease.managementNodeId, ...bindings])) === 0) await assertLease(db, lease);
    },
    acquireLease: (...wanted) => acquireLease(db, ...wanted),
    leaseHolder: async (managementNodeId) => {
      const alive = `select holder from provisiond_lease where managementnodeid = ? and expires > ${db.dialect.clock}`;
      return (await db.one<{ holder: string }>(alive, [managementNodeId]))?.holder ?? null;
    },
    renewLease: async (lease, seconds) => {
      const update = `update provisiond_lease set expires = ${db.dialect.clock} + ? where managementnodeid = ? and token = ?`;
      if ((await db.change(update, [seconds, lease.managementNodeId, lease.token])) === 0) await assertLease(db, lease);
    },
    releaseLease: async (lease) => {
      const update = 'update provisiond_lease set expires = 0 where managementnodeid = ? and token = ?';
      await db.change(update, [lease.managementNodeId, lease.token]);
    },
  };
}

async function findManagementNode(db: Database, hostname: string): Promise<ManagementNodeFacts> {
  const pattern = `${hostname.replace(/[!%_]/g, '!$&')}.%`;
  const sql = `select * from managementnode where hostname = ? or hostname like ? escape '!' order by hostname = ? desc, id`;
  const row = await db.one<NodeRow>(sql, [hostname, pattern, hostname]);
  if (!row) throw new ProvisiondError('NOT_FOUND', `there is no management node '${hostname}' in ${db.label}`);
  return toManagementNode(row);
}

/** The same holder asking again (a restart) gets a new token as well: its former self is fenced off. */
async function acquireLease(
  db: Database,
  nodeId: number,
  holder: string,
  seconds: number,
  dead = holder,
): Promise<Lease | null> {
  const { clock, keep } = db.dialect;
  return db.transaction(async (tx) => {
    await tx.change(
      `insert into provisiond_lease (managementnodeid, holder, token, expires) values (?, '', 0, 0) ${keep('managementnodeid')}`,
      [nodeId],
    );
    const taken = await tx.change(
      `update provisiond_lease set holder = ?, token = token + 1, expires = ${clock} + ?
       where managementnodeid = ? and (expires <= ${clock} or holder in (?, ?))`,
      [holder, seconds, nodeId, holder, dead],
    );
    if (taken === 0) return null;
    const row = await tx.one<{ token: number }>('select token from provisiond_lease where managementnodeid = ?', [
      nodeId,
    ]);
    return { managementNodeId: nodeId, holder, token: row!.token };
  });
}
