/** Volumes that loads make: rows of a computer, an image or a VM profile. */
import { ProvisiondError } from '../errors';
import { PLAN_OWNERS, type PlanOwner, type WantedVolume } from '../model/volume';
import type { Database, Queryable } from './database';
import type { Dialect } from './dialect';
import type { FrontEnd } from './front-end';

const OWNERS: Readonly<Record<PlanOwner, string>> = {
  computer: 'select id, hostname as name from computer where deleted = 0',
  image: 'select id, prettyname as name from image where deleted = 0',
  profile: 'select id, profilename as name from vmprofile',
};

/** All that may concern a reservation, for `rowsOfJson` and `chooseWanted`. */
export function plannedVolumesColumn({ asJson }: Dialect): string {
  const columns = { kind: 'plan.kind', name: 'plan.name', type: 'plan.type', sizeMiB: 'plan.sizemib' };
  return `(select ${asJson(columns)} from provisiond_volume_plan plan
    where (plan.kind = 'computer' and plan.targetid = c.id) or (plan.kind = 'image' and plan.targetid = i.id)
      or (plan.kind = 'profile' and plan.targetid = p.id)) as plannedVolumes`;
}

export interface PlannedVolume extends WantedVolume {
  readonly kind: PlanOwner;
  readonly owner: string;
}

export function volumePlanVerbs(db: Database): Pick<FrontEnd, 'planVolume' | 'unplanVolume' | 'listPlannedVolumes'> {
  return {
    planVolume: async (kind, owner, { name, type, sizeMiB }) => {
      if (type === 'data' && kind !== 'computer') {
        const message = `a data volume stays with its VM: it can be planned for a computer, not for ${kind} '${owner}'`;
        throw new ProvisiondError('CONFLICT', message, { hint: 'Plan a temporary volume, or name a computer' });
      }
      const overwrite = db.dialect.overwrite(['kind', 'targetid', 'name'], ['type', 'sizemib']);
      await db.change(
        `insert into provisiond_volume_plan (kind, targetid, name, type, sizemib) values (?, ?, ?, ?, ?) ${overwrite}`,
        [kind, await findOwner(db, kind, owner), name, type, sizeMiB],
      );
    },
    unplanVolume: async (kind, owner, name) => {
      const removed = await db.change(
        'delete from provisiond_volume_plan where kind = ? and targetid = ? and name = ?',
        [kind, await findOwner(db, kind, owner), name],
      );
      if (removed === 0)
        throw new ProvisiondError('NOT_FOUND', `no volume '${name}' is planned for ${kind} '${owner}'`);
    },
    listPlannedVolumes: async () => {
      const lists = PLAN_OWNERS.map((kind) =>
        db.rows<PlannedVolume>(
          `select plan.kind, owner.name as owner, plan.name, plan.type, plan.sizemib as sizeMiB
           from provisiond_volume_plan plan join (${OWNERS[kind]}) owner on owner.id = plan.targetid
           where plan.kind = ? order by owner.name, plan.name`,
          [kind],
        ),
      );
      return (await Promise.all(lists)).flat();
    },
  };
}

/** @throws NOT_FOUND */
async function findOwner(db: Queryable, kind: PlanOwner, name: string): Promise<number> {
  const owners = await db.rows<{ id: number; name: string }>(OWNERS[kind]);
  const found = owners.find((owner) => owner.name === name);
  if (!found) throw new ProvisiondError('NOT_FOUND', `there is no ${kind} '${name}'`);
  return found.id;
}
