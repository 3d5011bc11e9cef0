/** Finding one reservation in the log, and hearing more of it. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { PassThrough } from 'node:stream';
import { createLogger, type RootLog } from '../../../lib/log';
import { LogLevels, writeLevelOf } from '../../../lib/log-levels';
import { eventually } from '../../support/eventually';
import { FakeDaemon } from '../../support/fake-daemon';
import { FakeSite } from '../../support/fake-site';

let site: FakeSite;
let written: string;
let log: RootLog;
let daemon: FakeDaemon;
let levels: LogLevels;

beforeEach(async () => {
  site = await FakeSite.open();
  written = '';
  const stream = new PassThrough();
  stream.on('data', (data: Buffer) => (written += data.toString()));
  log = createLogger({ level: 'info', format: 'human', file: null }, { stream });
  Object.assign(site, { log });
  levels = new LogLevels(site.folder, log);
});

afterEach(async () => {
  levels.close();
  await daemon.stop();
  await site.close();
});

const linesOf = (requestId: number) => written.split('\n').filter((line) => line.includes(`[request ${requestId}`));

async function shows(requestId: number, status: 'ready' | 'failed'): Promise<void> {
  await eventually(
    async () => (await site.frontEnd.show(requestId)).status === status,
    20,
    () => written,
  );
}

describe('the log', () => {
  it('has a reservation from its first line to its last under one word to search for', async () => {
    daemon = new FakeDaemon(site);
    const [one, other] = [await site.reserve({ computer: 'vm1' }), await site.reserve({ computer: 'vm2' })];
    await Promise.all([shows(one, 'ready'), shows(other, 'ready')]);
    const story = linesOf(one).join('\n');
    expect(story).toMatch(/working on 'new'[\s\S]*power on the domain[\s\S]*'new' is done[\s\S]*working on 'reserved'/);
    expect(story).not.toContain('vm2');
    const nobodys = written.split('\n').filter((line) => /vm1|vm2/.test(line) && !/\[request \d+/.test(line));
    expect(nobodys).toEqual([]);
  });

  it('has the causes of a failure and what to do about it under the same word', async () => {
    await site.database.change("update imagerevision set imagename = 'nowhere-to-be-found' where id = ?", [
      site.image.revisionId,
    ]);
    daemon = new FakeDaemon(site);
    const lost = await site.reserve({ computer: 'vm1' });
    await shows(lost, 'failed');
    const story = linesOf(lost).join('\n');
    expect(story).toMatch(/IMAGE_NOT_FOUND \(image\): .*nowhere-to-be-found/);
    expect(story).toMatch(/hint: Put the image file into the datastore/);
  });

  it('tells more of one reservation, from the moment on that somebody asks, and no more of the others', async () => {
    const [one, other] = [await site.reserve({ computer: 'vm1' }), await site.reserve({ computer: 'vm2' })];
    writeLevelOf(site.folder, one, 'debug');
    await new Promise((resolve) => setTimeout(resolve, 300));
    daemon = new FakeDaemon(site);
    await Promise.all([shows(one, 'ready'), shows(other, 'ready')]);
    expect(linesOf(one).join('\n')).toMatch(/ debug .*power on the domain …/);
    expect(linesOf(other).join('\n')).not.toMatch(/ debug /);
    expect(linesOf(other).join('\n')).toMatch(/ info .*power on the domain/);
  });
});
