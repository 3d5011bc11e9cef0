/**
 * VCL's web front end as a client of the database: what a user or admin does there is the statements that the real one
 * was seen to send, in its order, each by itself. Between any two of them others may act ({@link WebClient.between}). It
 * knows nothing of provisiond's code but the numbers of the states.
 */
import type { Knex } from 'knex';
import { STATE_IDS, type StateName } from '../../lib/model/states';

export interface WebReservation {
  /** Short names or whole ones, the parent's first. */
  readonly computers: readonly string[];
  readonly userId: number;
  readonly imageId: number;
  readonly revisionId: number;
  /** Default: 60 from now on. */
  readonly minutes?: number;
  /** Default 0: now, whose start is the quarter hour that has passed. */
  readonly startsInMinutes?: number;
  readonly forImaging?: boolean;
}

export interface WebServer {
  readonly name: string;
  readonly adminGroupId?: number;
  readonly loginGroupId?: number;
  readonly fixedIp?: string;
  readonly fixedMac?: string;
  readonly userData?: string;
}

export type WebStatus =
  'ready' | 'failed' | 'maintenance' | 'image' | 'timedout' | 'loading' | 'future' | 'error (unknown requestid)';

interface RequestRow {
  id: number;
  stateid: number;
  laststateid: number;
  userid: number;
  logid: number | null;
  start: string;
  end: string;
}

const VCLRELOAD = 2;
const id = (name: StateName) => STATE_IDS[name];

export class WebClient {
  /** Called after each statement that writes, with the name of its table. */
  between: (table: string) => Promise<void> = () => Promise.resolve();

  /** @param time the database's clock, so many minutes from now */
  constructor(
    private readonly database: Knex,
    private readonly managementNodeId: number,
    private readonly time: (minutes: number) => Promise<string>,
  ) {}

  // ------------------------------------------------------------------------------------------- reservations

  /** `addRequest`: the request is visible before its reservations. @returns its id */
  async newReservation(wanted: WebReservation): Promise<number> {
    const { userId: userid, imageId: imageid, revisionId: imagerevisionid, startsInMinutes = 0 } = wanted;
    const [now, wish] = [await this.time(0), await this.time(startsInMinutes)];
    const start = startsInMinutes === 0 ? quarterBefore(wish) : wish;
    const end = await this.time(startsInMinutes + (wanted.minutes ?? 60));
    const places = await Promise.all(wanted.computers.map((name) => this.placeOf(name)));
    const procid = `web ${Math.random()}`;
    for (const { id: computerid } of places) {
      const semaphore = { computerid, imageid, imagerevisionid, managementnodeid: this.managementNodeId };
      await this.insert('semaphore', { ...semaphore, expires: await this.time(1), procid });
    }
    const nowfuture = startsInMinutes === 0 ? 'now' : 'future';
    const times = { start: startsInMinutes === 0 ? now : start, initialend: end, finalend: end };
    const logid = await this.insert('log', { userid, nowfuture, ...times, wasavailable: 1, ending: 'none', imageid });
    const states = { stateid: id('new'), laststateid: id('new') };
    const forimaging = wanted.forImaging ? 1 : 0;
    const requestId = await this.insert('request', {
      ...{ ...states, userid, logid, forimaging, start, end, daterequested: now, checkuser: 1 },
    });
    await this.update('log', { id: logid }, { requestid: requestId });
    for (const { id: computerid, hostcomputerid, predictivemoduleid } of places) {
      const what = { logid, imageid, imagerevisionid, computerid, managementnodeid: this.managementNodeId };
      await this.insert('sublog', { ...what, predictivemoduleid, hostcomputerid });
    }
    // One statement for all of them.
    const reservations = places.map(({ id: computerid }) => ({
      ...{ requestid: requestId, computerid, imageid, imagerevisionid, managementnodeid: this.managementNodeId },
    }));
    await this.write('reservation', this.database('reservation').insert(reservations));
    await this.insert('changelog', { logid, start: times.start, end, timestamp: now });
    await this.write('semaphore', this.database('semaphore').where({ procid }).delete());
    return requestId;
  }

  /** `deployServer`: what makes it a server comes when the reservation is complete already. */
  async deployServer(wanted: WebReservation, server: WebServer): Promise<number> {
    const requestId = await this.newReservation({ minutes: 60 * 24 * 365, ...wanted });
    await this.update('reservation', { requestid: requestId }, { remoteIP: '127.0.0.1' });
    const { name, adminGroupId, loginGroupId, fixedIp, fixedMac, userData } = server;
    const groups = { admingroupid: adminGroupId ?? null, logingroupid: loginGroupId ?? null };
    const fixed = { fixedIP: fixedIp ?? null, fixedMAC: fixedMac ?? null };
    const serverId = await this.insert('serverrequest', { name, requestid: requestId, ...fixed, ...groups });
    if (fixedIp) {
      const value = "---\nrouter: 203.0.113.1\nnetmask: 255.255.255.0\ndns: ['203.0.113.2']\n";
      await this.variable(`fixedIPsr${serverId}`, 'yaml', value);
    }
    if (userData !== undefined) {
      const [{ id: reservationId }] = await this.reservationsOf(requestId);
      await this.variable(`userdata|${reservationId}`, 'none', userData);
    }
    return requestId;
  }

  /** The Connect! button of the page, or `getRequestConnectData` of the API, which starts no countdown. */
  async connect(requestId: number, remoteIP: string, by: 'page' | 'api' = 'page'): Promise<void> {
    const { logid } = (await this.request(requestId))!;
    const [first] = await this.reservationsOf(requestId);
    if (first.remoteIP === remoteIP) return;
    await this.update('reservation', { requestid: requestId }, { remoteIP });
    await this.insert('changelog', { logid, remoteIP, timestamp: await this.time(0) });
    await this.update('log', { id: logid }, { remoteIP });
    if (by === 'api' || first.remoteIP !== null) return;
    const countdown = await this.database('computerloadstate')
      .where({ loadstatename: 'initialconnecttimeout' })
      .first<{ id: number }>();
    const row = { reservationid: first.id, computerid: first.computerid, loadstateid: countdown.id };
    await this.insert('computerloadlog', { ...row, timestamp: await this.time(0) });
  }

  /** Extend, edit of the end, `setRequestEnding`: the state is not touched. */
  async setEnd(requestId: number, minutesFromNow: number): Promise<void> {
    const { logid, start } = (await this.request(requestId))!;
    const [end, now] = [await this.time(minutesFromNow), await this.time(0)];
    await this.update('request', { id: requestId }, { end, datemodified: now });
    await this.insert('changelog', { logid, start, end, timestamp: now });
    await this.update('log', { id: logid }, { finalend: end });
  }

  /** End of a reservation, whatever it is in; one that has not begun is removed by the front end itself. */
  async end(requestId: number): Promise<void> {
    const { stateid, laststateid, logid, start } = (await this.request(requestId))!;
    const now = await this.time(0);
    if (start > now) {
      await this.write('serverrequest', this.database('serverrequest').where({ requestid: requestId }).delete());
      await this.removeRows(requestId);
      if (logid === null) return;
      await this.update('log', { id: logid }, { ending: 'deleted' });
      return void (await this.insert('changelog', { logid, timestamp: now }));
    }
    const [state, last] = [stateid, laststateid].map((one) => nameOf(one));
    await this.update(
      'request',
      { id: requestId },
      { stateid: id('deleted'), laststateid: id(lastStateOfEnd(state!, last!)) },
    );
    if (logid === null) return;
    await this.update('log', { id: logid }, { ending: 'released', finalend: now });
    await this.insert('changelog', { logid, end: now, timestamp: now });
  }

  /** Of a failed or timed out reservation: the front end takes the rows away, and nothing else. */
  async remove(requestId: number): Promise<void> {
    await this.removeRows(requestId);
  }

  // ------------------------------------------------------------------------------------------- what users wish

  async reboot(requestId: number, how: 'soft' | 'hard'): Promise<void> {
    await this.event(requestId, `event:reboot${how}`);
    await this.overwrite(requestId, how === 'soft' ? 'rebootsoft' : 'reboothard');
  }

  /** @param revisionId another one than before */
  async reinstall(requestId: number, revisionId?: number): Promise<void> {
    if (revisionId !== undefined) {
      await this.update('reservation', { requestid: requestId }, { imagerevisionid: revisionId });
    }
    await this.event(requestId, 'event:reinstall');
    await this.overwrite(requestId, 'reinstall');
  }

  /** End Reservation & Create Image, or Keep Reservation & Create Image (a checkpoint): a new image. */
  async createImage(requestId: number, prettyName: string, as: 'image' | 'checkpoint' = 'image'): Promise<Target> {
    const target = await this.newImage(requestId, prettyName, { autocaptured: 0 });
    await this.capture(requestId, target, as);
    return target;
  }

  /** End Reservation & Create Image of the image that it is: a new revision. */
  async updateImage(requestId: number): Promise<Target> {
    const target = await this.newRevision(requestId, { autocaptured: 0 });
    await this.capture(requestId, target, 'image');
    return target;
  }

  /**
   * `XMLRPCautoCapture`, which the daemon calls. Its owner's image gets a revision, anybody else's use makes a new image.
   * @returns what the front end answers
   */
  async autoCapture(requestId: number): Promise<Record<string, string | number>> {
    const request = await this.request(requestId);
    if (request?.stateid !== id('pending') || request.laststateid !== id('inuse')) {
      return { status: 'error', errorcode: 51, errormsg: 'reservation not in valid state' };
    }
    const [{ imageid }] = await this.reservationsOf(requestId);
    const { ownerid } = await this.database('image').where({ id: imageid }).first<{ ownerid: number }>();
    const target =
      ownerid === request.userid
        ? await this.newRevision(requestId, { autocaptured: 1 })
        : await this.newImage(requestId, `Autocaptured (${request.userid} - ${requestId})`, { autocaptured: 1 });
    await this.update(
      'reservation',
      { requestid: requestId },
      { imageid: target.imageId, imagerevisionid: target.revisionId },
    );
    await this.overwrite(requestId, 'image'); // forimaging is left as it is
    return { status: 'success' };
  }

  async makeProduction(requestId: number): Promise<void> {
    await this.overwrite(requestId, 'makeproduction');
  }

  /** Other groups for a server. */
  async editGroups(requestId: number, groups: { adminGroupId?: number; loginGroupId?: number }): Promise<void> {
    const { adminGroupId, loginGroupId } = groups;
    const row = { admingroupid: adminGroupId ?? null, logingroupid: loginGroupId ?? null };
    await this.update('serverrequest', { requestid: requestId }, row);
    await this.event(requestId, `event:usergroups|admingroupid:${adminGroupId}|logingroupid:${loginGroupId}`);
    await this.overwrite(requestId, 'servermodified');
  }

  /** Somebody comes into a group: every server of it is told, out of these states. */
  async addToGroup(groupId: number, userId: number): Promise<void> {
    await this.write(
      'usergroupmembers',
      this.database('usergroupmembers').insert({ userid: userId, usergroupid: groupId }),
    );
    const told = [3, 7, 8, 14, 16, 24, 25, 26, 27, 28];
    const servers = await this.database('serverrequest')
      .where({ admingroupid: groupId })
      .orWhere({ logingroupid: groupId })
      .select<{ requestid: number }[]>('requestid');
    for (const { requestid } of servers) {
      const request = this.database('request').where({ id: requestid }).whereIn('stateid', told);
      await this.write('request', request.update({ stateid: id('servermodified') }));
    }
  }

  // ------------------------------------------------------------------------------------------- what admins wish

  /** A reload, or with `startsInMinutes` one that a block allocation orders (its end is the start of the block). */
  reload(computer: string, image: Target, startsInMinutes = 0): Promise<number> {
    return this.simpleRequest('reload', computer, image, startsInMinutes, 20);
  }

  /** Off its host, now or when its user has gone. */
  takeOffHost(computer: string, startsInMinutes = 0): Promise<number> {
    return this.simpleRequest('tomaintenance', computer, { imageId: 1, revisionId: 1 }, startsInMinutes, 60 * 24 * 31);
  }

  /** `simpleAddRequest`: nobody's request, without a log. */
  private async simpleRequest(state: StateName, computer: string, image: Target, inMinutes: number, minutes: number) {
    const wish = await this.time(inMinutes);
    const row = { stateid: id(state), laststateid: id(state), userid: VCLRELOAD, daterequested: await this.time(0) };
    const start = inMinutes === 0 ? quarterBefore(wish) : wish;
    const requestid = await this.insert('request', { ...row, start, end: await this.time(inMinutes + minutes) });
    const { id: computerid } = await this.placeOf(computer);
    const what = { imageid: image.imageId, imagerevisionid: image.revisionId };
    await this.insert('reservation', { requestid, computerid, ...what, managementnodeid: this.managementNodeId });
    return requestid;
  }

  // ------------------------------------------------------------------------------------------- what the page shows

  /** `XMLRPCgetRequestStatus`. */
  async status(requestId: number): Promise<WebStatus> {
    const request = await this.request(requestId);
    const now = await this.time(0);
    const unlisted = [id('deleted'), id('makeproduction')] as number[];
    if (
      !request ||
      request.end <= now ||
      unlisted.includes(request.stateid) ||
      unlisted.includes(request.laststateid)
    ) {
      return 'error (unknown requestid)';
    }
    const computers = await this.database('reservation as r')
      .join('computer as c', 'c.id', 'r.computerid')
      .where({ requestid: requestId })
      .orderBy('r.id')
      .select<{ stateid: number }[]>('c.stateid');
    return shown(
      request,
      computers.map(({ stateid }) => stateid),
      request.start >= now,
    );
  }

  /** What the Connect page tells the user. */
  async connectData(requestId: number): Promise<{ address: string; password: string | null; port: number | null }> {
    const row = await this.database('reservation as r')
      .join('computer as c', 'c.id', 'r.computerid')
      .leftJoin('natport as p', 'p.reservationid', 'r.id')
      .leftJoin('nathost as n', 'n.id', 'p.nathostid')
      .where({ requestid: requestId })
      .orderBy('r.id')
      .first<{ ip: string; nat: string | null; pw: string | null; port: number | null }>(
        ...['c.IPaddress as ip', 'n.publicIPaddress as nat', 'r.pw as pw', 'p.publicport as port'],
      );
    return { address: row.nat ?? row.ip, password: row.pw, port: row.port };
  }

  // -------------------------------------------------------------------------------------------

  private request(requestId: number): Promise<RequestRow | undefined> {
    return this.database('request').where({ id: requestId }).first<RequestRow | undefined>();
  }

  private async reservationsOf(requestId: number) {
    type Row = { id: number; computerid: number; imageid: number; imagerevisionid: number; remoteIP: string | null };
    const rows = await this.database('reservation').where({ requestid: requestId }).orderBy('id').select<Row[]>();
    return rows as [Row, ...Row[]];
  }

  private async placeOf(computer: string) {
    type Row = { id: number; predictivemoduleid: number; hostcomputerid: number | null };
    const found = await this.database('computer as c')
      .leftJoin('vmhost as h', 'h.id', 'c.vmhostid')
      .where('c.hostname', computer)
      .orWhere('c.hostname', 'like', `${computer}.%`)
      .first<Row | undefined>('c.id', 'c.predictivemoduleid', 'h.computerid as hostcomputerid');
    if (!found) throw new Error(`there is no computer ${computer}`);
    return found;
  }

  private overwrite(requestId: number, state: StateName): Promise<void> {
    return this.update('request', { id: requestId }, { stateid: id(state) });
  }

  private async event(requestId: number, other: string): Promise<void> {
    const { logid } = (await this.request(requestId))!;
    await this.insert('changelog', { logid, timestamp: await this.time(0), other });
  }

  private async newImage(requestId: number, prettyname: string, more: { autocaptured: number }): Promise<Target> {
    const [{ imageid }] = await this.reservationsOf(requestId);
    const { id: _id, ...like } = await this.database('image').where({ id: imageid }).first<Record<string, unknown>>();
    const os = await this.database('OS').where({ id: like['OSid'] }).first<{ name: string }>();
    const { userid } = (await this.request(requestId))!;
    const unfinished = { deleted: 1, size: 0, imagetypeid: 1, lastupdate: null, ownerid: userid };
    const imageId = await this.insert('image', { ...like, ...unfinished, name: `${os.name}-new`, prettyname });
    const name = `${os.name}-${prettyname.replace(/[\W_]/g, '')}${imageId}-v0`;
    await this.update('image', { id: imageId }, { name });
    const revisionId = await this.insert('imagerevision', {
      ...{ imageid: imageId, revision: 0, userid, datecreated: await this.time(0), deleted: 0 },
      ...{ production: 1, comments: '', imagename: name, ...more },
    });
    const resourceid = await this.insert('resource', { resourcetypeid: 13, subid: imageId });
    const group = await this.database('resourcegroup').where({ name: 'allVMimages' }).first<{ id: number }>();
    await this.write(
      'resourcegroupmembers',
      this.database('resourcegroupmembers').insert({ resourceid, resourcegroupid: group.id }),
    );
    return { imageId, revisionId };
  }

  private async newRevision(requestId: number, more: { autocaptured: number }): Promise<Target> {
    const [{ imageid }] = await this.reservationsOf(requestId);
    const revisions = await this.database('imagerevision')
      .where({ imageid })
      .select<{ revision: number }[]>('revision');
    const revision = Math.max(...revisions.map((row) => row.revision)) + 1;
    const { name } = await this.database('image').where({ id: imageid }).first<{ name: string }>();
    const { userid } = (await this.request(requestId))!;
    await this.update('image', { id: imageid }, { test: 1 });
    const revisionId = await this.insert('imagerevision', {
      ...{ imageid, revision, userid, datecreated: await this.time(0), deleted: 1, production: 0, comments: '' },
      ...{ imagename: name.replace(/-v\d+$/, `-v${revision}`), ...more },
    });
    return { imageId: imageid, revisionId };
  }

  private async capture(requestId: number, target: Target, as: 'image' | 'checkpoint'): Promise<void> {
    const image = { imageid: target.imageId, imagerevisionid: target.revisionId };
    await this.update('reservation', { requestid: requestId }, image);
    if (as === 'image') await this.update('request', { id: requestId }, { stateid: id('image'), forimaging: 1 });
    else await this.overwrite(requestId, 'checkpoint');
  }

  private async removeRows(requestId: number): Promise<void> {
    await this.write('request', this.database('request').where({ id: requestId }).delete());
    await this.write('reservation', this.database('reservation').where({ requestid: requestId }).delete());
  }

  private async variable(name: string, serialization: string, value: string): Promise<void> {
    await this.insert('variable', { name, serialization, value, setby: 'webcode', timestamp: await this.time(0) });
  }

  private async insert(table: string, row: object): Promise<number> {
    const ids = await this.database(table).insert(row);
    await this.between(table);
    return ids[0]!;
  }

  private update(table: string, where: object, changes: object): Promise<void> {
    return this.write(table, this.database(table).where(where).update(changes));
  }

  private async write(table: string, statement: PromiseLike<unknown>): Promise<void> {
    await statement;
    await this.between(table);
  }
}

export interface Target {
  readonly imageId: number;
  readonly revisionId: number;
}

/** The rules of the real one, as they were seen. */
function shown({ stateid, laststateid }: RequestRow, computers: readonly number[], future: boolean): WebStatus {
  const [state, last] = [nameOf(stateid), nameOf(laststateid)];
  const names = computers.map((one) => nameOf(one));
  const [first] = names;
  const firstIsUp = first === 'reserved' || first === 'inuse';
  const allUp = names.every((name) => name === 'reserved' || name === 'inuse');
  const isReady =
    (state === 'pending' && last === 'reserved' && first === 'reserved') ||
    (state === 'inuse' && first === 'inuse') ||
    (state === 'pending' && last === 'inuse' && firstIsUp) ||
    (state === 'servermodified' && firstIsUp);
  if (allUp && isReady) return 'ready';
  if (state === 'failed' || state === 'maintenance') return state;
  const isCapture = (name: string) => name === 'image' || name === 'checkpoint';
  if (isCapture(state) || (state === 'pending' && isCapture(last))) return 'image';
  if (future) return 'future';
  if (state === 'timeout' || state === 'complete' || (state === 'pending' && last === 'timeout')) return 'timedout';
  return 'loading';
}

/** What the front end writes as the last state of what is ended. */
export function lastStateOfEnd(state: StateName, last: StateName): StateName {
  if (state === 'new' || state === 'reserved') return 'reserved';
  if (state === 'pending') return last === 'new' ? 'reserved' : last;
  return state;
}

function nameOf(stateid: number): StateName {
  return Object.entries(STATE_IDS).find(([, known]) => known === stateid)![0] as StateName;
}

function quarterBefore(time: string): string {
  const minutes = Math.floor(Number(time.slice(14, 16)) / 15) * 15;
  return `${time.slice(0, 14)}${String(minutes).padStart(2, '0')}:00`;
}
