/** Operations on VMs: what is under way, then what ended, the last first. */
import { html } from 'hono/html';
import { printable } from '../log-line';
import type { OperationDetails } from '../store/vm-front-end';
import { type Cell, type Html, table, word } from './layout';

const COLUMNS = ['Operation', 'Kind', 'Computer', 'State', 'Done', 'Step', 'Asked by', 'Asked', 'Ended'];
const KINDS: Readonly<Record<string, 'number' | 'time'>> = { Done: 'number', Asked: 'time', Ended: 'time' };

export function operationsView(operations: readonly OperationDetails[]): Html {
  const isUnderWay = ({ ended }: OperationDetails) => ended === null;
  const underWay = operations.filter(isUnderWay).sort((a, b) => a.id - b.id);
  const over = operations.filter((one) => !isUnderWay(one)).sort((a, b) => compare(b, a));
  return html`<section id="operations-under-way">
      ${list('Operations under way', underWay, 'Nothing is under way.')}
    </section>
    <section id="operations-over">
      ${list('Operations that ended, the last first', over, 'No operation has ended yet.')}
    </section>`;
}

/** Times have seconds; of the same second the one that came later. */
function compare(a: OperationDetails, b: OperationDetails): number {
  return (a.ended ?? '').localeCompare(b.ended ?? '') || a.id - b.id;
}

function list(caption: string, operations: readonly OperationDetails[], none: string): Html {
  if (operations.length === 0) return html`<p>${none}</p>`;
  return table(
    caption,
    COLUMNS.map((name) => ({ name, ...(KINDS[name] && { kind: KINDS[name] }) })),
    operations.map(row),
  );
}

function row(one: OperationDetails): Cell[] {
  return [
    `operation ${one.id}`,
    one.kind,
    one.computer,
    html`${word(one.state)}${whyNot(one)}`,
    `${one.percent} %`,
    one.step,
    one.requestedBy,
    one.created,
    one.ended,
  ];
}

function whyNot({ error }: OperationDetails): Html | string {
  if (error === null) return '';
  const hint = error.hint === null ? '' : html`<br /><span class="dim">${printable(error.hint)}</span>`;
  return html`<br />${printable(`${error.code}: ${error.message}`)}${hint}`;
}
