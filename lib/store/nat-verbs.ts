/** NAT hosts of VCL (`nathost`, `nathostcomputermap`, `natport`, `natlog`): which of their ports lead to a reservation. */
import { randomInt } from 'node:crypto';
import { ProvisiondError } from '../errors';
import { shortName } from '../model/names';
import type { NatForward, NatHost, Reservation } from '../model/reservation';
import type { Database, Queryable } from './database';
import { assertClaim } from './lease-verbs';
import type { Claim, Store } from './store';

export function natVerbs(db: Database): Pick<Store, 'natHost' | 'reserveNatPorts' | 'noteNatForwards'> {
  return {
    natHost: (reservation) => natHost(db, reservation),
    reserveNatPorts: (claim, reservation, nat, ranges) =>
      db.transaction((tx) => reserveNatPorts(tx, claim, reservation, nat, ranges)),
    noteNatForwards: (reservation, nat, forwards) => noteNatForwards(db, reservation, nat, forwards),
  };
}

interface NatRow {
  id: number;
  resourceid: number;
  publicIPaddress: string;
  kind: string;
  subid: number;
  hostname: string | null;
  privateIPaddress: string | null;
  transport: 'ssh' | 'local' | null;
  port: number | null;
  user: string | null;
  hostkey: string | null;
}

/** Of several the first, as the front end takes it. */
async function natHost(db: Database, { computer, managementNode }: Reservation): Promise<NatHost | null> {
  const row = await db.one<NatRow>(
    `select n.id, n.resourceid, n.publicIPaddress, t.name as kind, it.subid, h.hostname, h.privateIPaddress,
       way.transport, way.port, way.user, way.hostkey
     from nathostcomputermap map
     join nathost n on n.id = map.nathostid
     join resource it on it.id = n.resourceid
     join resourcetype t on t.id = it.resourcetypeid
     left join computer h on t.name = 'computer' and h.id = it.subid
     left join provisiond_host way on way.computerid = h.id
     where map.computerid = ? order by n.id limit 1`,
    [computer.id],
  );
  if (!row) return null;
  const { id, resourceid: resourceId, publicIPaddress: publicIp } = row;
  if (row.hostname !== null) return { id, resourceId, publicIp, way: wayTo(row, row.hostname) };
  if (row.kind === 'managementnode' && row.subid === managementNode.id) return { id, resourceId, publicIp, way: null };
  const message = `the NAT host of computer ${computer.shortName} is ${row.kind} ${row.subid}, which this node cannot reach`;
  throw new ProvisiondError('REQUEST_INVALID', message, { blame: 'config' });
}

function wayTo(row: NatRow, hostname: string): NonNullable<NatHost['way']> {
  const { transport, port, user, hostkey: hostKey } = row;
  return {
    computerId: row.subid,
    hostname,
    shortName: shortName(hostname),
    address: row.privateIPaddress || hostname,
    connection: {
      transport: transport ?? 'ssh',
      port: port ?? 22,
      user: user ?? 'root',
      hostKey,
      driver: null,
      maxLoads: null,
    },
  };
}

async function reserveNatPorts(
  tx: Queryable,
  claim: Claim,
  { id, connectMethods }: Reservation,
  nat: NatHost,
  ranges: string,
): Promise<NatForward[]> {
  await assertClaim(tx, claim);
  // The host's row is the door: no port is given to two reservations at once.
  await tx.one(`select id from nathost where id = ?${tx.dialect.updateLock}`, [nat.id]);
  const rows = await tx.rows<{ reservationid: number; publicport: number; connectmethodportid: number }>(
    'select reservationid, publicport, connectmethodportid from natport where nathostid = ?',
    [nat.id],
  );
  const mine = new Map(rows.filter((row) => row.reservationid === id).map((row) => [row.connectmethodportid, row]));
  const taken = new Set(rows.map(({ publicport }) => publicport));
  const forwards: NatForward[] = [];
  for (const { id: portId, port, protocol } of connectMethods.flatMap(({ ports }) => ports)) {
    const publicPort = mine.get(portId)?.publicport ?? freePort(ranges, taken, nat);
    if (!mine.has(portId))
      await tx.insert('natport', {
        reservationid: id,
        nathostid: nat.id,
        publicport: publicPort,
        connectmethodportid: portId,
      });
    taken.add(publicPort);
    forwards.push({ publicPort, port, protocol });
  }
  return forwards;
}

/** `5700-6500,9696-9701`: VCL's `natport_ranges`. Any of the free ones: the last user's may still be knocked at. */
export function portsOf(ranges: string): number[] {
  return ranges.split(',').flatMap((range) => {
    const [from, to = from] = range.split('-').map(Number);
    if (!Number.isInteger(from) || !Number.isInteger(to) || from! < 1 || to! > 65_535) return [];
    return Array.from({ length: Math.max(0, to! - from! + 1) }, (_, index) => from! + index);
  });
}

function freePort(ranges: string, taken: ReadonlySet<number>, nat: NatHost): number {
  const free = portsOf(ranges).filter((port) => !taken.has(port));
  const port = free[free.length > 0 ? randomInt(free.length) : 0];
  if (port !== undefined) return port;
  throw new ProvisiondError('REQUEST_INVALID', `no port of NAT host ${nat.publicIp} is free in '${ranges}'`, {
    blame: 'config',
    hint: 'Widen the variable natport_ranges, or map fewer computers to the NAT host',
  });
}

/** VCL's history of who was reached by which port. */
async function noteNatForwards(
  db: Database,
  { request, computer }: Reservation,
  nat: NatHost,
  forwards: readonly NatForward[],
): Promise<void> {
  if (request.logId === null) return;
  for (const { publicPort, port, protocol } of forwards) {
    await db.change(
      `insert into natlog (sublogid, nathostresourceid, publicIPaddress, publicport, internalIPaddress, internalport,
         protocol, timestamp)
       select s.id, ?, ?, ?, ?, ?, ?, ${db.dialect.now} from sublog s where s.logid = ? and s.computerid = ?
         and not exists (select 1 from natlog known where known.sublogid = s.id and known.publicport = ?
           and known.internalport = ? and known.protocol = ?)`,
      [
        ...[nat.resourceId, nat.publicIp, publicPort, computer.publicIp, port, protocol],
        ...[request.logId, computer.id, publicPort, port, protocol],
      ],
    );
  }
}
