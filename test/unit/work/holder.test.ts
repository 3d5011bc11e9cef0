import { describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { isCertainlyDead, ownHolder } from '../../../lib/work/holder';

/** As another process of this machine would call itself. */
function holderOf(pid: number): string {
  const started = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\)\s/s, '')
    .split(' ')[19]!;
  return ownHolder().replace(/:\d+:\d+:/, `:${pid}:${started}:`);
}

describe('the holder of a lease', () => {
  it('is alive while its process is', () => {
    expect(isCertainlyDead(ownHolder())).toBe(false);
  });

  it('is dead for certain when its process of this machine has ended', async () => {
    const process = spawn('sleep', ['60']);
    const holder = holderOf(process.pid!);
    expect(isCertainlyDead(holder)).toBe(false);
    process.kill('SIGKILL');
    await once(process, 'exit');
    expect(isCertainlyDead(holder)).toBe(true);
  });

  it('is dead for certain when another process has its number now', () => {
    expect(isCertainlyDead(ownHolder().replace(/:(\d+):\d+:/, ':$1:1:'))).toBe(true);
  });

  it('is left to its lease when it ran on another machine, before a reboot, or in another container', () => {
    const [host, pid, started, boot, namespace] = ownHolder().split(':');
    const gone = '999999999';
    expect(isCertainlyDead(['other', gone, started, boot, namespace].join(':'))).toBe(false);
    expect(isCertainlyDead([host, gone, started, 'another-boot', namespace].join(':'))).toBe(false);
    expect(isCertainlyDead([host, gone, started, boot, '1'].join(':'))).toBe(false);
    expect(isCertainlyDead(`${host}:${pid}`)).toBe(false);
    expect(isCertainlyDead('')).toBe(false);
  });
});
