import { expect, it } from '@jest/globals';
import { FrontEndClient } from '../../../lib/front-end-rpc/front-end-client';
import { BlockAllocations } from '../../../lib/work/block-allocations';
import { MemoryLog } from '../../fixtures/memory-log';
import { describeOnBoth, type TestStore } from '../../support/store';
import { WebFrontEnd, struct } from '../../support/web-front-end';

interface Block {
  /** Hours from now. */
  start: number;
  end?: number;
  expire?: number;
  status?: string;
  node?: number;
  skip?: number;
  processed?: number;
}

async function putBlock(
  t: TestStore,
  { start, end = start + 1, expire = end, status = 'accepted', node, ...flags }: Block,
) {
  const at = async (hours: number) => {
    const { now, addSeconds } = t.db.dialect;
    return (await t.db.one<{ time: string }>(`select ${addSeconds(now, '?')} as time`, [hours * 3600]))!.time;
  };
  const block = { name: 'class', imageid: t.image.imageId, numMachines: 2, ownerid: 1, processing: 0, status };
  const managementnodeid = node ?? t.managementNodeId;
  const blockRequestid = await t.db.insert('blockRequest', {
    ...block,
    managementnodeid,
    expireTime: await at(expire),
  });
  const times = { start: await at(start), end: await at(end), processed: 0, skip: 0, ...flags };
  const id = await t.db.insert('blockTimes', { blockRequestid, ...times });
  await t.db.change('insert into blockComputers (blockTimeid, computerid, imageid) values (?, 2, ?)', [
    id,
    t.image.imageId,
  ]);
  return id;
}

async function putOtherNode(t: TestStore): Promise<number> {
  return t.frontEnd.ensureManagementNode('other.test', '127.0.0.2', []);
}

const due = async (t: TestStore) => (await t.store.dueBlocks(t.managementNodeId)).map(({ blockTimeId }) => blockTimeId);
const count = async (t: TestStore, table: string) => (await t.db.rows(`select * from ${table}`)).length;

describeOnBoth('a block allocation', (current) => {
  it('is due when it begins within six hours, is accepted, not skipped and not processed', async () => {
    const t = current();
    const soon = await putBlock(t, { start: 5.9 });
    for (const more of [
      { start: 6.1 },
      { start: 1, skip: 1 },
      { start: 1, processed: 1 },
      { start: 1, status: 'requested' },
    ]) {
      await putBlock(t, more);
    }
    expect(await due(t)).toEqual([soon]);
  });

  it('that is over is cleared away by its own node alone, and only while it is accepted', async () => {
    const t = current();
    const other = await putOtherNode(t);
    await putBlock(t, { start: -3, expire: 24 });
    await putBlock(t, { start: -3, expire: 24, node: other });
    await putBlock(t, { start: -3, expire: 24, status: 'deleted' });
    await putBlock(t, { start: 1 });
    expect(await t.store.endBlocks(t.lease)).toEqual({ times: 1, blocks: 0 });
    expect([await count(t, 'blockTimes'), await count(t, 'blockComputers')]).toEqual([3, 3]);
  });

  it('that expired is completed', async () => {
    const t = current();
    await putBlock(t, { start: -3 });
    expect(await t.store.endBlocks(t.lease)).toEqual({ times: 1, blocks: 1 });
    expect(await t.db.rows('select status from blockRequest')).toEqual([{ status: 'completed' }]);
  });

  async function run(t: TestStore, answers: string[]) {
    const web = await WebFrontEnd.start('http');
    web.answer = (_call, response) => response.end(answers[Math.min(web.calls.length, answers.length) - 1]);
    const blocks = new BlockAllocations({
      ...{ store: t.store, frontEnd: new FrontEndClient(web.settings()), lease: t.lease, log: new MemoryLog() },
      ...{ onQueued: () => {}, pauseMs: 5 },
    });
    await blocks.look();
    await blocks.stop();
    await web.stop();
    return web.calls;
  }
  const allocated = (number: number) => struct({ status: 'success', allocated: number, unallocated: 2 - number });

  it('is asked for again until there are enough computers, and its owner is told', async () => {
    const t = current();
    await t.db.change("update user set email = 'admin@vcl.test' where id = 1");
    const id = await putBlock(t, { start: 1 });
    const calls = await run(t, [allocated(0), allocated(1), allocated(2)]);
    expect(calls).toHaveLength(3);
    expect(calls[0]!.body.replace(/\s+/g, '')).toContain(
      `XMLRPCprocessBlockTime</methodName><params><param><value><string>${id}</string></value></param><param><value><int>1</int>`,
    );
    expect(await due(t)).toEqual([]);
    expect(await t.db.rows('select processing from blockRequest')).toEqual([{ processing: 0 }]);
    expect(await t.store.messages.due(t.managementNodeId)).toMatchObject([
      { recipient: 'admin@vcl.test', subject: 'Block allocation class: 2 of 2 computers' },
    ]);
  });

  it('gets what there is after six passes', async () => {
    const t = current();
    await putBlock(t, { start: 1 });
    expect(await run(t, [allocated(1)])).toHaveLength(6);
    expect(await due(t)).toEqual([]);
  });

  it('that was processed in the front end already is left as it is', async () => {
    const t = current();
    await putBlock(t, { start: 1 });
    expect(await run(t, [struct({ status: 'completed' })])).toHaveLength(1);
    expect(await due(t)).toEqual([]);
  });

  it('waits for a web that is down', async () => {
    const t = current();
    const id = await putBlock(t, { start: 1 });
    expect(await run(t, ['<html>down'])).toHaveLength(1);
    expect(await due(t)).toEqual([id]);
    expect(await t.db.rows('select processing from blockRequest')).toEqual([{ processing: 0 }]);
  });
});
