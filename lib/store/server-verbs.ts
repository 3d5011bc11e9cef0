/** Server requests of VCL: who may log in, the fixed address, and what its maker left for the guest. */
import { parseYamlValue } from '../config/yaml-value';
import type { FixedAddress, GroupMember, Reservation, ServerFacts } from '../model/reservation';
import type { Database, Queryable } from './database';
import { assertClaim } from './lease-verbs';
import { USER_COLUMNS } from './reservation-reader';
import { toServer, toUser, type ServerRow, type UserRow } from './reservation-rows';
import type { Store } from './store';

type ServerVerbs = Pick<
  Store,
  | 'serverFacts'
  | 'groupMembers'
  | 'setMembers'
  | 'fixedAddress'
  | 'addressHolder'
  | 'keepOriginalAddress'
  | 'releaseFixedAddress'
  | 'userData'
  | 'forgetUserData'
>;

const userDataOf = ({ id }: Reservation): string => `userdata|${id}`;
const fixedOf = ({ id }: ServerFacts): string => `fixedIPsr${id}`;
const originalOf = ({ id }: ServerFacts): string => `originalIPaddr_${id}`;

export function serverVerbs(db: Database): ServerVerbs {
  return {
    serverFacts: async (requestId) => {
      const row = await db.one<ServerRow>(
        `select id as serverId, name as serverName, fixedIP, fixedMAC, admingroupid, logingroupid
         from serverrequest where requestid = ?`,
        [requestId],
      );
      return row ? toServer(row) : null;
    },
    groupMembers: (reservation, server) => groupMembers(db, reservation, server),
    setMembers: (claim, reservation, members) => setMembers(db, claim, reservation, members),
    fixedAddress: (server) => fixedAddress(db, server),
    addressHolder: async (computerId, ip) => {
      const other = 'select hostname from computer where IPaddress = ? and id <> ? and deleted = 0 order by id';
      return (await db.one<{ hostname: string }>(other, [ip, computerId]))?.hostname ?? null;
    },
    keepOriginalAddress: (claim, { computer, server }) =>
      db.transaction(async (tx) => {
        await assertClaim(tx, claim);
        if (!server || (await readVariable(tx, originalOf(server))) !== null) return;
        const { now } = (await tx.one<{ now: string }>(`select ${tx.dialect.now} as now`))!;
        const [name, value] = [originalOf(server), computer.publicIp];
        await tx.insert('variable', { name, serialization: 'none', value, setby: 'provisiond', timestamp: now });
      }),
    releaseFixedAddress: (claim, reservation) =>
      db.transaction(async (tx) => {
        await assertClaim(tx, claim);
        await releaseFixedAddress(tx, reservation);
      }),
    userData: (reservation) => readVariable(db, userDataOf(reservation)),
    forgetUserData: (claim, reservation) =>
      db.transaction(async (tx) => {
        await assertClaim(tx, claim);
        await tx.change('delete from variable where name = ?', [userDataOf(reservation)]);
      }),
  };
}

async function readVariable(db: Queryable, name: string): Promise<string | null> {
  const row = await db.one<{ value: string }>('select value from variable where name = ?', [name]);
  return row ? String(row.value) : null;
}

/** Whoever is in both groups is an admin; the owner is neither. */
async function groupMembers(db: Database, { id, user }: Reservation, server: ServerFacts): Promise<GroupMember[]> {
  const rows = await db.rows<UserRow & { isAdmin: number; password: string | null }>(
    `select u.id, ${USER_COLUMNS}, max(m.usergroupid = ?) as isAdmin, account.password
     from usergroupmembers m
     join user u on u.id = m.userid
     left join affiliation a on a.id = u.affiliationid
     left join reservationaccounts account on account.reservationid = ? and account.userid = u.id
     where m.usergroupid in (?, ?) and u.id <> ?
     group by u.id, ${USER_COLUMNS.replace('a.name as affiliation', 'a.name')}, account.password
     order by u.id`,
    [server.adminGroupId ?? 0, id, server.adminGroupId ?? 0, server.loginGroupId ?? 0, user.id],
  );
  return rows.map((row) => ({ user: toUser(row), isAdmin: row.isAdmin === 1, password: row.password }));
}

/** The rows that the front end waits for before it shows the reservation to members of its groups. */
const setMembers = (...[db, claim, { id, user }, members]: [Database, ...Parameters<Store['setMembers']>]) =>
  db.transaction(async (tx) => {
    await assertClaim(tx, claim);
    const kept = [user.id, ...members.map(({ userId }) => userId)];
    await tx.change(
      `delete from reservationaccounts where reservationid = ? and userid not in (${kept.map(() => '?').join(', ')})`,
      [id, ...kept],
    );
    if (members.length === 0) return;
    await tx.change(
      `insert into reservationaccounts (reservationid, userid, password)
       values ${members.map(() => '(?, ?, ?)').join(', ')} ${tx.dialect.overwrite(['reservationid', 'userid'], ['password'])}`,
      members.flatMap(({ userId, password }) => [id, userId, password]),
    );
  });

async function fixedAddress(db: Database, server: ServerFacts): Promise<FixedAddress | null> {
  if (server.fixedIp === null) return null;
  const text = await readVariable(db, fixedOf(server));
  const value = text === null ? null : parseYamlValue(text, `variable ${fixedOf(server)}`);
  const { netmask, router, dns } = (typeof value === 'object' && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  const word = (given: unknown) => (typeof given === 'string' && given !== '' ? given : null);
  const list = Array.isArray(dns) ? dns : [dns];
  return {
    ip: server.fixedIp,
    netmask: word(netmask),
    router: word(router),
    dnsServers: list.filter((entry): entry is string => word(entry) !== null),
  };
}

/** The computer gets the address back that it had before, where we wrote that down. */
async function releaseFixedAddress(tx: Queryable, { computer, server }: Reservation): Promise<void> {
  if (!server) return;
  const original = await readVariable(tx, originalOf(server));
  if (original !== null) await tx.change('update computer set IPaddress = ? where id = ?', [original, computer.id]);
  await tx.change('delete from variable where name in (?, ?)', [fixedOf(server), originalOf(server)]);
}
