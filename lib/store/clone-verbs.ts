/** VMs that are bases, and those that stand on them. */
import { shortName } from '../model/names';
import type { VmBase } from '../model/vm-base';
import type { CloneStore, ChildOperation, TwinOperation } from './clone-store';
import type { Database } from './database';
import { assertLease } from './lease-verbs';
import type { Lease } from './store';

export function cloneVerbs(db: Database): CloneStore {
  return {
    vmBases: () => readBases(db),
    putVmBase: (lease, base) => putBase(db, lease, base),
    forgetVmBase: (lease, { computerId, operationId }) =>
      db.transaction(async (tx) => {
        await assertLease(tx, lease);
        const sql = 'delete from provisiond_vm_base where computerid = ? and operationid = ?';
        if ((await tx.change(sql, [computerId, operationId])) === 0) return;
        await tx.change('delete from provisiond_clone where basecomputerid = ?', [computerId]);
      }),
    setCloneOf: (lease, computerId, baseComputerId) =>
      db.transaction(async (tx) => {
        await assertLease(tx, lease);
        await tx.change('delete from provisiond_clone where computerid = ?', [computerId]);
        if (baseComputerId === null) return;
        const { time } = (await tx.one<{ time: string }>(`select ${tx.dialect.now} as time`))!;
        const row = { computerid: computerId, basecomputerid: baseComputerId, changed: time };
        await tx.insert('provisiond_clone', row);
      }),
    clonesOf: async (baseComputerId) => {
      const rows = await db.rows<{ id: number; hostname: string; host: number | null }>(
        `select c.id, c.hostname, v.computerid as host from provisiond_clone k
         join computer c on c.id = k.computerid and c.deleted = 0
         left join vmhost v on v.id = c.vmhostid where k.basecomputerid = ? order by c.id`,
        [baseComputerId],
      );
      return rows.map(({ id, hostname, host }) => ({
        computerId: id,
        shortName: shortName(hostname),
        hostId: host,
      }));
    },
    twinOf: async (operationId) =>
      (await db.one<TwinOperation>(
        `select twin.id, twin.state, twin.result from provisiond_operation twin
         join provisiond_operation own on own.id = ? and twin.id < own.id and twin.kind = own.kind
           and twin.computerid = own.computerid and coalesce(twin.arguments, '{}') = coalesce(own.arguments, '{}')
           and (twin.ended is null or twin.ended >= own.created)
         order by twin.id desc`,
        [operationId],
      )) ?? null,
    operationsKeyed: (prefix) =>
      db.rows<ChildOperation>(
        `select id, computerid as computerId, state, message as error from provisiond_operation
         where idempotencykey like ? escape '!' order by id`,
        [`${prefix.replace(/[!%_]/g, '!$&')}%`],
      ),
  };
}

interface BaseRow {
  computerid: number;
  hostcomputerid: number;
  operationid: number;
  uuid: string;
  facts: string;
  hostname: string;
}

async function readBases(db: Database): Promise<VmBase[]> {
  const rows = await db.rows<BaseRow>(
    `select b.computerid, b.hostcomputerid, b.operationid, b.uuid, b.facts, c.hostname
     from provisiond_vm_base b join computer c on c.id = b.computerid order by b.computerid`,
  );
  return rows.map(({ computerid, hostcomputerid, operationid, uuid, facts, hostname }) => ({
    ...(JSON.parse(facts) as Pick<VmBase, 'image' | 'outline' | 'volumes'>),
    computerId: computerid,
    hostId: hostcomputerid,
    operationId: operationid,
    shortName: shortName(hostname),
    uuid,
  }));
}

async function putBase(db: Database, lease: Lease, base: VmBase): Promise<void> {
  const { computerId, hostId, operationId, uuid, image, outline, volumes } = base;
  await db.transaction(async (tx) => {
    await assertLease(tx, lease);
    await tx.change('delete from provisiond_vm_base where computerid = ?', [computerId]);
    const { time } = (await tx.one<{ time: string }>(`select ${tx.dialect.now} as time`))!;
    await tx.change(
      `insert into provisiond_vm_base (computerid, hostcomputerid, operationid, uuid, facts, prepared)
       values (?, ?, ?, ?, ?, ?)`,
      [computerId, hostId, operationId, uuid, JSON.stringify({ image, outline, volumes }), time],
    );
  });
}
