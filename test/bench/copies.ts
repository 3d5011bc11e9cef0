/** The copy of an image into a datastore, checked and recorded, beside one plain `cp` or `qemu-img convert`, flushed too. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { randomBytes } from 'node:crypto';
import { LocalHost } from '../../lib/host/local-host';
import { copiesRecorded } from '../../lib/images/record-behind';
import { HostedComputer } from '../../lib/libvirt/hosted-computer';
import type { Log } from '../../lib/log';
import { makeHostedReservation } from '../fixtures/hosted-reservation';
import { FakeHost } from '../support/fake-host';
import { openStore } from '../../lib/store/open-store';
import type { Store } from '../../lib/store/store';
import type { Measure } from './measure';

const IMAGE = 'linux-bench1-v0';
const DATA_MIB = 1024;
const GOAL = { ratio: 1.1 };
const convert = (format: string) => `qemu-img convert -W -m 16 -f ${format} -O qcow2 "$1" "$2"`;
const COPIES: readonly { format: string; plain: string; name: string; goal?: { ratio: number } }[] = [
  {
    format: 'qcow2',
    plain: convert('qcow2'),
    name: `copy of a base image, ${DATA_MIB} MiB from qcow2, beside qemu-img convert`,
    goal: GOAL,
  },
  { format: 'qcow2', plain: 'cp "$1" "$2"', name: '· beside cp' },
  {
    format: 'vmdk',
    plain: convert('vmdk'),
    name: `copy of a base image, ${DATA_MIB} MiB from vmdk, beside qemu-img convert`,
    goal: GOAL,
  },
];
const quiet: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };

export async function measureCopies(rounds: number): Promise<Measure[]> {
  const folder = mkdtempSync(path.join(process.env['PROVISIOND_LAB'] ?? tmpdir(), 'copies-'));
  const { store } = openStore({ database: `sqlite:${path.join(folder, 'db')}` });
  await store.migrate();
  const libvirt = new FakeHost();
  // libvirt's answers are of no account here; the files are real, on the disk.
  const host = new LocalHost({
    env: { PATH: `${path.join(__dirname, '../support/fake-bin')}:${process.env['PATH']}`, FAKE_WORLD: libvirt.folder },
  });
  try {
    for (const name of ['repository', 'datastore', 'vms']) mkdirSync(path.join(folder, name));
    const content = path.join(folder, 'content');
    writeContent(content);
    const measures: Measure[] = [];
    const growths: number[] = [];
    for (const { format, plain, name, goal } of COPIES) {
      const source = path.join(folder, 'repository', `${IMAGE}.${format}`);
      execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', format, content, source]);
      const target = path.join(folder, 'datastore', `${IMAGE}.qcow2`);
      const raw = () =>
        Promise.resolve(() => void execFileSync('sh', ['-c', `${plain} && sync "$2"`, 'sh', source, target]));
      const prepare = async () => {
        const copy = await prepareCopy(host, folder, store);
        return async () => growths.push(await growthDuring(copy));
      };
      const values = { provisiond: [] as number[], floor: [] as number[] };
      for (let round = -1; round < rounds; round++) {
        for (const [list, begin] of [
          [values.floor, raw],
          [values.provisiond, prepare],
        ] as const) {
          rmSync(target, { force: true });
          execFileSync('sync');
          // What the disk has still to do of the one before (it is told which blocks are free) is not the next one's.
          await setTimeout(1500);
          const work = await begin();
          const start = performance.now();
          await work();
          if (round >= 0) list.push(performance.now() - start);
          await copiesRecorded();
        }
      }
      measures.push({ name, unit: 'ms', ...(goal && { goal }), ...values });
      rmSync(source);
      rmSync(target, { force: true });
    }
    const name = `memory: growth of the daemon while ${DATA_MIB} MiB are copied`;
    measures.push({ name, unit: 'MiB', goal: { atMost: 16 }, provisiond: growths });
    return measures;
  } finally {
    await Promise.all([host.close(), libvirt.close(), store.close()]);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The one look at the host that every load begins with is no part of the copy: `loads` measures it. */
async function prepareCopy(host: LocalHost, folder: string, bases: Store) {
  const at = (name: string) => path.join(folder, name);
  const reservation = makeHostedReservation({
    image: { name: IMAGE },
    profile: { datastorePath: at('datastore'), vmPath: at('vms'), repositoryPath: at('repository') },
  });
  const settings = { xmlDirectory: at('xml'), imageTimeoutMs: 600_000 };
  const computer = new HostedComputer({ reservation, loadId: 'bench', host, settings, log: quiet, bases });
  await computer.view.current();
  return () => computer.images.ensureBase('qcow2');
}

/** @returns MiB by which this process was larger at most than before */
async function growthDuring(work: () => Promise<unknown>): Promise<number> {
  const before = process.memoryUsage.rss();
  let most = before;
  const look = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 20);
  try {
    await work();
  } finally {
    clearInterval(look);
  }
  return (most - before) / 2 ** 20;
}

/** A quarter of it cannot be compressed; holes between, as disks have them. */
function writeContent(file: string): void {
  const handle = openSync(file, 'w');
  const random = randomBytes(2 ** 20);
  for (let mib = 0; mib < DATA_MIB; mib++) {
    const block = mib % 4 === 0 ? random : Buffer.alloc(2 ** 20, `block ${mib} `);
    writeSync(handle, block, 0, block.length, mib * 2 * 2 ** 20);
  }
  closeSync(handle);
}
