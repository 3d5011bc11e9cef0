/** The questions of predictive modules (`VCL::Module::Predictive`), one statement each. */
import type { Forecast, ImageChoice } from '../model/forecast';
import type { Reservation } from '../model/reservation';
import { STATE_IDS } from '../model/states';
import { NO_IMAGE } from './claim-verbs';
import type { Bindings, Database } from './database';
import { assertClaim, claimHeld } from './lease-verbs';
import { stateIds } from './poll-sql';
import type { Store } from './store';

const COMPUTER_RESOURCE = 12;
const IMAGE_RESOURCE = 13;

export function forecastVerbs(db: Database): Pick<Store, 'forecast' | 'fulfilNextImage'> {
  return {
    forecast: (reservation) => forecast(db, reservation),
    fulfilNextImage: async (claim, computerId, imageId) => {
      const held = claimHeld(db.dialect, claim);
      const update = `update computer set nextimageid = ${NO_IMAGE.id} where id = ? and nextimageid = ? and ${held.sql}`;
      if ((await db.change(update, [computerId, imageId, ...held.bindings])) === 0) await assertClaim(db, claim);
    },
  };
}

function forecast(db: Database, { computer }: Reservation): Forecast {
  const { now, addSeconds } = db.dialect;
  const choose = async (sql: string, bindings: Bindings): Promise<ImageChoice | null> => {
    const row = await db.one<{ id: number; revisionId: number }>(`${sql} limit 1`, bindings);
    return row ? { id: row.id, revisionId: row.revisionId } : null;
  };
  return {
    blockImage: () =>
      choose(
        `select i.id, v.id as revisionId from blockComputers b join blockTimes t on t.id = b.blockTimeid
         join image i on i.id = b.imageid ${PRODUCTION}
         where b.computerid = ? and t.skip = 0 and t.\`end\` > ${now} order by t.start, t.id`,
        [computer.id],
      ),
    nextImage: () =>
      choose(
        `select i.id, v.id as revisionId from computer c join image i on i.id = c.nextimageid ${PRODUCTION}
         where c.id = ? and i.name <> 'noimage'`,
        [computer.id],
      ),
    upcomingImage: (minutes) =>
      choose(
        `select r.imageid as id, r.imagerevisionid as revisionId from reservation r join request q on q.id = r.requestid
         where r.computerid = ? and q.stateid in (${stateIds('new', 'reload', 'imageprep')})
           and q.start < ${addSeconds(now, '?')} order by q.start, q.id`,
        [computer.id, minutes * 60],
      ),
    busyShare: async () => {
      const online = stateIds('available', 'reserved', 'reloading', 'inuse', 'timeout');
      const row = await db.one<{ all: number; free: number }>(
        `select count(*) as \`all\`, count(case when stateid = ${STATE_IDS.available} then 1 end) as free
         from computer where type = ? and deleted = 0 and stateid in (${online})`,
        [computer.type],
      );
      return row && row.all > 0 ? (row.all - row.free) / row.all : 0;
    },
    popularImage: (days) =>
      choose(
        `select i.id, v.id as revisionId from log l join image i on i.id = l.imageid ${PRODUCTION} ${INSTALLABLE}
         where l.start > ${addSeconds(now, '?')} and i.name <> 'noimage' and exists (${MAPPED})
           and (select count(*) from computer free where free.currentimageid = i.id
             and free.stateid = ${STATE_IDS.available} and free.deleted = 0) <= 1
         group by i.id, v.id order by count(*) desc, i.id`,
        [computer.id, -days * 86_400],
      ),
  };
}

const PRODUCTION = 'and i.deleted = 0 join imagerevision v on v.imageid = i.id and v.production = 1';

/** On the computer, which is the first binding. */
const INSTALLABLE = `join OS o on o.id = i.OSid join OSinstalltype t on t.name = o.installtype
  join provisioningOSinstalltype p on p.OSinstalltypeid = t.id
  join computer c on c.id = ? and c.provisioningid = p.provisioningid`;

/** A group of the image is mapped to a group of the computer, in either direction. */
const MAPPED = `select 1 from resource ir join resourcegroupmembers im on im.resourceid = ir.id
  join resourcemap m on (m.resourcegroupid1 = im.resourcegroupid and m.resourcetypeid1 = ${IMAGE_RESOURCE}
      and m.resourcetypeid2 = ${COMPUTER_RESOURCE})
    or (m.resourcegroupid2 = im.resourcegroupid and m.resourcetypeid2 = ${IMAGE_RESOURCE}
      and m.resourcetypeid1 = ${COMPUTER_RESOURCE})
  join resourcegroupmembers cm on cm.resourcegroupid =
    case when m.resourcetypeid1 = ${COMPUTER_RESOURCE} then m.resourcegroupid1 else m.resourcegroupid2 end
  join resource cr on cr.id = cm.resourceid and cr.resourcetypeid = ${COMPUTER_RESOURCE} and cr.subid = c.id
  where ir.resourcetypeid = ${IMAGE_RESOURCE} and ir.subid = i.id`;
