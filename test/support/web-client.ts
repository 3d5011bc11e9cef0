/**
 * VCL's web front end as a client of the database: what a user or admin does there is the statements that the real one
 * was seen to send, in its order, each by itself. Between any two of them others may act ({@link WebClient.between}). It
 * knows nothing of provisiond's code but the numbers of the states.
 */
import type { StateName } from '../../lib/model/states';
import { type Target, WebCaptures } from './web-captures';
import { idOf } from './web-rows';
import { lastStateOfEnd, nameOf, quarterBefore, shown, type WebStatus } from './web-status';

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

const VCLRELOAD = 2;
export class WebClient extends WebCaptures {
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
    const states = { stateid: idOf('new'), laststateid: idOf('new') };
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
      { stateid: idOf('deleted'), laststateid: idOf(lastStateOfEnd(state!, last!)) },
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
      await this.write('request', request.update({ stateid: idOf('servermodified') }));
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
    const row = {
      stateid: idOf(state),
      laststateid: idOf(state),
      userid: VCLRELOAD,
      daterequested: await this.time(0),
    };
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
    const unlisted = [idOf('deleted'), idOf('makeproduction')] as number[];
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
}
