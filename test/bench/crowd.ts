/** A table as a busy site has it: requests that wait for their day, and requests at rest that the front end still shows. */
import { STATE_IDS } from '../../lib/model/states';
import type { Site } from '../support/site';

const AT_ONCE = 50;

/** @param computer none that the bench loads: its rows would be rivals */
export async function addCrowd(
  site: Pick<Site, 'database' | 'image' | 'managementNodeId'>,
  requests: number,
  computer: string,
): Promise<void> {
  const { database: db, image, managementNodeId } = site;
  const { id: computerid } = await db('computer').where({ hostname: computer }).first<{ id: number }>();
  const [{ last }] = (await db('request').max('id as last')) as [{ last: number | null }];
  const first = (last ?? 0) + 1;
  const ids = Array.from({ length: requests }, (_, i) => first + i);
  await db.batchInsert('request', ids.map(requestRow), AT_ONCE);
  const reservation = { computerid, imageid: image.imageId, imagerevisionid: image.revisionId };
  const rows = ids.map((requestid) => ({ requestid, managementnodeid: managementNodeId, ...reservation }));
  await db.batchInsert('reservation', rows, AT_ONCE);
}

function requestRow(id: number) {
  const waits = id % 2 === 0;
  return {
    id,
    userid: 1,
    stateid: waits ? STATE_IDS.new : STATE_IDS.complete,
    laststateid: waits ? STATE_IDS.new : STATE_IDS.inuse,
    start: waits ? '2099-01-01 00:00:00' : '2020-01-01 00:00:00',
    end: '2099-01-02 00:00:00',
  };
}
