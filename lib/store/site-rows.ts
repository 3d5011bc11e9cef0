/** What the rows of a site ask for beyond what is entered per reservation: for `provisiond check`. */
import type { Database } from './database';
import type { FrontEnd } from './front-end';

export function siteRowVerbs(db: Database): Pick<FrontEnd, 'modulesInUse'> {
  return {
    modulesInUse: async () => {
      const os = await db.rows<{ perlPackage: string | null; name: string; uses: number }>(
        `select m.perlpackage as perlPackage, o.name, count(*) as uses from image i join OS o on o.id = i.OSid
         left join module m on m.id = o.moduleid where i.deleted = 0 and i.id <> 1
         group by m.perlpackage, o.name order by o.name`,
      );
      const predictive = await db.rows<{ perlPackage: string | null; name: string; uses: number }>(
        `select m.perlpackage as perlPackage, m.prettyname as name, count(*) as uses from computer c
         join module m on m.id = c.predictivemoduleid where c.deleted = 0 and c.type = 'virtualmachine'
         group by m.perlpackage, m.prettyname order by m.prettyname`,
      );
      return { os, predictive };
    },
  };
}
