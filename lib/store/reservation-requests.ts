/** What users do with reservations, in the rows and the order of VCL's front end. */
import { randomUUID } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { ProvisiondError } from '../errors';
import { STATE_IDS, stateName, type StateName } from '../model/states';
import { allocate, type Allocation, type Wish } from './allocation';
import type { Database, Queryable } from './database';
import { displayStatus } from './display-status';
import type { FrontEnd, NewReservation } from './front-end';
import { knownState } from './inbox-verbs';
import { showReservation } from './reservation-details';
import { addMinutes, floorToQuarter, parseTime } from './wall-clock';
import { stateIds } from './poll-sql';

type RequestVerbs = Pick<FrontEnd, 'addReservation' | 'connect' | 'extend' | 'end'>;

export function requestVerbs(db: Database): RequestVerbs {
  return {
    addReservation: (wanted) => addReservation(db, wanted),
    connect: async (requestId, fromIp) => {
      await connect(db, requestId, fromIp);
      return showReservation(db, requestId);
    },
    extend: (requestId, minutes) => db.transaction((tx) => extend(tx, requestId, minutes)),
    end: (requestId) => db.transaction((tx) => end(tx, requestId)),
  };
}

async function addReservation(db: Database, wanted: NewReservation) {
  if (!Number.isInteger(wanted.minutes) || wanted.minutes < 1) {
    throw new ProvisiondError('REQUEST_INVALID', `a reservation of ${wanted.minutes} minutes is none`);
  }
  const image = await findImage(db, wanted.image);
  const userId = await findUser(db, wanted.user);
  const { now } = (await db.one<{ now: string }>(`select ${db.dialect.now} as now`))!;
  const wish = toWish(wanted, image, now);
  const procId = randomUUID();
  const allocation = await db.transaction((tx) => allocate(tx, wish, procId));
  return db.transaction(async (tx) => {
    const ids = await insertReservation(tx, wish, allocation, userId, now);
    await tx.change('delete from semaphore where procid = ?', [procId]);
    return ids;
  });
}

/** The web's end: from the floored start, a quarter hour later unless the hour is on the quarter. */
function toWish(wanted: NewReservation, image: ImageRow, now: string): Wish {
  const start = wanted.start === null ? floorToQuarter(now) : parseTime(wanted.start);
  const floored = wanted.start === null && start !== now;
  return {
    imageId: image.id,
    revisionId: image.revisionId,
    imageName: image.prettyname,
    start,
    end: addMinutes(start, wanted.minutes + (floored ? 15 : 0)),
    now: start <= now,
    computer: wanted.computer,
  };
}

interface ImageRow {
  id: number;
  revisionId: number;
  prettyname: string;
}

/** By display name, name, or file base name; its production revision. @throws NOT_FOUND, CONFLICT */
async function findImage(db: Queryable, name: string): Promise<ImageRow> {
  const found = await db.rows<ImageRow>(
    `select i.id, v.id as revisionId, i.prettyname from image i
     join imagerevision v on v.imageid = i.id and v.production = 1 and v.deleted = 0
     where i.deleted = 0 and i.id <> 1 and (i.prettyname = ? or i.name = ? or v.imagename = ?)
     order by i.id, v.revision desc`,
    [name, name, name],
  );
  if (found.length === 0) throw new ProvisiondError('NOT_FOUND', `there is no image '${name}' with a revision in use`);
  if (new Set(found.map(({ id }) => id)).size > 1) {
    const names = found.map(({ id, prettyname }) => `${prettyname} (${id})`).join(', ');
    throw new ProvisiondError('CONFLICT', `'${name}' may be any of the images ${names}`);
  }
  return found[0]!;
}

/** @throws NOT_FOUND */
async function findUser(db: Queryable, login: string): Promise<number> {
  const row = await db.one<{ id: number }>('select id from user where unityid = ? order by affiliationid, id', [login]);
  if (!row) throw new ProvisiondError('NOT_FOUND', `there is no user '${login}'`);
  return row.id;
}

async function insertReservation(tx: Queryable, wish: Wish, to: Allocation, userId: number, now: string) {
  const begins = wish.now ? now : wish.start;
  const { imageId: imageid, revisionId: imagerevisionid } = wish;
  const { computerId: computerid, managementNodeId: managementnodeid } = to;
  const logid = await tx.insert('log', {
    userid: userId,
    nowfuture: wish.now ? 'now' : 'future',
    start: begins,
    initialend: wish.end,
    finalend: wish.end,
    wasavailable: 1,
    ending: 'none',
    imageid,
  });
  const requestId = await tx.insert('request', {
    stateid: STATE_IDS.new,
    userid: userId,
    laststateid: STATE_IDS.new,
    logid,
    start: wish.start,
    end: wish.end,
    daterequested: now,
  });
  await tx.change('update log set requestid = ? where id = ?', [requestId, logid]);
  await tx.insert('sublog', {
    logid,
    imageid,
    imagerevisionid,
    computerid,
    managementnodeid,
    predictivemoduleid: to.predictiveModuleId,
    hostcomputerid: to.hostComputerId,
  });
  const place = { computerid, imageid, imagerevisionid, managementnodeid };
  const reservationId = await tx.insert('reservation', { requestid: requestId, ...place });
  await tx.insert('changelog', { logid, start: begins, end: wish.end, timestamp: now });
  return { requestId, reservationId };
}

interface LiveRequest {
  id: number;
  stateid: number;
  laststateid: number;
  logid: number | null;
  start: string;
  end: string;
  now: string;
}

/** @throws REQUEST_NOT_FOUND */
async function readRequest(
  tx: Queryable,
  requestId: number,
): Promise<LiveRequest & Record<'state' | 'last', StateName>> {
  const { now, updateLock } = tx.dialect;
  const row = await tx.one<LiveRequest>(
    `select id, stateid, laststateid, logid, start, \`end\`, ${now} as now from request where id = ?${updateLock}`,
    [requestId],
  );
  if (!row) throw new ProvisiondError('REQUEST_NOT_FOUND', `there is no request ${requestId}`);
  const what = `request ${requestId}`;
  return { ...row, state: knownState(row.stateid, what), last: knownState(row.laststateid, what) };
}

async function connect(db: Database, requestId: number, fromIp: string): Promise<void> {
  if (!isIPv4(fromIp)) throw new ProvisiondError('REQUEST_INVALID', `'${fromIp}' is no IPv4 address`);
  await db.transaction(async (tx) => {
    const { state, last, logid, start, now } = await readRequest(tx, requestId);
    const places = await tx.rows<{ id: number; computerid: number; remoteIP: string | null; stateid: number }>(
      `select r.id, r.computerid, r.remoteIP, c.stateid from reservation r join computer c on c.id = r.computerid
       where r.requestid = ? order by r.id`,
      [requestId],
    );
    const computers = places.map(({ stateid }) => stateName(stateid) ?? 'failed');
    const status = displayStatus({ state, lastState: last, computers, future: start > now });
    if (status !== 'ready' && status !== 'inuse') {
      throw new ProvisiondError('CONFLICT', `request ${requestId} is ${status}, not ready to connect to`);
    }
    const [parent] = places;
    if (parent!.remoteIP === fromIp) return;
    await tx.change('update reservation set remoteIP = ? where requestid = ?', [fromIp, requestId]);
    if (logid !== null) {
      await tx.insert('changelog', { logid, remoteIP: fromIp, timestamp: now });
      await tx.change('update log set remoteIP = ? where id = ?', [fromIp, logid]);
    }
    if (!parent!.remoteIP) await startConnectClock(tx, parent!.id, parent!.computerid);
  });
}

/** From here the user has `initialconnecttimeout` seconds to log in. */
async function startConnectClock(tx: Queryable, reservationId: number, computerId: number): Promise<void> {
  await tx.change(
    `insert into computerloadlog (reservationid, computerid, loadstateid, timestamp)
     select ?, ?, id, ${tx.dialect.now} from computerloadstate where loadstatename = 'initialconnecttimeout'`,
    [reservationId, computerId],
  );
}

/** States whose end means something to a user. */
const EXTENDABLE: readonly StateName[] = [
  'new',
  'reserved',
  'inuse',
  'rebootsoft',
  'reboothard',
  'reinstall',
  'servermodified',
];

async function extend(tx: Queryable, requestId: number, minutes: number): Promise<string> {
  if (!Number.isInteger(minutes) || minutes < 1) {
    throw new ProvisiondError('REQUEST_INVALID', `an extension of ${minutes} minutes is none`);
  }
  const request = await readRequest(tx, requestId);
  const work = request.state === 'pending' ? request.last : request.state;
  if (!EXTENDABLE.includes(work)) throw new ProvisiondError('CONFLICT', `request ${requestId} is ${work} already`);
  if (request.start > request.now) throw new ProvisiondError('CONFLICT', `request ${requestId} has not started`);
  const until = addMinutes(request.end, minutes);
  const next = await tx.one<{ id: number; start: string }>(
    `select q.id, q.start from reservation mine join reservation r on r.computerid = mine.computerid
     join request q on q.id = r.requestid
     where mine.requestid = ? and q.id <> ? and q.start > ? and q.start < ?
       and q.stateid not in (${stateIds('failed', 'complete', 'deleted')}) order by q.start limit 1`,
    [requestId, requestId, request.start, addMinutes(until, 15)],
  );
  if (next) {
    const message = `request ${requestId} cannot last until ${until}: request ${next.id} has the computer from ${next.start}`;
    throw new ProvisiondError('CONFLICT', message);
  }
  await tx.change('update request set `end` = ?, datemodified = ? where id = ?', [until, request.now, requestId]);
  if (request.logid !== null) {
    const { logid, start, now } = request;
    await tx.insert('changelog', { logid, start, end: until, timestamp: now });
    await tx.change('update log set finalend = ? where id = ?', [until, logid]);
  }
  return until;
}

async function end(tx: Queryable, requestId: number): Promise<'deleted' | 'ending'> {
  const { state, last, logid, start, now } = await readRequest(tx, requestId);
  if (start > now) {
    await tx.change('delete from request where id = ?', [requestId]);
    if (logid !== null) {
      await tx.change("update log set ending = 'deleted' where id = ?", [logid]);
      await tx.insert('changelog', { logid, end: now, timestamp: now });
    }
    return 'deleted';
  }
  if (state === 'deleted' || (state === 'pending' && last === 'deleted')) return 'ending';
  await tx.change(`update request set stateid = ${STATE_IDS.deleted}, laststateid = ? where id = ?`, [
    STATE_IDS[lastStateOfEnded(state, last)],
    requestId,
  ]);
  if (logid !== null) {
    await tx.change("update log set ending = 'released', finalend = ? where id = ?", [now, logid]);
    await tx.insert('changelog', { logid, end: now, timestamp: now });
  }
  return 'ending';
}

/** What the front end leaves beside `deleted`: `reserved` for whatever was on its way there. */
export function lastStateOfEnded(state: StateName, lastState: StateName): StateName {
  const work = state === 'pending' ? lastState : state;
  return work === 'new' ? 'reserved' : work;
}
