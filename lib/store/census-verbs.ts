/** The reservations of a management node counted, for metrics: one statement, however many there are. */
import { type StateName, stateName } from '../model/states';
import type { Database } from './database';
import type { Census, Store } from './store';

/** Upper bounds of the bands of age, in seconds. */
export const AGE_BANDS = [60, 600, 3600, 86_400] as const;

interface CensusRow {
  stateid: number;
  laststateid: number;
  band: number;
  requests: number;
  oldest: number;
}

export function censusVerbs(db: Database): Pick<Store, 'census'> {
  const { now, secondsBetween } = db.dialect;
  // From the start, or from the request for one that was made after its start (the front end floors it to the quarter hour).
  const begun = 'case when q.start > q.daterequested then q.start else q.daterequested end';
  const bands = AGE_BANDS.map((seconds) => `when age < ${seconds} then ${seconds}`).join(' ');
  const sql = `
    select stateid, laststateid, case when age < 0 then 0 ${bands} else -1 end as band, count(*) as requests,
      max(age) as oldest
    from (select q.stateid, q.laststateid, coalesce(${secondsBetween(begun, now)}, 0) as age from request q
      where (select r.managementnodeid from reservation r where r.requestid = q.id order by r.id limit 1) = ?) it
    group by stateid, laststateid, band`;
  return {
    census: async (managementNodeId) => (await db.rows<CensusRow>(sql, [managementNodeId])).map(toCensus),
  };
}

function toCensus(row: CensusRow): Census {
  const name = (id: number): StateName | 'unknown' => stateName(id) ?? 'unknown';
  return {
    state: name(row.stateid),
    lastState: name(row.laststateid),
    youngerThanSeconds: row.band === -1 ? Infinity : row.band,
    requests: Number(row.requests),
    oldestSeconds: Math.max(0, Number(row.oldest)),
  };
}
