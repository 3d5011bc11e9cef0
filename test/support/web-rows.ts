/** How VCL's web front end writes: each statement by itself, and others may act between any two of them. */
import type { Knex } from 'knex';
import { STATE_IDS, type StateName } from '../../lib/model/states';

export interface RequestRow {
  id: number;
  stateid: number;
  laststateid: number;
  userid: number;
  logid: number | null;
  start: string;
  end: string;
}

export const idOf = (name: StateName): number => STATE_IDS[name];

export class WebRows {
  /** Called after each statement that writes, with the name of its table. */
  between: (table: string) => Promise<void> = () => Promise.resolve();

  /** @param time the database's clock, so many minutes from now */
  constructor(
    protected readonly database: Knex,
    protected readonly managementNodeId: number,
    protected readonly time: (minutes: number) => Promise<string>,
  ) {}

  protected request(requestId: number): Promise<RequestRow | undefined> {
    return this.database('request').where({ id: requestId }).first<RequestRow | undefined>();
  }

  protected async reservationsOf(requestId: number) {
    type Row = { id: number; computerid: number; imageid: number; imagerevisionid: number; remoteIP: string | null };
    const rows = await this.database('reservation').where({ requestid: requestId }).orderBy('id').select<Row[]>();
    return rows as [Row, ...Row[]];
  }

  protected async placeOf(computer: string) {
    type Row = { id: number; predictivemoduleid: number; hostcomputerid: number | null };
    const found = await this.database('computer as c')
      .leftJoin('vmhost as h', 'h.id', 'c.vmhostid')
      .where('c.hostname', computer)
      .orWhere('c.hostname', 'like', `${computer}.%`)
      .first<Row | undefined>('c.id', 'c.predictivemoduleid', 'h.computerid as hostcomputerid');
    if (!found) throw new Error(`there is no computer ${computer}`);
    return found;
  }

  protected overwrite(requestId: number, state: StateName): Promise<void> {
    return this.update('request', { id: requestId }, { stateid: idOf(state) });
  }

  protected async event(requestId: number, other: string): Promise<void> {
    const { logid } = (await this.request(requestId))!;
    await this.insert('changelog', { logid, timestamp: await this.time(0), other });
  }

  protected async removeRows(requestId: number): Promise<void> {
    await this.write('request', this.database('request').where({ id: requestId }).delete());
    await this.write('reservation', this.database('reservation').where({ requestid: requestId }).delete());
  }

  protected async variable(name: string, serialization: string, value: string): Promise<void> {
    await this.insert('variable', { name, serialization, value, setby: 'webcode', timestamp: await this.time(0) });
  }

  protected async insert(table: string, row: object): Promise<number> {
    const ids = await this.database(table).insert(row);
    await this.between(table);
    return ids[0]!;
  }

  protected update(table: string, where: object, changes: object): Promise<void> {
    return this.write(table, this.database(table).where(where).update(changes));
  }

  protected async write(table: string, statement: PromiseLike<unknown>): Promise<void> {
    await statement;
    await this.between(table);
  }
}
