/** What all views share. hono's `html` escapes every value that is put in; only its own results go in as they are. */
import { html } from 'hono/html';
import { printable } from '../log-line';

export type Html = ReturnType<typeof html>;

export interface Frame {
  readonly title: string;
  readonly path: string;
  readonly node: string;
  readonly version: string;
  readonly status: string;
}

const PLACES = [
  ['/', 'Reservations'],
  ['/operations', 'Operations'],
  ['/hosts', 'Hosts'],
  ['/images', 'Images'],
  ['/plugins', 'Plugins'],
] as const;

export function frame({ title, path, node, version, status }: Frame, sections: Html): Html {
  const links = PLACES.map(([href, name]) => {
    const here = href === path || (href === '/' && path.startsWith('/requests/'));
    return html`<li>
      ${here ? html`<a href="${href}" aria-current="page">${name}</a>` : html`<a href="${href}">${name}</a>`}
    </li>`;
  });
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} – provisiond on ${node}</title>
        <link rel="stylesheet" href="/style.css" />
        <link rel="icon" href="/icon.svg" type="image/svg+xml" />
        <script src="/live.js" defer></script>
      </head>
      <body>
        <a class="skip" href="#main">To the content</a>
        <header>
          <strong>provisiond <span class="dim">${node}</span></strong>
          <nav aria-label="Main">
            <ul>
              ${links}
            </ul>
          </nav>
          <span id="status" role="status">${status}</span>
          <span id="live" class="dim">as of this moment</span>
        </header>
        <main id="main" tabindex="-1">
          <h1>${title}</h1>
          ${sections}
        </main>
        <footer>provisiond ${version} on ${node}, read-only</footer>
      </body>
    </html>`;
}

export type Cell = Html | string | number | null;

export interface Column {
  readonly name: string;
  readonly kind?: 'number' | 'line' | 'time';
}

/**
 * The first cell of a row names it. On a narrow screen each row is a card (assets.ts): then a cell says what it is by its
 * `data-label`, and the roles keep the table a table for screen readers.
 */
export function table(caption: string, columns: readonly Column[], rows: readonly (readonly Cell[])[]): Html {
  const heads = columns.map(
    ({ name, kind }) => html`<th scope="col" role="columnheader" class="${kind ?? ''}">${name}</th>`,
  );
  const body = rows.map((cells) => {
    const [first, ...others] = cells.map(shown);
    const data = others.map((cell, index) => {
      const { name = '', kind = '' } = columns[index + 1] ?? {};
      return html`<td role="cell" class="${kind}" data-label="${name}"><div>${cell}</div></td>`;
    });
    return html`<tr role="row">
      <th scope="row" role="rowheader">${first}</th>
      ${data}
    </tr>`;
  });
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}">
    <table role="table">
      <caption>
        ${caption}
      </caption>
      <thead role="rowgroup">
        <tr role="row">
          ${heads}
        </tr>
      </thead>
      <tbody role="rowgroup">
        ${body}
      </tbody>
    </table>
  </div>`;
}

/** Much of it was written by a web page or a guest. */
function shown(cell: Cell | undefined): Html | string {
  if (typeof cell === 'string') return printable(cell);
  return typeof cell === 'number' ? String(cell) : (cell ?? '–');
}

const CLASSES: Readonly<Record<string, string>> = {
  ready: 'good',
  inuse: 'good',
  available: 'good',
  reserved: 'good',
  done: 'good',
  accepted: 'good',
  reachable: 'good',
  Running: 'good',
  running: 'busy',
  working: 'busy',
  loading: 'busy',
  reloading: 'busy',
  ending: 'busy',
  failed: 'bad',
  timedout: 'bad',
  maintenance: 'bad',
  rejected: 'bad',
  Paused: 'busy',
  Suspended: 'busy',
  Crashed: 'bad',
  Unknown: 'bad',
  'left alone': 'bad',
};

/** The word itself says it; the colour only repeats it. */
export function word(text: string): Html {
  return html`<span class="${CLASSES[text] ?? ''}">${text}</span>`;
}

export function duration(milliseconds: number): string {
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.round((milliseconds % 60_000) / 1000)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A share as a bar beside the numbers that say the same. */
export function meter(used: number, whole: number, unit: string): Html {
  const share = whole > 0 ? Math.min(100, Math.round((used / whole) * 100)) : 0;
  const level = share >= 95 ? 'full' : share >= 80 ? 'high' : '';
  return html`<svg class="meter ${level}" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
      <rect class="track" width="100" height="10" />
      <rect class="used" width="${share}" height="10" />
    </svg>
    <span class="whole">${used} of ${whole} ${unit}</span>`;
}
