/** Appliances and instances as the command line enters and shows them. */
import { ProvisiondError } from '../errors';
import { applianceOf, MOST_MEMBERS } from '../model/instance';
import { shortName } from '../model/names';
import type { Database, Queryable, Value } from './database';
import { isDuplicate } from './database-errors';
import type { ApplianceDetails, ApplianceFrontEnd, InstanceEdit } from './instance-store';
import { readInstances } from './instance-verbs';
import { requireFit } from './inventory-rows';

export function applianceVerbs(db: Database): ApplianceFrontEnd {
  return {
    createAppliance: (name) => createAppliance(db, name),
    deleteAppliance: (name) =>
      db.transaction(async (tx) => {
        const id = await requireFree(tx, name);
        await tx.change('delete from provisiond_appliance_vm where applianceid = ?', [id]);
        await tx.change('delete from provisiond_appliance where id = ?', [id]);
      }),
    addToAppliance: (name, computers) =>
      db.transaction(async (tx) => {
        const id = await requireFree(tx, name);
        for (const computer of computers) await addMember(tx, { id, name }, computer);
      }),
    removeFromAppliance: (name, computers) =>
      db.transaction(async (tx) => {
        const id = await requireFree(tx, name);
        const remove = 'delete from provisiond_appliance_vm where applianceid = ? and computerid = ?';
        for (const computer of computers) {
          if ((await tx.change(remove, [id, await findComputer(tx, computer)])) > 0) continue;
          throw new ProvisiondError('NOT_FOUND', `computer '${computer}' is not in appliance '${name}'`);
        }
      }),
    listAppliances: () => readAppliances(db, '1 = 1', []),
    showAppliance: async (name) => {
      const [found] = await readAppliances(db, 'a.name = ?', [name]);
      return found ?? unknown(name);
    },
    listInstances: async () => {
      const masters = await db.rows<{ id: number; prettyname: string }>(
        'select v.id, i.prettyname from imagerevision v join image i on i.id = v.imageid',
      );
      const nameOf = (id: number | null) => masters.find((one) => one.id === id)?.prettyname ?? null;
      return (await readInstances(db)).map((one) => ({ ...one, master: nameOf(one.masterRevisionId) }));
    },
    editInstance: (name, edit) => db.transaction((tx) => editInstance(tx, name, edit)),
  };
}

function unknown(name: string): never {
  const hint = 'provisiond appliance list shows what there is';
  throw new ProvisiondError('NOT_FOUND', `there is no appliance '${name}'`, { hint });
}

async function createAppliance(db: Database, name: string): Promise<void> {
  requireFit('the name of the appliance', name, 60);
  const { now } = (await db.one<{ now: string }>(`select ${db.dialect.now} as now`))!;
  await db.transaction(async (tx) => {
    try {
      await tx.insert('provisiond_appliance', { name, created: now });
    } catch (error) {
      if (!isDuplicate(error)) throw error;
      throw new ProvisiondError('CONFLICT', `there is an appliance '${name}' already`, { blame: 'request' });
    }
  });
}

/** Operations on appliances are few: their arguments tell which one they are about. */
async function requireFree(tx: Queryable, name: string): Promise<number> {
  const found = await tx.one<{ id: number }>('select id from provisiond_appliance where name = ?', [name]);
  if (!found) return unknown(name);
  const open = await tx.rows<{ id: number; kind: string; arguments: string | null }>(
    `select id, kind, arguments from provisiond_operation where state in ('queued', 'working') and computerid is null`,
  );
  const rival = open.find((one) => applianceOf(one.arguments) === name);
  if (!rival) return found.id;
  const message = `operation ${rival.id} (${rival.kind}) of appliance '${name}' is under way`;
  throw new ProvisiondError('OTHER_OPERATION_IN_PROGRESS', message, { details: { operation: rival.id } });
}

async function findComputer(tx: Queryable, name: string): Promise<number> {
  const row = await tx.one<{ id: number }>(
    `select id from computer where deleted = 0 and type = 'virtualmachine'
       and (hostname = ? or hostname like ? escape '!') order by hostname = ? desc, id`,
    [name, `${name.replace(/[!%_]/g, '!$&')}.%`, name],
  );
  if (row) return row.id;
  throw new ProvisiondError('NOT_FOUND', `there is no virtual machine '${name}'`);
}

async function addMember(tx: Queryable, { id, name }: { id: number; name: string }, computer: string): Promise<void> {
  const computerid = await findComputer(tx, computer);
  const held = await tx.one<{ applianceid: number; name: string }>(
    `select m.applianceid, a.name from provisiond_appliance_vm m join provisiond_appliance a on a.id = m.applianceid
     where m.computerid = ?`,
    [computerid],
  );
  if (held?.applianceid === id) return;
  if (held) {
    const message = `computer '${computer}' is in appliance '${held.name}' already`;
    throw new ProvisiondError('CONFLICT', message, {
      blame: 'request',
      hint: `Take it out first: provisiond appliance remove ${held.name} ${computer}`,
    });
  }
  const { count } = (await tx.one<{ count: number }>(
    'select count(*) as count from provisiond_appliance_vm where applianceid = ?',
    [id],
  ))!;
  if (Number(count) >= MOST_MEMBERS) {
    throw new ProvisiondError('CONFLICT', `appliance '${name}' has ${MOST_MEMBERS} VMs, which is all that it may have`);
  }
  await tx.insert('provisiond_appliance_vm', { computerid, applianceid: id });
}

async function readAppliances(db: Database, condition: string, bindings: readonly Value[]) {
  const rows = await db.rows<{
    name: string;
    created: string | null;
    hostname: string | null;
    undeployed: string | null;
    powerstate: string | null;
    image: string | null;
  }>(
    `select a.name, a.created, c.hostname, vm.powerstate, case when i.id = 1 then null else i.prettyname end as image,
       case when vm.uuid is null or vm.uuid = m.undeployed then m.undeployed end as undeployed
     from provisiond_appliance a
     left join provisiond_appliance_vm m on m.applianceid = a.id
     left join computer c on c.id = m.computerid and c.deleted = 0
     left join image i on i.id = c.currentimageid
     left join provisiond_vm vm on vm.computerid = c.id
     where ${condition} order by a.name, c.hostname`,
    bindings,
  );
  const names = [...new Set(rows.map(({ name }) => name))];
  return names.map((name): ApplianceDetails => {
    const own = rows.filter((row) => row.name === name);
    const vms = own.flatMap(({ hostname, undeployed, powerstate, image }) =>
      hostname === null
        ? []
        : [
            {
              computer: shortName(hostname),
              deployed: undeployed === null,
              powerState: powerstate ?? 'Unknown',
              image,
            },
          ],
    );
    return { name, created: own[0]!.created, vms };
  });
}

async function editInstance(tx: Queryable, name: string, edit: InstanceEdit): Promise<void> {
  const found = (await readInstances(tx)).find((one) => one.prettyName === name || one.imageName === name);
  if (!found) throw new ProvisiondError('NOT_FOUND', `there is no instance '${name}'`);
  const { prettyName, description, ramMiB, cpus } = edit;
  if (prettyName !== undefined) {
    requireFit('the name of the instance', prettyName, 80);
    const taken = 'select 1 from image where prettyname = ? and id <> ?';
    if (await tx.one(taken, [prettyName, found.imageId])) {
      throw new ProvisiondError('CONFLICT', `there is an image '${prettyName}' already`, { blame: 'request' });
    }
  }
  const values = Object.entries({ prettyname: prettyName, description, minram: ramMiB, minprocnumber: cpus });
  for (const [column, value] of values) {
    if (value === undefined) continue;
    await tx.change(`update image set ${column} = ? where id = ?`, [value, found.imageId]);
  }
}
