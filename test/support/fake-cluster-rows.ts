/** What of a fake cluster is in its database: requests are written there, and looked at, as the web front end does. */
import knex, { type Knex } from 'knex';
import { STATE_IDS, stateName, type StateName } from '../../lib/model/states';
import type { TestStore } from './store';

export interface NewRequest {
  readonly state?: StateName;
  readonly lastState?: StateName;
  /** Names, the parent's first; default `vm1`. */
  readonly computers?: readonly string[];
  readonly minutes?: number;
  readonly startsInMinutes?: number;
  readonly user?: string;
  readonly imageId?: number;
  readonly revisionId?: number;
  readonly remoteIp?: string | null;
  readonly withoutLog?: boolean;
}

export interface ComputerRow {
  readonly id: number;
  readonly hostname: string;
  readonly stateid: number;
  readonly currentimageid: number;
  readonly imagerevisionid: number;
  readonly nextimageid: number;
  readonly vmhostid: number | null;
  readonly IPaddress: string;
}

export class FakeClusterRows {
  readonly database: Knex;

  constructor(readonly t: TestStore) {
    this.database = connect(t.url);
  }

  protected async closeRows(): Promise<void> {
    await this.database.destroy();
    await this.t.close();
  }

  /** The rows of a request as the front end writes them. @returns their ids */
  async request(wanted: NewRequest = {}): Promise<{ requestId: number; reservationIds: number[] }> {
    const { state = 'new', computers = ['vm1'], minutes = 60, startsInMinutes = -5, user = 'admin' } = wanted;
    const { image, managementNodeId } = this.t;
    const [imageid, imagerevisionid] = [wanted.imageId ?? image.imageId, wanted.revisionId ?? image.revisionId];
    const [start, end] = [await this.time(startsInMinutes), await this.time(startsInMinutes + minutes)];
    const userid = await this.userId(user);
    const logid = wanted.withoutLog
      ? null
      : await this.insert('log', { userid, start, initialend: end, finalend: end, wasavailable: 1, imageid });
    const laststateid = STATE_IDS[wanted.lastState ?? state];
    const requestId = await this.insert('request', {
      stateid: STATE_IDS.pending,
      laststateid,
      userid,
      logid,
      start,
      end,
      daterequested: start,
    });
    const reservationIds = [];
    for (const name of computers) {
      const { id: computerid } = await this.computer(name);
      if (logid !== null) {
        await this.insert('sublog', {
          logid,
          imageid,
          imagerevisionid,
          computerid,
          managementnodeid: managementNodeId,
        });
      }
      const place = { requestid: requestId, computerid, imageid, imagerevisionid, managementnodeid: managementNodeId };
      reservationIds.push(await this.insert('reservation', { ...place, remoteIP: wanted.remoteIp ?? null }));
    }
    await this.database('request').where({ id: requestId }).update({ stateid: STATE_IDS[state] });
    return { requestId, reservationIds };
  }

  async acknowledge(requestId: number, from = '192.0.2.7'): Promise<void> {
    await this.database('reservation').where({ requestid: requestId }).update({ remoteIP: from });
  }

  /** As the front end does: the last state is left alone. */
  async write(requestId: number, state: StateName): Promise<void> {
    await this.database('request').where({ id: requestId }).update({ stateid: STATE_IDS[state] });
  }

  /** `state/laststate`; null when the row is gone. */
  async state(requestId: number): Promise<string | null> {
    const row = await this.database('request')
      .where({ id: requestId })
      .first<Record<'stateid' | 'laststateid', number>>();
    return row ? `${stateName(row.stateid)}/${stateName(row.laststateid)}` : null;
  }

  async computer(name: string): Promise<ComputerRow> {
    return (await this.database<ComputerRow>('computer')
      .where({ hostname: `${name}.test` })
      .first())!;
  }

  async computerState(name: string): Promise<StateName> {
    return stateName((await this.computer(name)).stateid)!;
  }

  /** The names that a reservation told, in their order. */
  async told(reservationId: number): Promise<string[]> {
    const rows = await this.database('computerloadlog as l')
      .join('computerloadstate as s', 's.id', 'l.loadstateid')
      .where({ reservationid: reservationId })
      .orderBy('l.id')
      .select<{ name: string }[]>('s.loadstatename as name');
    return rows.map(({ name }) => name);
  }

  insert(table: string, row: object): Promise<number> {
    return this.database(table)
      .insert(row)
      .then(([id]) => id!);
  }

  async userId(login: string): Promise<number> {
    return this.t.frontEnd.ensureUser(login);
  }

  /** A group of users. @returns its id */
  async group(name: string, ...logins: string[]): Promise<number> {
    const known = await this.database('usergroup').where({ name }).first<{ id: number }>();
    const id = known?.id ?? (await this.insert('usergroup', { name, affiliationid: 1, ownerid: 1, custom: 1 }));
    for (const login of logins)
      await this.insert('usergroupmembers', { userid: await this.userId(login), usergroupid: id });
    return id;
  }

  /** The database's clock, so many minutes from now. */
  async time(minutes: number): Promise<string> {
    const now = Date.parse(`${(await this.t.store.now()).replace(' ', 'T')}Z`);
    return new Date(now + minutes * 60_000).toISOString().slice(0, 19).replace('T', ' ');
  }
}

function connect(url: string): Knex {
  if (!url.startsWith('sqlite:'))
    return knex({ client: 'mysql2', connection: { uri: url, dateStrings: true } as object });
  return knex({
    client: 'better-sqlite3',
    connection: { filename: url.slice('sqlite:'.length) },
    useNullAsDefault: true,
  });
}
