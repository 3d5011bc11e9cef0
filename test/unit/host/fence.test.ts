import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ProvisiondError } from '../../../lib/errors';
import { Fence } from '../../../lib/host/fence';
import { script } from '../../../lib/host/host';
import { LocalHost } from '../../../lib/host/local-host';
import { eventually } from '../../support/eventually';

const WRITE = '\nset -u\nfence\necho "$1" > "$2"\n';

describe('the fence around a computer', () => {
  const host = new LocalHost({ name: 'here' });
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'fence-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const note = () => path.join(folder, 'disks', '.vm1.load');
  const world = () => readFileSync(path.join(folder, 'world'), 'utf8').trim();
  const newWork = (token: number, node = 1) => new Fence(note(), node, token);
  async function write(fence: Fence, what: string, text = WRITE): Promise<void> {
    const argv = script(fence.guard(text), ...fence.args, what, path.join(folder, 'world'));
    const { exitCode } = await host.run(argv, { expect: 'any', timeoutMs: 20_000 });
    fence.check(exitCode, `writing ${what}`);
    expect(exitCode).toBe(0);
  }

  it('lets newer work in, and then older work out for good', async () => {
    const older = newWork(7);
    await write(older, 'older');
    await write(newWork(8), 'newer');
    await expect(write(older, 'late')).rejects.toMatchObject({ code: 'CLAIM_LOST' });
    expect(world()).toBe('newer');
  });

  it('takes of two pieces of work under one lease the one begun later for newer', async () => {
    const [first, second] = [newWork(7), newWork(7)];
    await write(second, 'second');
    await expect(write(first, 'first')).rejects.toMatchObject({ code: 'CLAIM_LOST' });
    expect(world()).toBe('second');
  });

  it('compares tokens as numbers', async () => {
    await write(newWork(9), 'nine');
    await write(newWork(10), 'ten');
    expect(world()).toBe('ten');
  });

  it('lets a computer go over to another management node, whose tokens say nothing of ours', async () => {
    await write(newWork(900, 1), 'node 1');
    await write(newWork(3, 2), 'node 2');
    expect(world()).toBe('node 2');
  });

  it('lets commands of the same work run beside each other, and newer work wait for their end', async () => {
    const work = newWork(1);
    await write(work, 'first');
    // Neither comes to its end before the other one is inside.
    const together =
      '\nfence\necho in >> "$2.in"\nuntil [ "$(wc -l < "$2.in")" = 2 ]; do sleep 0.05; done\necho "$1" > "$2"\n';
    await Promise.all([write(work, 'same', together), write(work, 'same', together)]);
    const slowly = '\nfence\ntouch "$2.held"\nsleep 1\necho "$1" > "$2"\n';
    const running = write(work, 'older', slowly);
    await eventually(() => existsSync(path.join(folder, 'world.held')));
    await write(newWork(2), 'newer');
    await running;
    expect(world()).toBe('newer');
  });

  it('shuts out a command of the same work whose end is unknown, once that work goes on', async () => {
    const work = newWork(1);
    const lost = [...work.args];
    work.afterError(new ProvisiondError('OUTCOME_UNKNOWN', 'the connection broke'));
    await write(work, 'after');
    const argv = script(work.guard(WRITE), ...lost, 'lost', path.join(folder, 'world'));
    expect((await host.run(argv, { expect: 'any' })).exitCode).toBe(113);
    expect(world()).toBe('after');
  });

  it('is not closed by a note that makes no sense', async () => {
    await write(newWork(1), 'first');
    writeFileSync(note(), '1 many turns\n');
    await write(newWork(1), 'second');
    expect(world()).toBe('second');
  });

  it('refuses a script that never asks', () => {
    expect(() => newWork(1).guard('rm -f "$1"')).toThrow(/has no fence/);
  });
});
