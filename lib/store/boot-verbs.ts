/** Boot parameters in the database: JSON, a row a computer, an image or a VM profile. */
import { ProvisiondError } from '../errors';
import { BOOT_FIELDS, type BootParameters } from '../model/boot';
import type { Database, Queryable } from './database';
import type { BootEntry, BootOwner, FrontEnd } from './front-end';

/** Where the names of the owners stand. */
const OWNERS: Readonly<Record<BootOwner, { readonly sql: string; readonly what: string }>> = {
  computer: { sql: 'select id, hostname as name from computer where deleted = 0', what: 'computer' },
  image: { sql: 'select id, prettyname as name from image where deleted = 0', what: 'image' },
  profile: { sql: 'select id, profilename as name from vmprofile', what: 'VM profile' },
};

export function bootVerbs(db: Database): Pick<FrontEnd, 'putBoot' | 'listBoot'> {
  return {
    putBoot: (kind, name, parameters) => db.transaction((tx) => putBoot(tx, kind, name, parameters)),
    listBoot: () => db.transaction(listBoot),
  };
}

async function putBoot(tx: Queryable, kind: BootOwner, name: string, parameters: BootParameters | null): Promise<void> {
  const { sql, what } = OWNERS[kind];
  const owners = (await tx.rows<{ id: number; name: string }>(sql)).filter((owner) => owner.name === name);
  if (owners.length === 0) throw new ProvisiondError('NOT_FOUND', `there is no ${what} '${name}'`);
  for (const { id } of owners) {
    await tx.change('delete from provisiond_boot where kind = ? and targetid = ?', [kind, id]);
    if (parameters === null) continue;
    const json = JSON.stringify(parameters);
    await tx.change('insert into provisiond_boot (kind, targetid, parameters) values (?, ?, ?)', [kind, id, json]);
  }
}

async function listBoot(tx: Queryable): Promise<BootEntry[]> {
  const entries: BootEntry[] = [];
  for (const kind of Object.keys(OWNERS) as BootOwner[]) {
    const rows = await tx.rows<{ name: string; parameters: string }>(
      `select owner.name, b.parameters from provisiond_boot b join (${OWNERS[kind].sql}) owner on owner.id = b.targetid
       where b.kind = ? order by owner.name`,
      [kind],
    );
    entries.push(...rows.map(({ name, parameters }) => ({ kind, name, parameters: readBootParameters(parameters) })));
  }
  return entries;
}

/**
 * Parameters as the database holds them.
 * @throws BOOT_INVALID for what is no object of known texts
 */
export function readBootParameters(json: string): BootParameters {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new ProvisiondError('BOOT_INVALID', `boot parameters are no JSON: ${json.slice(0, 80)}`, { cause });
  }
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [['', value]];
  for (const [field, text] of entries) {
    if ((BOOT_FIELDS as readonly unknown[]).includes(field) && typeof text === 'string') continue;
    const message = `boot parameter ${JSON.stringify(field)} is not known, or no text; there are: ${BOOT_FIELDS.join(', ')}`;
    throw new ProvisiondError('BOOT_INVALID', message);
  }
  return value as BootParameters;
}
