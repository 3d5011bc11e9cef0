import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { atExit } from '../../../lib/host/at-exit';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'provisiond-exit-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('what a script clears up at its end', () => {
  it('is cleared up when it speaks to a daemon that died meanwhile', async () => {
    const file = path.join(folder, 'file.part');
    const text = `file=$1
${atExit('rm -f "$file"')}
echo half >"$file"
read -r rest
echo 'error: the content was cut off' >&2
exit 1`;
    const child = spawn('sh', ['-c', text, 'sh', file], { stdio: ['pipe', 'ignore', 'pipe'] });
    while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 5));
    child.stderr.destroy();
    child.stdin.end();
    await once(child, 'exit');
    expect(existsSync(file)).toBe(false);
  });

  it('is one command for a shell', () => {
    expect(() => atExit("rm -f 'a b'")).toThrow('quotes');
  });
});
