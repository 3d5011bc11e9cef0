/**
 * Block allocations: computers that are kept for a group at given times (`blockRequest`, `blockTimes`,
 * `blockComputers`). VCL's own query lets ended times of all nodes and states pass, by a missing pair of brackets.
 */
import type { Database } from './database';
import { assertLease, leaseHeld } from './lease-verbs';
import type { DueBlock, Lease, Store } from './store';

/** The front end orders the reloads of a block that begins within this. */
const START_WINDOW_SECONDS = 6 * 3600;

type BlockVerbs = Pick<Store, 'dueBlocks' | 'setBlockProcessing' | 'setBlockTimeProcessed' | 'endBlocks'>;

export function blockVerbs(db: Database): BlockVerbs {
  const change = async (lease: Lease, sql: string, bindings: (string | number)[]): Promise<number> => {
    const held = leaseHeld(db.dialect, lease);
    const changed = await db.change(`${sql} and ${held.sql}`, [...bindings, ...held.bindings]);
    if (changed === 0) await assertLease(db, lease);
    return changed;
  };
  return {
    dueBlocks: (managementNodeId) => dueBlocks(db, managementNodeId),
    setBlockProcessing: async (lease, blockId, processing) => {
      await change(lease, 'update blockRequest set processing = ? where id = ?', [processing ? 1 : 0, blockId]);
    },
    setBlockTimeProcessed: async (lease, blockTimeId) => {
      await change(lease, 'update blockTimes set processed = 1 where id = ?', [blockTimeId]);
    },
    endBlocks: async (lease) => {
      const { now } = db.dialect;
      const node = lease.managementNodeId;
      const accepted = "select id from blockRequest where managementnodeid = ? and status = 'accepted'";
      const ended = await db.rows<{ id: number }>(
        `select id from blockTimes where \`end\` < ${now} and blockRequestid in (${accepted})`,
        [node],
      );
      for (const { id } of ended) {
        await change(lease, 'delete from blockComputers where blockTimeid = ?', [id]);
        await change(lease, 'delete from blockTimes where id = ?', [id]);
      }
      const expired = await change(
        lease,
        `update blockRequest set status = 'completed', processing = 0
         where managementnodeid = ? and status = 'accepted' and expireTime < ${now}`,
        [node],
      );
      return { times: ended.length, blocks: expired };
    },
  };
}

async function dueBlocks(db: Database, managementNodeId: number): Promise<DueBlock[]> {
  const { now, addSeconds } = db.dialect;
  return db.rows<DueBlock>(
    `select b.id as blockId, t.id as blockTimeId, b.name, b.numMachines as machines, t.start, t.\`end\`,
       i.prettyname as image, g.name as userGroup, u.email as ownerEmail, a.helpaddress as helpAddress
     from blockRequest b
     join blockTimes t on t.blockRequestid = b.id
     join image i on i.id = b.imageid
     left join usergroup g on g.id = b.groupid
     left join user u on u.id = b.ownerid
     left join affiliation a on a.id = u.affiliationid
     where b.managementnodeid = ? and b.status = 'accepted' and b.expireTime >= ${now}
       and t.processed = 0 and t.skip = 0 and t.\`end\` >= ${now} and t.start <= ${addSeconds(now, '?')}
     order by t.start, t.id`,
    [managementNodeId, START_WINDOW_SECONDS],
  );
}
