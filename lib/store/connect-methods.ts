/** How the users of an image may connect (`get_connect_method_info` of VCL). */
import type { ConnectMethod } from '../model/reservation';
import type { Dialect } from './dialect';

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

/** A column with the rules that may hold for the OS `o` and the image revision `v` of a statement; `ConnectMethodRow`s as JSON. */
export function connectMethodsColumn({ asJson }: Dialect): string {
  const columns = {
    ...{ id: 'm.id', name: 'm.name', servicename: 'm.servicename', startupscript: 'm.startupscript' },
    ...{ portId: 'port.id', port: 'port.port', protocol: 'port.protocol' },
    ...{ imagerevisionid: 'rule.imagerevisionid', OSid: 'rule.OSid', osTypeName: 't.name', disabled: 'rule.disabled' },
  };
  return `(select ${asJson(columns)}
    from connectmethodmap rule
    join connectmethod m on m.id = rule.connectmethodid
    join connectmethodport port on port.connectmethodid = m.id
    left join OStype t on t.id = rule.OStypeid
    where rule.autoprovisioned is null
      and (t.name = o.type or rule.OSid = o.id or rule.imagerevisionid = v.id)) as connectMethods`;
}

/** A rule for the revision wins over one for the OS, that over one for the kind of OS. */
export function chooseConnectMethods(
  rows: readonly ConnectMethodRow[],
  image: { osType: string; osId: number; revisionId: number },
): ConnectMethod[] {
  const applies = (row: ConnectMethodRow) =>
    row.imagerevisionid === image.revisionId || row.OSid === image.osId || row.osTypeName === image.osType;
  const methods = new Map<number, ConnectMethod & { ports: ConnectMethod['ports'][number][] }>();
  for (const row of rows.filter(applies).sort(inOrder)) {
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

/** The more a rule is made for, the later it comes and the more it counts; one that disables has the last word. */
function inOrder(a: ConnectMethodRow, b: ConnectMethodRow): number {
  const rank = (row: ConnectMethodRow) => [
    row.id,
    Number(row.imagerevisionid !== null),
    Number(row.OSid !== null),
    row.disabled,
    row.portId,
  ];
  const [left, right] = [rank(a), rank(b)];
  const at = left.findIndex((value, index) => value !== right[index]);
  return at < 0 ? 0 : left[at]! - right[at]!;
}
