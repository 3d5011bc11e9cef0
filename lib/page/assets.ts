/** What the browser is given beside the page: a style sheet and a script of a few lines, both from our own address. */

export const STYLE = `
:root { color-scheme: light dark; --text: #1d2430; --dim: #565f6f; --back: #fff; --panel: #f4f6f9; --line: #ccd3dd;
  --accent: #0b57a4; --good: #1a6b35; --busy: #8a5a00; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e7ebf2; --dim: #a9b3c3; --back: #14181f; --panel: #1d232d; --line: #3a4352;
    --accent: #8ec2ff; --good: #7fd99a; --busy: #ffc766; --bad: #ff9d94; } }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; color: var(--text); background: var(--back); }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.skip { position: absolute; left: -99em; }
.skip:focus { left: 1em; top: 1em; background: var(--back); padding: .5em 1em; z-index: 1; }
header { display: flex; flex-wrap: wrap; gap: .4em 1.6em; align-items: baseline; padding: .8em 1.4em;
  background: var(--panel); border-bottom: 1px solid var(--line); }
header strong { font-size: 1.15em; }
nav ul { display: flex; flex-wrap: wrap; gap: 1.1em; list-style: none; margin: 0; padding: 0; }
nav a[aria-current] { font-weight: 700; text-decoration: none; color: var(--text); border-bottom: 3px solid var(--accent); }
#status { margin-left: auto; color: var(--dim); }
main { padding: 0 1.4em 3em; max-width: 110em; }
h1 { font-size: 1.5em; margin: 1em 0 .4em; }
h2 { font-size: 1.15em; margin: 1.6em 0 .4em; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; font-weight: 600; padding: 1em 0 .3em; }
th, td { text-align: left; vertical-align: top; padding: .35em .9em .35em 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } thead th, td.time { white-space: nowrap; }
tbody th { min-width: 8em; max-width: 34em; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.good { color: var(--good); } .busy { color: var(--busy); } .bad { color: var(--bad); font-weight: 600; }
.dim { color: var(--dim); }
.counts { display: flex; flex-wrap: wrap; gap: .8em; padding: 0; margin: .6em 0 1.2em; list-style: none; }
.counts li { background: var(--panel); border: 1px solid var(--line); border-radius: .5em; padding: .5em 1em; }
.counts b { display: block; font-size: 1.5em; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2em 1.4em; }
dt { color: var(--dim); } dd { margin: 0; }
svg.bar { display: block; width: 100%; min-width: 14em; height: 1.1em; margin-top: .2em; }
svg.bar .track { fill: var(--panel); }
svg.bar .done, svg.meter .used { fill: var(--accent); } svg.bar .failed { fill: var(--bad); }
svg.bar .running { fill: var(--busy); } svg.bar .undone, svg.bar .already, svg.bar .note { fill: var(--dim); }
svg.meter { display: block; width: 9em; height: .7em; margin-top: .4em; border-radius: .35em; }
svg.meter .track { fill: var(--line); } svg.meter.high .used { fill: var(--busy); } svg.meter.full .used { fill: var(--bad); }
.whole { white-space: nowrap; }
td.line { width: 38%; }
.tree, .tree ul { list-style: none; padding-left: 1.3em; }
.tree ul { border-left: 2px solid var(--line); margin-left: .2em; }
.tree li { padding: .15em 0; }
code { font-size: .93em; overflow-wrap: anywhere; }
td > div { min-width: 0; }
tbody tr:hover { background: var(--panel); }
footer { padding: 1em 1.4em; color: var(--dim); border-top: 1px solid var(--line); }
@media (max-width: 48em) {
  header, main, footer { padding-left: 1em; padding-right: 1em; }
  nav ul { gap: .3em 1em; }
  #status { margin-left: 0; }
  .scroll { overflow-x: visible; }
  table, caption, tbody, tr, th, td { display: block; width: auto; }
  thead { position: absolute; left: -99em; }
  tr { border: 1px solid var(--line); border-radius: .5em; padding: .5em .9em; margin: .6em 0; background: var(--panel); }
  tbody th { min-width: 0; max-width: none; }
  th, td { border: 0; padding: .15em 0; white-space: normal; overflow-wrap: anywhere; }
  td { display: grid; grid-template-columns: 8em 1fr; gap: .6em; }
  td::before { content: attr(data-label); color: var(--dim); }
  td.number { text-align: left; }
  tr:has(td.line) td { display: inline-flex; gap: .4em; margin-right: 1.2em; }
  tr td.line { display: block; width: auto; margin: .2em 0 0; } td.line::before { content: none; }
  svg.bar { min-width: 0; } svg.bar .track { fill: var(--line); }
  .tree, .tree ul { padding-left: .8em; }
}
`;

/**
 * Puts the sections that came in the place of those that stand there, where they differ; what has the focus keeps it.
 * Screen readers hear of the status line only.
 */
export const SCRIPT = `'use strict';
const live = document.getElementById('live');
const source = new EventSource('/events?path=' + encodeURIComponent(location.pathname));
source.addEventListener('page', (event) => {
  const come = new DOMParser().parseFromString(event.data, 'text/html');
  const focused = document.activeElement;
  const key = focused && (focused.id || focused.getAttribute('href'));
  for (const section of come.querySelectorAll('section[id]')) {
    const present = document.getElementById(section.id);
    if (!present) document.querySelector('main').append(section);
    else if (present.innerHTML !== section.innerHTML) present.innerHTML = section.innerHTML;
  }
  const status = come.getElementById('status');
  const shown = document.getElementById('status');
  if (status && shown.textContent !== status.textContent) shown.textContent = status.textContent;
  if (key && !document.contains(focused)) {
    const again = [...document.querySelectorAll('[id], [href]')]
      .find((one) => one.id === key || one.getAttribute('href') === key);
    if (again) again.focus({ preventScroll: true });
  }
});
source.addEventListener('open', () => { live.textContent = 'live'; });
source.addEventListener('error', () => { live.textContent = 'not live: trying again'; });
`;
