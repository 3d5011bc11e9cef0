/**
 * Every command that is printed for people to copy, run as it is printed on a site that is ready for it: a fake world with a
 * daemon. Names of the documents are those of the site; where it has another (a number, an address), `STANDS_FOR` says so.
 */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { runProgram } from '../../../lib/cli/program';
import { VmRecords } from '../../../lib/operations/vm-records';
import { OperationInbox } from '../../../lib/work/operation-inbox';
import { FakeDaemon } from '../../support/fake-daemon';
import { FakeSite } from '../../support/fake-site';
import { type PrintedLine, blockLines, helpLines, inlineLines, words } from '../../support/printed-commands';

// One run from nothing on: what went wrong cannot be tried again in the middle.
jest.retryTimes(0);
jest.setTimeout(240_000);

/** What cannot be run here, and who runs it. */
const ELSEWHERE: readonly (readonly [command: RegExp, why: string])[] = [
  [/^npm run demo|^npm test$/, 'run whole: .ci/test; the demo is a run of its own'],
  [/^npm ci/, 'installs and builds: test/lab/prepare does so for every run of the tests'],
  [/^npm run bench/, 'minutes on a quiet machine: test/bench/RESULTS.md is what it printed'],
  [/^apt-get install \.\/provisiond_/, 'test/lab/run-package installs it in a clean Debian'],
  [/^systemctl (enable|reload) /, 'needs systemd as the first process; the unit: systemd.test.ts'],
  [/^journalctl /, 'needs the journal; what it looks for: logs.test.ts'],
  [/^test\/lab\/lab /, 'this very test runs in a lab that was made so'],
  [/^npm run test:unit/, 'runs tests'],
  [/^(adduser|install|echo|chown) /, 'sets an account of a host up: conf/host, test/unit/conf/polkit.test.ts'],
  [/^(PROVISIOND_|GUEST_FAULT)/, 'runs tests'],
  [
    /^provisiond vm (clone|flatten|rebase|rebase_clones|remove_base|prepare_base) /,
    'on bases and clones: test/contract/clones',
  ],
  [/^provisiond (vm (revert|delete_snapshot)|plugins --test) /, 'below, with the snapshot and the file that it names'],
];

/** Patterns for readers, not commands: checked against the help by docs.test.ts. */
const isPattern = ({ line }: PrintedLine) => /…| \| |\bNAME\b|\bcomputer\|image/.test(line);

let site: FakeSite;
let daemon: FakeDaemon;
let operations: OperationInbox;
let web: Server;
const before = { ...process.env, cwd: process.cwd() };
/** A reservation whose machine is ready, and one that failed. */
let [ready, failed] = [0, 0];

beforeAll(async () => {
  site = await FakeSite.open({
    hosts: ['kvm1'],
    computers: Array.from({ length: 8 }, (_, index) => ({
      name: `vm${index + 2}`,
      privateIp: `192.168.121.${20 + index}`,
    })),
    settings: { guestShutdownTimeoutMs: 4000, startProofMs: 0 },
  });
  process.chdir(site.folder);
  Object.assign(process.env, site.host.env); // the way to this machine as a host leads into the world
  daemon = new FakeDaemon(site);
  operations = new OperationInbox(site.adapters(), new VmRecords(site.store, site.log), site.lease, site.log);
  operations.start();
  web = createServer((_request, response) => response.end('VCL'));
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', () => resolve()));
  for (const file of ['debian12.qcow2', 'debian-12-genericcloud-amd64.qcow2'])
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file, '1M']);
  writeFileSync('vcld.conf', 'FQDN=node.test\nserver=127.0.0.1\n');
  writeFileSync('provisiond.yaml', '');
  const lost = { prettyName: 'Lost Linux', os: 'vmwarelinux', ramMiB: 256, cpus: 1, sizeMiB: 1, owner: 'admin' };
  await site.frontEnd.addImage(lost); // and no file of it anywhere
}, 60_000);

afterAll(async () => {
  process.chdir(before.cwd);
  process.env = before;
  await new Promise((resolve) => web?.close(resolve));
  await operations?.stop('the test is over');
  await daemon?.stop();
  await site?.close();
});

/** What is printed → what it is on this site. */
function standsFor(line: string): string {
  return [
    [/^(npx )?provisiond /, ''],
    [/ --address 192\.0\.2\.5\b/, ' --local'],
    [/\/var\/lib\/(libvirt|vcl)\/images\b/, site.host.path('datastore')],
    [/--public-network br0\b/, '--public-network public'],
    [/--private-ip 192\.168\.100\./, '--private-ip 192.168.121.'],
    [/\/etc\/(provisiond|vcl)\/(?=\S+\.(yaml|conf))/g, `${site.folder}/`],
    [/127\.0\.0\.1:8477\b/, '127.0.0.1:0'],
    [/https:\/\/vcl\.example\.org\//, `http://127.0.0.1:${(web?.address() as AddressInfo).port}/`],
    [/--image debian12\b/, "--image 'Debian 12'"],
    [/vmwarelinux-Debian12-v0\b/, site.image.fileName],
    [/^(recover) (\d+|REQUEST)\b/, `$1 ${failed}`],
    [/^(show|connect|extend|end|plan|explain|log-level) (1|7|12)\b/, `$1 ${ready}`],
    [/\bHOST\b/, 'kvm1'],
  ].reduce((text, [from, to]) => text.replace(from as RegExp, to as string), line);
}

interface Ended {
  readonly exitCode: number;
  readonly said: string;
}

/** Runs a printed line. @param stopAfterMs of a verb that would go on */
async function run(line: string, stopAfterMs?: number): Promise<Ended> {
  let said = '';
  const write = (more: string) => void (said += more);
  const stop = new AbortController();
  const timer = stopAfterMs === undefined ? undefined : setTimeout(() => stop.abort('SIGTERM'), stopAfterMs);
  const env = {
    PROVISIOND_DATABASE: site.url,
    PROVISIOND_STATE_DIR: site.folder,
    PROVISIOND_MANAGEMENT_NODE: 'node.test',
    PROVISIOND_XML_DIRECTORY: site.config.xmlDirectory,
    PROVISIOND_LOG_FILE: path.join(site.folder, 'run.log'),
  };
  const streams = { stdout: { write }, stderr: { write } };
  const exitCode = await runProgram(words(standsFor(line)), {
    ...streams,
    env,
    version: '1',
    stopSignal: () => stop.signal,
  });
  clearTimeout(timer);
  return { exitCode, said };
}

async function expectToRun(line: string, exitCodes: readonly number[] = [0], stopAfterMs?: number): Promise<string> {
  const t = Date.now();
  const { exitCode, said } = await run(line, stopAfterMs);
  process.stderr.write(`${Date.now() - t} ms ${exitCode} ${line}\n`);
  if (!exitCodes.includes(exitCode)) throw new Error(`${line}: exit code ${exitCode}\n${said}`);
  return said;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await condition()); tries++) {
    if (tries > 600) throw new Error(`not so: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What a line needs to make sense, beside the site as the lines before have left it. */
async function prepare(line: string): Promise<void> {
  if (/^provisiond recover /.test(line)) {
    const wanted = { image: 'Lost Linux', user: 'student', start: null, minutes: 60 };
    failed = (await site.frontEnd.addReservation(wanted)).requestId;
    await until(async () => (await site.frontEnd.show(failed)).status === 'failed');
  }
  const isOf = /^provisiond (show|connect|extend|end|plan|explain|log-level) \d/.test(line);
  if (isOf && (ready === 0 || (await site.requestState(ready)) === null)) {
    ready = await site.reserve({});
    await until(async () => (await site.frontEnd.show(ready)).status === 'ready');
  }
}

/** Findings are an answer, not a failure: the site has an image without files. */
const exitCodesOf = (line: string) =>
  /^provisiond (check|doctor|audit|rebuild|image check)\b/.test(line) ? [0, 1] : [0];
const goesOn = (line: string) => /^provisiond run\b/.test(line);

describe('what is printed', () => {
  it('in the code blocks of the documents runs in the order in which it is printed, from nothing on', async () => {
    const mine = blockLines().filter(({ line }) => !ELSEWHERE.some(([command]) => command.test(line)));
    expect(mine.length).toBeGreaterThan(15);
    for (const { line } of mine) {
      await prepare(line);
      await expectToRun(line, exitCodesOf(line), goesOn(line) ? 500 : undefined);
    }
  });
});
