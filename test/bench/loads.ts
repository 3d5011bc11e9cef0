/** Loads by provisiond and by the raw script, in turns, so that both see the same machine. */
import { Socket } from 'node:net';
import { eventually } from '../support/eventually';
import type { Site } from '../support/site';
import { stepNamed, stepsOf } from './daemon-log';
import type { Measure } from './measure';
import { cpuMs } from './process-cost';
import { loadRaw, type RawLoad } from './raw-load';

interface OwnLoad extends RawLoad {
  /** Row inserted → first step. */
  readonly pickup: number;
  readonly cpu: number;
  /** Acknowledgement written → the guest's door is open, as seen from outside. */
  readonly granted: number;
  /** The user's first words in the guest → in use. */
  readonly inuse: number;
}

/** The first load of a new daemon, which asks the host for its driver, is told apart. */
export async function measureLoads(site: Site, rounds: number, say: (text: string) => void): Promise<Measure[]> {
  let xml = '';
  await loadOwn(site, async () => {
    const [domain] = await site.domains();
    xml = await site.virsh('dumpxml', '--inactive', domain!);
  });
  const own: OwnLoad[] = [];
  const raw: RawLoad[] = [];
  for (let round = 1; round <= rounds; round++) {
    own.push(await loadOwn(site));
    raw.push(await loadRaw(site, xml));
    say(`load ${round} of ${rounds}: provisiond ${tell(own.at(-1)!)}; floor ${tell(raw.at(-1)!)}`);
  }
  return compare(own, raw);
}

const tell = ({ host, boot, guest }: RawLoad) => `host ${host} boot ${boot} guest ${guest} ms`;
const control = ({ host, guest }: RawLoad) => host + guest;
const total = ({ host, boot, guest }: RawLoad) => host + boot + guest;

function compare(own: readonly OwnLoad[], raw: readonly RawLoad[]): Measure[] {
  const beside = (name: string, pick: (load: RawLoad) => number, goal?: Measure['goal']): Measure => ({
    name,
    unit: 'ms',
    provisiond: own.map(pick),
    floor: raw.map(pick),
    ...(goal && { goal }),
  });
  const alone = (name: string, pick: (load: OwnLoad) => number, atMost: number): Measure => ({
    name,
    unit: 'ms',
    provisiond: own.map(pick),
    goal: { atMost },
  });
  return [
    alone('row inserted → first step', ({ pickup }) => pickup, 300),
    alone('acknowledged → access granted', ({ granted }) => granted, 300),
    alone('logged in → in use', ({ inuse }) => inuse, 2000),
    beside('control plane of a load', control, { ratio: 1.25 }),
    beside('· on the host: first step → domain started', ({ host }) => host),
    beside('· in the guest: first ssh answer → reserved', ({ guest }) => guest, { atMost: 3000 }),
    beside('boot: domain started → first ssh answer', ({ boot }) => boot),
    beside('whole load: first step → reserved', total),
    alone("daemon's processor time a load", ({ cpu }) => cpu, 300),
  ];
}

/** From the row to the user's open door, and to the end of the reservation. */
async function loadOwn(site: Site, whileReserved = async () => {}): Promise<OwnLoad> {
  const { pid } = site.daemon!;
  const cpuBefore = cpuMs(pid!);
  const requestId = await site.reserve({ computer: 'vm1' });
  const inserted = Date.now();
  const { address } = await site.waitUntilReady(requestId, 120);
  const cpu = cpuMs(pid!) - cpuBefore;
  await whileReserved();
  await site.frontEnd.connect(requestId, '192.168.122.1');
  const acknowledged = performance.now();
  await untilOpen(address!, 22, 10_000);
  const granted = performance.now() - acknowledged;
  const inuse = await logIn(site, requestId);
  await site.frontEnd.end(requestId);
  await site.waitForRequest(requestId, null, 60);
  return { ...times(site, requestId, inserted), cpu, granted, inuse };
}

/** @returns milliseconds from the user's first words, for whom the daemon looks from time to time */
async function logIn(site: Site, requestId: number): Promise<number> {
  const visit = await site.logIn(await site.frontEnd.show(requestId));
  try {
    const cameAt = performance.now();
    await eventually(
      async () =>
        /^(inuse|pending)\/(reserved|inuse)$/.test((await site.requestState(requestId)) ?? '') &&
        (await site.computerState('vm1')) === 'inuse',
      20,
    );
    return performance.now() - cameAt;
  } finally {
    await visit.leave();
  }
}

function times(site: Site, requestId: number, inserted: number) {
  const steps = stepsOf(site.logFile, requestId);
  const first = stepNamed(steps, 'check that the request can be served');
  const started = stepNamed(steps, 'power on the domain');
  const answered = stepNamed(steps, 'wait for the guest');
  const reserved = stepNamed(steps, 'tell the front end');
  return {
    pickup: Math.max(0, first.begin - inserted),
    host: started.end - first.begin,
    boot: answered.milliseconds,
    guest: reserved.end - answered.end,
  };
}

/** Loads nothing: the machine stands ready with the image, as the predictive modules leave it. */
export async function measureWarmStarts(site: Site, rounds: number): Promise<Measure[]> {
  const warm: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const requestId = await site.reserve({ computer: 'vm1' });
    const inserted = Date.now();
    await site.waitUntilReady(requestId, 120);
    if (round > 0) warm.push(stepNamed(stepsOf(site.logFile, requestId), 'tell the front end').end - inserted);
    await site.frontEnd.end(requestId);
    await eventually(async () => (await site.requestState(requestId)) === null, 60);
  }
  const name = 'warm start: row inserted → reserved on a loaded machine';
  return [{ name, unit: 'ms', provisiond: warm, goal: { atMost: 1500 } }];
}

async function untilOpen(address: string, port: number, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isOpen(address, port))) {
    if (performance.now() > deadline) throw new Error(`${address} port ${port} was not opened in ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function isOpen(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = new Socket();
    const end = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.setTimeout(200, () => end(false));
    socket.once('connect', () => end(true)).once('error', () => end(false));
    socket.connect(port, address);
  });
}
