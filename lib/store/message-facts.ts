/** What messages say of a reservation: a text for each `[identifier]` of the templates in VCL's `variable` table. */
import { shortName } from '../model/names';
import type { Database, Value } from './database';
import type { MessageFacts, Store } from './store';

export function messageVerbs(db: Database): Pick<Store, 'messageFacts' | 'firstVariable'> {
  return {
    messageFacts: (reservationId) => messageFacts(db, reservationId),
    firstVariable: async (names) => {
      const places = names.map(() => '?').join(', ');
      const sql = `select name, value from variable where name in (${places}) and serialization = 'yaml'`;
      const rows = await db.rows<{ name: string; value: string }>(sql, names);
      const found = names.map((name) => rows.find((row) => row.name === name)).find((row) => row !== undefined);
      return found?.value ?? null;
    },
  };
}

/** The columns that are substitutions under their own names. */
const SUBSTITUTED = `
  q.id as request_id, r.id as reservation_id,
  i.id as image_id, i.prettyname as image_prettyname, i.size as image_size, v.id as imagerevision_id,
  v.revision as imagerevision_revision, v.imagename as image_name, om.perlpackage as image_os_module_perl_package,
  coalesce(meta.sysprep, 1) as imagemeta_sysprep,
  u.id as user_id, u.unityid as user_login_id, u.firstname as user_firstname, u.lastname as user_lastname,
  a.name as user_affiliation_name, a.sitewwwaddress as user_affiliation_sitewwwaddress,
  a.helpaddress as user_affiliation_helpaddress,
  c.id as computer_id, c.hostname as computer_short_name, c.IPaddress as computer_public_ip_address,
  p.name as computer_provisioning_name, p.prettyname as computer_provisioning_pretty_name,
  pm.perlpackage as computer_provisioning_module_perl_package,
  h.id as vmhost_id, hc.id as vmhost_computer_id, hc.hostname as vmhost_short_name, hp.id as vmhost_profile_id,
  hp.profilename as vmhost_profile_name, m.hostname as management_node_short_name`;

const SHORT_NAMES = ['computer_short_name', 'vmhost_short_name', 'management_node_short_name'];

interface FactsRow {
  readonly userEmail: string | null;
  readonly emailnotices: number;
  readonly sysadminEmailAddress: string | null;
  readonly sharedMailBox: string | null;
}

async function messageFacts(db: Database, reservationId: number): Promise<MessageFacts | null> {
  const row = await db.one<FactsRow & Record<string, Value>>(
    `select ${SUBSTITUTED}, u.email as userEmail, u.emailnotices, m.sysadminEmailAddress, m.sharedMailBox
     from reservation r
     join request q on q.id = r.requestid
     join image i on i.id = r.imageid
     join imagerevision v on v.id = r.imagerevisionid
     left join imagemeta meta on meta.id = i.imagemetaid
     join OS o on o.id = i.OSid
     left join module om on om.id = o.moduleid
     join user u on u.id = q.userid
     left join affiliation a on a.id = u.affiliationid
     join computer c on c.id = r.computerid
     join provisioning p on p.id = c.provisioningid
     join module pm on pm.id = p.moduleid
     left join vmhost h on h.id = c.vmhostid
     left join computer hc on hc.id = h.computerid
     left join vmprofile hp on hp.id = h.vmprofileid
     join managementnode m on m.id = r.managementnodeid
     where r.id = ?`,
    [reservationId],
  );
  if (!row) return null;
  const { userEmail, emailnotices, sysadminEmailAddress, sharedMailBox, ...columns } = row;
  const substitutions = Object.entries(columns).map(([name, value]) => {
    const text = value === null ? '' : String(value);
    return [name, SHORT_NAMES.includes(name) ? shortName(text) : text] as const;
  });
  return {
    substitutions: { ...Object.fromEntries(substitutions), process_pid: String(process.pid) },
    affiliation: String(columns['user_affiliation_name'] ?? ''),
    userEmail: userEmail ?? '',
    userWantsMail: emailnotices === 1,
    helpAddress: (columns['user_affiliation_helpaddress'] as string | null) || null,
    adminEmail: sysadminEmailAddress || null,
    sharedMailbox: sharedMailBox || null,
  };
}
