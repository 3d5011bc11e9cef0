/** How the users of an image may connect (`get_connect_method_info` of VCL). */
import type { ConnectMethod } from '../model/reservation';

export interface ConnectMethodRow {
  id: number;
  name: string;
  servicename: string;
  startupscript: string | null;
  portId: number;
  port: number;
  protocol: 'TCP' | 'UDP';
  imagerevisionid: number | null;
  OSid: number | null;
  osTypeName: string | null;
  disabled: number;
}

/** The rules of several reservations at once; bindings: their OS types, OS ids, revision ids. */
export function connectMethodsSql(reservations: number): string {
  const places = Array(reservations).fill('?').join(', ');
  return `
    select m.id, m.name, m.servicename, m.startupscript, p.id as portId, p.port, p.protocol,
      rule.imagerevisionid, rule.OSid, t.name as osTypeName, rule.disabled
    from connectmethodmap rule
    join connectmethod m on m.id = rule.connectmethodid
    join connectmethodport p on p.connectmethodid = m.id
    left join OStype t on t.id = rule.OStypeid
    where rule.autoprovisioned is null
      and (t.name in (${places}) or rule.OSid in (${places}) or rule.imagerevisionid in (${places}))
    order by m.id, rule.imagerevisionid is not null, rule.OSid is not null, rule.disabled, p.id`;
}

/** A rule for the revision wins over one for the OS, that over one for the kind of OS. */
export function chooseConnectMethods(
  rows: readonly ConnectMethodRow[],
  image: { osType: string; osId: number; revisionId: number },
): ConnectMethod[] {
  const applies = (row: ConnectMethodRow) =>
    row.imagerevisionid === image.revisionId || row.OSid === image.osId || row.osTypeName === image.osType;
  const methods = new Map<number, ConnectMethod & { ports: ConnectMethod['ports'][number][] }>();
  for (const row of rows.filter(applies)) {
    if (row.disabled) {
      methods.delete(row.id);
      continue;
    }
    const method = methods.get(row.id) ?? {
      id: row.id,
      name: row.name,
      serviceName: row.servicename,
      startupScript: row.startupscript || null,
      ports: [],
    };
    if (!method.ports.some(({ id }) => id === row.portId)) {
      method.ports.push({ id: row.portId, port: row.port, protocol: row.protocol });
    }
    methods.set(row.id, method);
  }
  return [...methods.values()];
}
