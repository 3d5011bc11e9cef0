/** What of a site is in its database: requests are made there, and looked at, as the front end does. */
import path from 'node:path';
import knex, { type Knex } from 'knex';
import type { Config } from '../../lib/config/config';
import { STATE_IDS, stateName, type StateName } from '../../lib/model/states';
import type { FrontEnd, ReservationDetails } from '../../lib/store/front-end';
import type { Store } from '../../lib/store/store';
import { eventually } from './eventually';

export type Dialect = 'sqlite' | 'mysql';

export const USER = 'student';

export class SiteRows {
  constructor(
    readonly config: Config,
    readonly store: Store,
    readonly frontEnd: FrontEnd,
    /** For what the ports do not tell. */
    readonly database: Knex,
    readonly managementNodeId: number,
    readonly image: { readonly imageId: number; readonly revisionId: number; readonly fileName: string },
  ) {}

  /** A reservation from now on, as the web page makes it. @returns the request's id */
  async reserve(more: { minutes?: number; computer?: string } = {}): Promise<number> {
    const { requestId } = await this.frontEnd.addReservation({
      image: 'Tiny Linux',
      user: USER,
      start: null,
      minutes: 60,
      ...more,
    });
    return requestId;
  }

  /** A reload as the front end orders it for an admin: no log, user vclreload. @returns the request's id */
  async orderReload(computer: string): Promise<number> {
    const reload = STATE_IDS.reload;
    const [now] = await this.database.select<{ time: string }[]>(
      this.database.raw(
        this.config.database.startsWith('sqlite')
          ? "datetime('now', 'localtime') as time"
          : 'cast(now() as char) as time',
      ),
    );
    const { id } = await this.database('computer').where({ hostname: computer }).first<{ id: number }>();
    const times = { start: now!.time, end: '2038-01-01 00:00:00', daterequested: now!.time };
    const states = { stateid: reload, laststateid: reload };
    const [requestId] = await this.database('request').insert({ ...states, userid: 2, ...times });
    const { imageId, revisionId } = this.image;
    await this.database('reservation').insert({
      ...{ requestid: requestId, computerid: id, imageid: imageId, imagerevisionid: revisionId },
      managementnodeid: this.managementNodeId,
    });
    return requestId!;
  }

  /** `state/laststate` of a request; null when the row is gone. */
  async requestState(requestId: number): Promise<string | null> {
    const row = await this.database('request')
      .where({ id: requestId })
      .first<{ stateid: number; laststateid: number }>();
    return row ? `${stateName(row.stateid)}/${stateName(row.laststateid)}` : null;
  }

  async computerState(name: string): Promise<StateName> {
    const row = await this.database('computer').where({ hostname: name }).first<{ stateid: number }>();
    return stateName(row.stateid)!;
  }

  /** Waits for `state/laststate`; fails with the reservation's story when another resting state comes first. */
  async waitForRequest(requestId: number, wanted: string | null, seconds = 60): Promise<void> {
    let state: string | null = '';
    const complaint = async () => `request ${requestId} is ${state}, not ${wanted}:\n${await this.story(requestId)}`;
    const isThere = async () => {
      state = await this.requestState(requestId);
      if (state === wanted) return true;
      if (/^(failed|maintenance)\//.test(state ?? '')) throw new Error(await complaint());
      return false;
    };
    await eventually(isThere, seconds, complaint);
  }

  /** The request as the user sees it once the Connect button is there. */
  async waitUntilReady(requestId: number, seconds = 60): Promise<ReservationDetails> {
    await this.waitForRequest(requestId, 'pending/reserved', seconds);
    await eventually(async () => (await this.frontEnd.show(requestId)).status === 'ready', 5);
    return this.frontEnd.show(requestId);
  }

  async story(requestId: number): Promise<string> {
    const { timeline } = await this.frontEnd.show(requestId);
    return timeline.map(({ time, kind, step, text }) => `${time} ${kind} ${step}: ${text}`).join('\n');
  }

  /** The loadlog names of a reservation in the order in which they were written. */
  async loadStates(requestId: number): Promise<string[]> {
    const { timeline } = await this.frontEnd.show(requestId);
    return timeline.map(({ loadState }) => loadState).filter((name) => name !== null);
  }

  /** Why a failed request failed, as the front end shows it. */
  async failure(requestId: number): Promise<string> {
    const row = await this.database('computerloadlog as l')
      .join('computerloadstate as s', 's.id', 'l.loadstateid')
      .join('reservation as r', 'r.id', 'l.reservationid')
      .where({ 'r.requestid': requestId, 's.loadstatename': 'failed' })
      .first<{ additionalinfo: string }>('l.additionalinfo');
    return row?.additionalinfo ?? '';
  }

  /** Its machine is not handed on, however quickly the load came to its end: the next reservation is a whole load again. */
  async endAsUsed(requestId: number): Promise<void> {
    await this.database('reservation').where({ requestid: requestId }).update({ remoteIP: '192.168.122.1' });
    await this.frontEnd.end(requestId);
  }
}

/** @returns its address */
export async function makeDatabase(dialect: Dialect, folder: string, mysqlUrl: string | null): Promise<string> {
  if (dialect === 'sqlite') return `sqlite:${path.join(folder, 'provisiond.db')}`;
  if (!mysqlUrl) throw new Error('MariaDB did not start in this lab; see what it said at its start');
  const name = `site_${path.basename(folder).replace(/\W/g, '_')}`;
  const server = knex({ client: 'mysql2', connection: mysqlUrl });
  await server.raw('create database ??', [name]);
  await server.destroy();
  const url = new URL(mysqlUrl);
  url.pathname = `/${name}`;
  return url.toString();
}

export function connect({ database }: Config): Knex {
  if (!database.startsWith('sqlite:')) return knex({ client: 'mysql2', connection: database });
  const filename = database.slice('sqlite:'.length);
  return knex({ client: 'better-sqlite3', connection: { filename }, useNullAsDefault: true });
}
