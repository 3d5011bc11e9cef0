/** `npm run bench`: runs every bench in the lab and prints one table. See README.md beside. */
import { parseArgs } from 'node:util';
import { Site } from '../support/site';
import { measureCopies } from './copies';
import { readLab } from '../support/lab';
import { measureCaptures } from './captures';
import { measureCounts } from './counts';
import { addCrowd } from './crowd';
import { measureLoads, measureWarmStarts } from './loads';
import { judge, type Measure } from './measure';
import { asJson, asTable, loadNow, machine } from './report';
import { measureRestores } from './restores';
import { measureProgramStart } from './program-start';
import { measurePoll, measureRest } from './rest';
import { measureScale } from './scale';
import { measureTen } from './ten';

const CROWD = 10_000;
const DEFAULT_ROUNDS = 10;
const QUICK_ROUNDS = 2;

const say = (text: string) => void process.stderr.write(`${text}\n`);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean' },
      json: { type: 'boolean' },
      rounds: { type: 'string' },
      only: { type: 'string' },
    },
  });
  const rounds = Number(values.rounds ?? (values.quick ? QUICK_ROUNDS : DEFAULT_ROUNDS));
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds: a whole number from 1 on');
  const parts = partsOf(rounds, values.quick ? 5 : 15);
  const chosen = values.only === undefined ? Object.keys(parts) : values.only.split(',');
  const before = loadNow();
  const measures: Measure[] = [];
  // One site after the other: their computers have the same addresses.
  for (const name of chosen) {
    const measure = parts[name];
    if (!measure) throw new Error(`--only: one or more of ${Object.keys(parts).join(',')}`);
    measures.push(...(await measure()));
  }
  const surroundings = {
    date: new Date().toISOString().slice(0, 16),
    machine: machine(),
    node: process.version,
    load: [before, loadNow()] as const,
    rounds,
  };
  process.stdout.write(`${(values.json ? asJson : asTable)(measures, surroundings)}\n`);
  const missed = measures.filter((measure) => judge(measure).met === false);
  if (missed.length > 0) say(`goals missed: ${missed.map(({ name }) => name).join('; ')}`);
}

/** The bench in parts, in their order. */
function partsOf(rounds: number, restSeconds: number): Record<string, () => Promise<Measure[]>> {
  return {
    loads: () => measureSite(rounds, restSeconds),
    // One of them is a minute.
    ten: () => measureTen(Math.min(rounds, 3), say),
    captures: () => measureCaptures(readLab(), rounds, say),
    restores: () => measureRestores(rounds, say),
    counts: () => measureCounts(CROWD),
    start: () => measureProgramStart(rounds),
    copies: () => measureCopies(rounds),
    scale: () => measureScale({ hosts: 500, reservations: 1000, crowd: CROWD, restSeconds }, say),
  };
}

/** The daemon as it is by default: its poll interval, its log level. */
async function measureSite(rounds: number, restSeconds: number): Promise<Measure[]> {
  const log = { level: 'info', format: 'json', file: null } as const;
  const site = await Site.open({ settings: { pollIntervalMs: 250, log } });
  try {
    await addCrowd(site, CROWD, 'vm2');
    say(`${CROWD} requests are in the table`);
    return [
      ...(await measureLoads(site, rounds, say)),
      ...(await measureWarmStarts(site, rounds)),
      ...(await measurePoll(site, `${CROWD} requests on SQLite`)),
      ...(await measureRest(site, restSeconds)),
    ];
  } finally {
    await site.close();
  }
}

main().catch((error: unknown) => {
  say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = 1;
});
