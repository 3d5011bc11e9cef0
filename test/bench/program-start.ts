/** How long whoever types a command waits before the first word. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { openStore } from '../../lib/store/open-store';
import type { Measure } from './measure';

const PROGRAM = path.join(__dirname, '../../dist/lib/main.js');
const run = promisify(execFile);

/** Command lines with their goals; the floor of each is Node that starts and ends. */
const COMMANDS: readonly { readonly argv: readonly string[]; readonly atMost: number }[] = [
  { argv: ['--help'], atMost: 500 },
  { argv: ['show', '--help'], atMost: 200 },
  { argv: ['show', '1'], atMost: 400 },
];

export async function measureProgramStart(rounds: number): Promise<Measure[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'provisiond-start-'));
  const env = { ...process.env, PROVISIOND_STATE_DIR: folder, PROVISIOND_MANAGEMENT_NODE: 'node.test' };
  try {
    await addReservation(`sqlite:${folder}/provisiond.db`);
    const floor: number[] = [];
    const own = COMMANDS.map((): number[] => []);
    for (let round = 0; round <= rounds; round++) {
      const times = [await timeOf(['-e', '0'], env)];
      for (const { argv } of COMMANDS) times.push(await timeOf([PROGRAM, ...argv], env));
      if (round === 0) continue; // files come into the page cache
      floor.push(times[0]!);
      own.forEach((values, index) => values.push(times[index + 1]!));
    }
    return COMMANDS.map(({ argv, atMost }, index) => ({
      name: `provisiond ${argv.join(' ')}`,
      unit: 'ms',
      provisiond: own[index]!,
      floor,
      goal: { atMost },
    }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function timeOf(argv: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const begin = performance.now();
  await run(process.execPath, argv, { env });
  return performance.now() - begin;
}

/** Something to show. */
async function addReservation(database: string): Promise<void> {
  const { store, frontEnd } = openStore({ database });
  await store.migrate();
  const node = await frontEnd.ensureManagementNode('node.test', '127.0.0.1', []);
  await frontEnd.ensureUser('student');
  await frontEnd.putHost(
    {
      ...{
        name: 'kvm1',
        address: '127.0.0.1',
        transport: 'local',
        port: 22,
        user: 'root',
        hostKey: null,
        driver: null,
      },
      ...{ maxLoads: null, datastorePath: '/images', vmPath: null, repositoryPath: null },
      ...{ privateNetwork: 'private', publicNetwork: 'public', ramMiB: 1024, cpus: 1 },
    },
    node,
  );
  const addresses = { privateIp: '192.0.2.11', publicIp: null, privateMac: null, publicMac: null };
  const computer = { name: 'vm1', host: 'kvm1', ...addresses, ramMiB: 256, cpus: 1, afterwards: 'unload' as const };
  await frontEnd.putComputer(computer, node);
  const size = { ramMiB: 256, cpus: 1, sizeMiB: 1, owner: 'admin' };
  await frontEnd.addImage({ prettyName: 'Tiny Linux', os: 'vmwarelinux', ...size });
  await frontEnd.addReservation({ image: 'Tiny Linux', user: 'student', start: null, minutes: 60 });
  await store.close();
}
