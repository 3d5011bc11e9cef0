/** Colours, tables and times for a terminal, and the same without any of it for a file. */
import { printable } from '../log-line';

const SGR = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export type Style = keyof typeof SGR;
export type Paint = (style: Style, text: string) => string;

/** @param enabled false: text comes back as it went in */
export function painter(enabled: boolean): Paint {
  return (style, text) => (enabled && text !== '' ? `\u001b[${SGR[style]}m${text}\u001b[0m` : text);
}

/** Whether colour is welcome: a terminal that can, and no wish to the contrary (no-color.org). */
export function wantsColour(isTerminal: boolean, env: NodeJS.ProcessEnv): boolean {
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return false;
  return isTerminal && env['TERM'] !== 'dumb';
}

export interface Cell {
  readonly text: string;
  readonly style?: Style;
}

/** Rows under their headings, columns as wide as they need. What others wrote cannot break a row. */
export function renderTable(
  headings: readonly string[],
  rows: readonly (readonly (string | number | null | Cell)[])[],
  paint: Paint,
): string {
  const cells = rows.map((row) => row.map(toCell));
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...cells.map((row) => [...(row[column]?.text ?? '')].length)),
  );
  const line = (row: readonly Cell[]) =>
    row
      .map(({ text, style }, column) => {
        const isLast = column === row.length - 1;
        const padded = isLast ? text : text + ' '.repeat(widths[column]! - [...text].length);
        return style ? paint(style, padded) : padded;
      })
      .join('  ');
  return [line(headings.map((text) => ({ text, style: 'bold' }))), ...cells.map(line)].join('\n');
}

/** `0.4 s`, `12.3 s`, `3 min 05 s` */
export function duration(milliseconds: number): string {
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

function toCell(value: string | number | null | Cell): Cell {
  if (value === null) return { text: '-', style: 'dim' };
  if (typeof value !== 'object') return { text: printable(String(value)) };
  return { ...value, text: printable(value.text) };
}
