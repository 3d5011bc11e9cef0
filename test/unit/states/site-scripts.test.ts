import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { LocalHost } from '../../../lib/host/local-host';
import type { SiteScript } from '../../../lib/plugins/api';
import { scriptsOf, siteScripts } from '../../../lib/states/site-scripts';
import { RUN_SCRIPT } from '../../../os-modules/linux-scripts/in-use';
import { MemoryLog } from '../../fixtures/memory-log';
import { makeReservation } from '../../fixtures/reservation';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'scripts-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function put(where: string, name: string, text = 'exit 0'): void {
  mkdirSync(path.join(folder, where), { recursive: true });
  writeFileSync(path.join(folder, where, name), `#!/bin/sh\n${text}\n`);
  chmodSync(path.join(folder, where, name), 0o755);
}

function open(timeoutMs = 5000, reservation = makeReservation()) {
  const inGuest: SiteScript[] = [];
  const log = new MemoryLog();
  const scripts = siteScripts({
    settings: { onNode: [path.join(folder, 'node')], inGuest: [path.join(folder, 'guest')], timeoutMs },
    ...{ reservation, log, signal: new AbortController().signal, node: new LocalHost() },
    guest: { runScript: async (script) => void inGuest.push(script) },
  });
  return { scripts, inGuest, log, lines: () => log.lines.map(({ level, message }) => `${level} ${message}`) };
}

describe("the site's scripts of a stage", () => {
  it('are run by number, then by name, of all folders together; hidden files are none', async () => {
    for (const name of ['100.sh', 'b.sh', '2.sh', '.swp']) put('one/post_load', name);
    for (const name of ['10.sh', 'a.sh']) put('two/post_load', name);
    const found = await scriptsOf([path.join(folder, 'one'), path.join(folder, 'two'), '/nowhere'], 'post_load');
    expect(found.map((file) => path.basename(file))).toEqual(['2.sh', '10.sh', '100.sh', 'a.sh', 'b.sh']);
  });

  it('run in the guest; those of post_reserve leave it tainted', async () => {
    put('guest/post_load', '1.sh', 'echo load');
    put('guest/post_reserve', '1.sh');
    const { scripts, inGuest } = open();
    for (const stage of ['post_load', 'post_reserve', 'post_capture'] as const) await scripts.run(stage);
    expect(inGuest).toMatchObject([
      { name: 'post_load/1.sh', content: '#!/bin/sh\necho load\n', taints: false },
      { name: 'post_reserve/1.sh', taints: true },
    ]);
  });

  it('run on this node with the reservation in a file under the names of VCL, and their output goes to the log', async () => {
    put('node/post_load', '1.sh', `cp "$1" ${folder}/facts; ls -l "$1" | cut -c1-10; echo oops >&2`);
    const { scripts, lines } = open(5000, { ...makeReservation(), password: 'geheim' });
    await scripts.run('post_load');
    const facts = readFileSync(path.join(folder, 'facts'), 'utf8');
    const { computer, user } = makeReservation();
    expect(JSON.parse(facts)).toMatchObject({
      stage: 'post_load',
      computer: { privateIPaddress: computer.privateIp, SHORTNAME: computer.shortName },
      user: { unityid: user.login },
    });
    expect(facts).not.toContain('geheim');
    expect(lines()).toEqual(expect.arrayContaining(['info 1.sh: -rw-------', 'info 1.sh: oops']));
  });

  it('that fail or take too long are told in the log, and the next one is run', async () => {
    put('node/post_load', '1.sh', 'exit 3');
    put('node/post_load', '2.sh', 'sleep 30');
    put('node/post_load', '3.sh', `touch ${folder}/done`);
    const { scripts, lines } = open(3000);
    await scripts.run('post_load');
    expect(lines().filter((line) => line.startsWith('warn'))).toHaveLength(2);
    expect(existsSync(path.join(folder, 'done'))).toBe(true);
  });
});

describe('a script of the site in a Linux guest', () => {
  const run = (text: string, seconds = 5, taints = '') => {
    const options = { input: text, env: { PATH: process.env.PATH, HOME: folder }, encoding: 'utf8' } as const;
    try {
      return execFileSync('sh', ['-c', RUN_SCRIPT, 'sh', String(seconds), taints], options);
    } catch (error) {
      return (error as { stdout: string }).stdout;
    }
  };

  it('is run by its own interpreter, and its output comes back in one line', () => {
    expect(run('#!/usr/bin/awk -f\nBEGIN { print "one"; print "two" }\n')).toBe('@@output one\u0001two\u0001\n');
  });

  it('taints the machine before it is run', () => {
    run('#!/bin/sh\nexit 0\n', 5, 'taints');
    expect(readFileSync(path.join(folder, 'currentimage.txt'), 'utf8')).toMatch(/^vcld_tainted=/);
  });

  it('that fails says so', () => {
    expect(run('#!/bin/sh\nexit 7\n')).toContain('@@error ended with exit code 7');
  });

  it('that takes too long is ended', () => {
    expect(run('#!/bin/sh\nexec sleep 60\n', 1)).toContain('@@error took longer than 1 s');
  });
});
