/** The results for people, and for programs. */
import { cpus, hostname, loadavg, totalmem } from 'node:os';
import { judge, median, type Measure } from './measure';

export interface Surroundings {
  readonly date: string;
  readonly machine: string;
  readonly node: string;
  /** Load averages of the machine at the beginning and at the end: above its number of cores the run is noisy. */
  readonly load: readonly [number, number];
  readonly rounds: number;
}

export function machine(): string {
  const [first] = cpus();
  return `${hostname()}: ${cpus().length} × ${first?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
}

export const loadNow = (): number => Math.round(loadavg()[0]! * 100) / 100;

export function asJson(measures: readonly Measure[], surroundings: Surroundings): string {
  const rows = measures.map(judge).map(({ measure, ratio, met }) => ({ ...measure, ratio, met }));
  return JSON.stringify({ ...surroundings, measures: rows }, null, 2);
}

/** A Markdown table with columns of equal width: it is read on a terminal as well. */
export function asTable(measures: readonly Measure[], surroundings: Surroundings): string {
  const rows = [
    ['measure', 'provisiond', 'floor', 'ratio', 'goal', 'verdict'],
    ...measures.map((measure) => {
      const { ratio, met } = judge(measure);
      return [
        measure.name,
        summary(measure.provisiond, measure.unit),
        measure.floor ? summary(measure.floor, measure.unit) : '–',
        ratio === null ? '–' : ratio.toFixed(2),
        goalText(measure),
        met === null ? '–' : met ? 'met' : 'MISSED',
      ];
    }),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  const ruler = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  const { date, machine, node, load, rounds } = surroundings;
  return [
    `${date}; ${machine}; node ${node}; load average ${load.join(' → ')}; ${rounds} rounds`,
    'median (min–max, n)',
    '',
    line(rows[0]!),
    ruler,
    ...rows.slice(1).map(line),
    '',
  ].join('\n');
}

function summary(values: readonly number[], unit: string): string {
  if (values.length === 0) return 'not measured';
  const text = `${shown(median(values))}${unit === '' ? '' : ` ${unit}`}`;
  if (values.length === 1) return text;
  return `${text} (${shown(Math.min(...values))}–${shown(Math.max(...values))}, ${values.length})`;
}

function goalText({ goal, unit }: Measure): string {
  if (!goal) return '–';
  return 'ratio' in goal ? `× ${goal.ratio}` : `${goal.atMost}${unit === '' ? '' : ` ${unit}`}`;
}

function shown(value: number): string {
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toPrecision(2);
}
