/** A big site in a world that is simulated but for the daemon and its database: what it costs, and who waits for whom. */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import knex from 'knex';
import type { NewHost } from '../../lib/store/front-end';
import { type OpenStore, openStore } from '../../lib/store/open-store';
import { addCrowd } from './crowd';
import type { Measure } from './measure';
import { residentMiB } from './process-cost';
import type { Costs } from './simulated-daemon';

export interface Scale {
  readonly hosts: number;
  readonly reservations: number;
  /** Others in the table. */
  readonly crowd: number;
  readonly restSeconds: number;
}

const NODE = 'scale.test';
const NEVER = '2099-01-01 00:00:00';
/** Accepts commands and never answers: nobody else may wait for it. */
const HANGING = 'sim1';

export async function measureScale(scale: Scale, say: (text: string) => void): Promise<Measure[]> {
  const site = await BigSite.open(scale);
  try {
    say(
      `${scale.hosts} simulated hosts, ${scale.reservations} reservations and ${scale.crowd} others are in the tables`,
    );
    const alone = await site.runAlone();
    await site.ask();
    await sleep(scale.restSeconds * 1000);
    const rest = await site.ask();
    const crowded = await site.runAll();
    const share = (100 * rest.cpuMs) / (scale.restSeconds * 1000);
    const name = `${scale.hosts} hosts, ${scale.reservations} reservations at once`;
    return [
      { name: `${name}: row → first step`, unit: 'ms', provisiond: crowded.begun },
      { name: '· poll: time from one to the next, the longest', unit: 'ms', provisiond: [crowded.longestPollGapMs] },
      { name: '· poll: how long it takes', unit: 'ms', provisiond: crowded.pollMs },
      { name: '· event loop: late at most', unit: 'ms', provisiond: [crowded.latestMs] },
      { name: '· row → reserved; floor: one alone', unit: 'ms', provisiond: crowded.reserved, floor: alone },
      {
        name: '· held up by a host that hangs, but its own',
        unit: '',
        provisiond: [crowded.heldUp],
        goal: { atMost: 0 },
      },
      { name: '· SQL statements a reservation', unit: '', provisiond: [crowded.statements / crowded.count] },
      { name: "· daemon's processor time a reservation", unit: 'ms', provisiond: [crowded.cpuMs / crowded.count] },
      { name: '· resident memory at most', unit: 'MiB', provisiond: [crowded.residentMiB], goal: { atMost: 250 } },
      { name: `idle with ${scale.hosts} watched hosts, processor`, unit: '%', provisiond: [share] },
    ];
  } finally {
    await site.close();
  }
}

class BigSite {
  private constructor(
    private readonly folder: string,
    private readonly rows: OpenStore,
    private readonly daemon: ChildProcess,
    private readonly requests: readonly number[],
    /** Of these nothing is expected. */
    private readonly hanging: ReadonlySet<number>,
  ) {}

  static async open(scale: Scale): Promise<BigSite> {
    const folder = mkdtempSync(path.join(tmpdir(), 'provisiond-scale-'));
    const database = `sqlite:${folder}/db`;
    const rows = openStore({ database });
    const { requests, hanging } = await furnish(rows, `${folder}/db`, scale);
    const file = path.join(folder, 'provisiond.yaml');
    const settings = {
      database,
      managementNode: NODE,
      stateDir: folder,
      maxLoads: 1000,
      log: { level: 'info', file: `${folder}/log` },
    };
    writeFileSync(file, JSON.stringify(settings));
    const daemon = fork(path.join(__dirname, 'simulated-daemon.ts'), [file, imageHeader(folder), HANGING], {
      execArgv: ['-r', path.join(__dirname, '../lab/register-swc.js'), '--max-semi-space-size=4'], // as the package starts it
    });
    const site = new BigSite(folder, rows, daemon, requests, hanging);
    while ((await site.logged()) === false) await sleep(100);
    return site;
  }

  /** The log says that it works. */
  private async logged(): Promise<boolean> {
    if (this.daemon.exitCode !== null) throw new Error(`the simulated daemon ended: ${this.log.slice(-2000)}`);
    return this.log.includes('this daemon is active now');
  }

  private get log(): string {
    try {
      return readFileSync(path.join(this.folder, 'log'), 'utf8');
    } catch {
      return '';
    }
  }

  async ask(): Promise<Costs> {
    const answer = once(this.daemon, 'message') as Promise<[Costs]>;
    this.daemon.send('costs');
    return (await answer)[0];
  }

  /** @returns row → reserved of a few reservations, one after the other */
  async runAlone(): Promise<number[]> {
    const times: number[] = [];
    for (const request of this.requests.filter((id) => !this.hanging.has(id)).slice(0, 3)) {
      const due = await this.makeDue([request]);
      times.push((await this.until([request], 60)).reserved[request]! - due);
    }
    return times;
  }

  async runAll() {
    const waiting = this.requests.filter((id) => !this.hanging.has(id)).slice(3);
    await this.ask();
    const due = await this.makeDue([...waiting, ...this.hanging]);
    const costs = await this.until(waiting, 300);
    const since = (moments: Costs['begun']) =>
      waiting.flatMap((id) => (moments[id] === undefined ? [] : [moments[id] - due]));
    const reserved = since(costs.reserved);
    return {
      ...{ ...costs, count: waiting.length, begun: since(costs.begun), reserved },
      heldUp: waiting.length - reserved.length,
      residentMiB: this.peakMiB,
    };
  }

  private peakMiB = 0;

  /** Takes the costs of the whole time until all are reserved, or until nobody can wait any longer. */
  private async until(requests: readonly number[], seconds: number): Promise<Costs> {
    const until = performance.now() + seconds * 1000;
    const [begun, reserved, pollMs]: [Record<number, number>, Record<number, number>, number[]] = [{}, {}, []];
    let [cpuMs, statements, longestPollGapMs, latestMs] = [0, 0, 0, 0];
    for (;;) {
      await sleep(200);
      this.peakMiB = Math.max(this.peakMiB, residentMiB(this.daemon.pid!));
      const costs = await this.ask();
      Object.assign(begun, costs.begun);
      Object.assign(reserved, costs.reserved);
      pollMs.push(...costs.pollMs);
      [cpuMs, statements] = [cpuMs + costs.cpuMs, statements + costs.statements];
      longestPollGapMs = Math.max(longestPollGapMs, costs.longestPollGapMs);
      latestMs = Math.max(latestMs, costs.latestMs);
      if (requests.every((id) => reserved[id] !== undefined) || performance.now() > until)
        return { cpuMs, statements, longestPollGapMs, latestMs, pollMs, begun, reserved };
    }
  }

  /** Their day has come: as if all were inserted in one transaction. @returns when, in milliseconds since 1970 */
  private async makeDue(requests: readonly number[]): Promise<number> {
    const { db } = this.rows;
    const { now, addSeconds } = db.dialect;
    await db.change(
      `update request set start = ${now}, \`end\` = ${addSeconds(now, '7200')} where id in (${requests.join(',')})`,
    );
    return Date.now();
  }

  async close(): Promise<void> {
    const ended = once(this.daemon, 'exit');
    this.daemon.disconnect();
    const kill = setTimeout(() => this.daemon.kill('SIGKILL'), 15_000);
    await ended;
    clearTimeout(kill);
    await this.rows.store.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function furnish({ store, frontEnd, db }: OpenStore, file: string, { hosts, reservations, crowd }: Scale) {
  await store.migrate();
  const node = await frontEnd.ensureManagementNode(NODE, '127.0.0.1', []);
  await frontEnd.ensureUser('student');
  const size = { ramMiB: 256, cpus: 1, sizeMiB: 1, owner: 'admin' };
  const image = await frontEnd.addImage({ prettyName: 'Tiny Linux', os: 'vmwarelinux', ...size });
  for (let i = 1; i <= hosts; i++) await frontEnd.putHost(hostRow(i), node);
  const requests: number[] = [];
  const hanging = new Set<number>();
  for (let i = 1; i <= reservations; i++) {
    const [computer, host] = [`vm${i}`, `sim${((i - 1) % hosts) + 1}`];
    await frontEnd.putComputer(computerRow(computer, host, i), node);
    const wanted = { image: 'Tiny Linux', user: 'student', start: NEVER, minutes: 60, computer };
    const { requestId } = await frontEnd.addReservation(wanted);
    requests.push(requestId);
    if (host === HANGING) hanging.add(requestId);
  }
  await db.change('delete from connectmethodmap'); // no services run in simulated guests
  const database = knex({ client: 'better-sqlite3', connection: { filename: file }, useNullAsDefault: true });
  await addCrowd({ database, image, managementNodeId: node }, crowd, 'vm1');
  await database.destroy();
  return { requests, hanging };
}

function hostRow(index: number): NewHost {
  return {
    name: `sim${index}`,
    address: `10.1.${index >> 8}.${index & 255}`,
    ...{ transport: 'ssh', port: 22, user: 'root', hostKey: `SHA256:${'A'.repeat(43)}`, driver: null, maxLoads: null },
    ...{ datastorePath: '/images', vmPath: '/vms', repositoryPath: null },
    ...{ privateNetwork: 'private', publicNetwork: 'public', ramMiB: 65536, cpus: 64 },
  };
}

const computerRow = (name: string, host: string, index: number) => ({
  ...{ name, host, privateIp: `10.0.${index >> 8}.${index & 255}`, publicIp: null, privateMac: null, publicMac: null },
  ...{ ramMiB: 256, cpus: 1, afterwards: 'unload' as const },
});

/** The first bytes of a base image as qemu-img makes it. */
function imageHeader(folder: string): string {
  const file = path.join(folder, 'image.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file, '1M']);
  return readFileSync(file).subarray(0, 512).toString('hex');
}
