/**
 * Every command that is printed for people to copy, run as it is printed on a site that is ready for it: a fake world with a
 * daemon. Names of the documents are those of the site; where it has another (a number, an address), `STANDS_FOR` says so.
 */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { runProgram } from '../../../lib/cli/program';
import { type PowerKind, POWER_KINDS, expectedFor } from '../../../lib/model/vm-states';
import { eventually } from '../../support/eventually';
import { FakeDaemon } from '../../support/fake-daemon';
import type { FakeSite } from '../../support/fake-site';
import { type PrintedLine, blockLines, helpLines, inlineLines, words } from '../../support/printed-commands';
import { VmWorld } from '../../support/vm-world';

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
    /^provisiond (appliance (create|add|remove|show|delete|capture|deploy)|instance (promote|delete|edit)|image delete) /,
    'on appliances and instances: test/contract/instances, test/integration/instances.test.ts',
  ],
  [/^provisiond vm power_state_reset /, 'refused while the host lives: test/contract/operations/life.test.ts'],
  [
    /^provisiond vm (clone|flatten|rebase|rebase_clones|remove_base|prepare_base) /,
    'on bases and clones: test/contract/clones',
  ],
];

/** Patterns for readers, not commands: checked against the help by docs.test.ts. */
const isPattern = ({ line }: PrintedLine) =>
  /…| \| |\bNAME\b|\bcomputer\|image/.test(line) ||
  /^provisiond (reserve|show|recover|end|host add|(vm|appliance|instance|volume) \w+)$/.test(line);

/** What ran already, as it is on the site. */
const done = new Set<string>();
let world: VmWorld;
let site: FakeSite;
let daemon: FakeDaemon;
let web: Server;
const before = { ...process.env, cwd: process.cwd() };
/** A reservation whose machine is ready, and one that failed. */
let [ready, failed] = [0, 0];
/** An operation that can be cancelled. */
let underWay = 0;

beforeAll(async () => {
  const settings = { guestShutdownTimeoutMs: 4000, startProofMs: 0 };
  world = await VmWorld.open([], { hosts: ['kvm1'], settings });
  site = world.site;
  for (let i = 2; i <= 9; i++) await site.addComputer({ name: `vm${i}`, privateIp: `192.168.121.${10 + i}` });
  process.chdir(site.folder);
  Object.assign(process.env, site.host.env); // the way to this machine as a host leads into the world
  daemon = new FakeDaemon(site);
  await world.startInbox();
  web = createServer((_request, response) => response.end('VCL'));
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', () => resolve()));
  for (const file of ['debian12.qcow2', 'debian-12-genericcloud-amd64.qcow2'])
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file, '1M']);
  writeFileSync('vcld.conf', 'FQDN=node.test\nserver=127.0.0.1\n');
  writeFileSync('provisiond.yaml', '');
  const lost = { prettyName: 'Lost Linux', os: 'vmwarelinux', ramMiB: 256, cpus: 1, sizeMiB: 1, owner: 'admin' };
  await site.frontEnd.addImage(lost); // and no file of it anywhere
});

afterAll(async () => {
  process.chdir(before.cwd);
  process.env = before;
  await new Promise((resolve) => web?.close(resolve));
  await daemon?.stop();
  await world?.close();
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
    [/"KVM host"/, 'kvm1'],
    [/ --name (["'])Debian 12\1/, ` --name 'Debian 12${done.size > 12 ? ` ${done.size}` : ''}'`],
    [/^(vm cancel) \d+/, `$1 ${underWay}`],
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

/** @returns what is wrong; nothing when it ended well */
async function trial(line: string): Promise<string[]> {
  try {
    await prepare(line);
    const { exitCode, said } = await run(line, /^provisiond run\b/.test(line) ? 500 : undefined);
    await takeBack(line);
    return exitCodesOf(line).includes(exitCode) ? [] : [`${line}: exit code ${exitCode}\n${said}`];
  } catch (error) {
    return [`${line}: ${String(error)}`];
  }
}

/** A VM that nobody has reserved, in a condition in which the operation is allowed; where there is a choice it runs. */
async function bring(kind: PowerKind): Promise<void> {
  if (!site.host.domain(world.domainOf('vm1'))) await world.add('vm1');
  const allowed = expectedFor(kind);
  await world.bring('vm1', allowed.includes('Running') ? 'Running' : allowed[0]!);
}

/** What a line needs to make sense, beside the site as the lines before have left it. */
async function prepare(line: string): Promise<void> {
  if (/^provisiond recover /.test(line)) {
    const wanted = { image: 'Lost Linux', user: 'student', start: null, minutes: 60 };
    failed = (await site.frontEnd.addReservation(wanted)).requestId;
    await eventually(async () => (await site.frontEnd.show(failed)).status === 'failed');
  }
  const [, kind] = /^provisiond vm (\w+) vm1\b/.exec(line) ?? [];
  if (POWER_KINDS.some((known) => known === kind)) await bring(kind as PowerKind);
  if (/ vm (revert|delete_snapshot) /.test(line)) await run('provisiond vm snapshot vm1 --snapshot before-the-upgrade');
  if (/ vm (restore|undo|add_volume|remove_volume) /.test(line)) await forgetSnapshots();
  if (/ vm undo /.test(line)) await run('provisiond vm restore vm1');
  if (/ vm cancel /.test(line)) await beginLongOperation();
  if (/ import-vcld /.test(line)) rmSync('provisiond.yaml'); // it takes the place of no file
  const isOf = /^provisiond (show|connect|extend|end|plan|explain|log-level) \d/.test(line);
  if (isOf && (ready === 0 || (await site.requestState(ready)) === null)) {
    ready = await site.reserve({});
    await eventually(async () => (await site.frontEnd.show(ready)).status === 'ready');
  }
}

/** Takes back what would change the site for the lines that follow. */
async function takeBack(line: string): Promise<void> {
  if (/ --driver /.test(line)) await run('provisiond host add kvm1 --driver kvm');
}

async function forgetSnapshots(): Promise<void> {
  const domain = site.host.domain(world.domainOf('vm1'))!;
  for (const snapshot of domain.snapshots) await world.virsh('snapshot-delete', domain.name, snapshot);
}

/** A guest that does not obey its power button. */
async function beginLongOperation(): Promise<void> {
  await bring('clean_shutdown');
  site.host.makeDeaf(world.domainOf('vm1'));
  const wish = { kind: 'clean_shutdown', computer: 'vm1', arguments: {}, requestedBy: 'admin' };
  underWay = (await site.frontEnd.addOperation(wish)).id;
}

/** Findings are an answer, not a failure: the site has an image without files. */
const exitCodesOf = (line: string) =>
  /^provisiond (check|doctor|audit|rebuild|image check)\b/.test(line) ? [0, 1] : [0];

/** Runs those that no document before has printed, in their order. */
async function runAll(lines: readonly PrintedLine[]): Promise<{ count: number; wrong: string[] }> {
  const all = { count: 0, wrong: [] as string[] };
  for (const printed of lines) {
    const line = printed.line.replace(/^npx /, '');
    const known = standsFor(line);
    if (isPattern(printed) || done.has(known) || ELSEWHERE.some(([command]) => command.test(line))) continue;
    done.add(known);
    all.count += 1;
    all.wrong.push(...(await trial(line)));
  }
  return all;
}
describe('what is printed', () => {
  it('in the code blocks of the documents runs in the order in which it is printed, from nothing on', async () => {
    const { count, wrong } = await runAll(blockLines());
    expect(wrong).toEqual([]);
    expect(count).toBeGreaterThan(10);
  });

  it('in the sentences of the documents runs on that site', async () => {
    const { count, wrong } = await runAll(inlineLines());
    expect(wrong).toEqual([]);
    expect(count).toBeGreaterThan(5);
  });

  it('in the help of every verb, which is the manual page, runs on that site', async () => {
    const { count, wrong } = await runAll(await helpLines());
    expect(wrong).toEqual([]);
    expect(count).toBeGreaterThan(50);
  });
});
