/** The views: each a function of what there is to be seen, as sections that can be put in the place of older ones. */
import { html } from 'hono/html';
import type { HostSurvey } from '../libvirt/host-survey';
import { printable } from '../log-line';
import type { Verdict } from '../plugins/loader';
import type { ImageSummary, ReservationSummary } from '../store/front-end';
import { type Bar, type Place, barsOf, isWaitForPeople, placeBars } from './bars';
import { type Cell, type Html, duration, meter, table, word } from './layout';
import type { PublicDetails, SeenHost } from './sight';

/** More rows than anybody reads; the command line lists all. */
const MOST_ROWS = 300;

/** What matters first: work under way, then what went wrong. */
const ORDER = ['loading', 'ending', 'image', 'failed', 'maintenance', 'ready', 'inuse', 'timedout', 'future'];

export function reservationsView(reservations: readonly ReservationSummary[]): Html {
  const counts = countsByStatus(reservations);
  const rank = ({ status }: ReservationSummary) => (ORDER.indexOf(status) + ORDER.length) % ORDER.length;
  const sorted = [...reservations].sort((a, b) => rank(a) - rank(b) || a.requestId - b.requestId);
  const rows = sorted
    .slice(0, MOST_ROWS)
    .map((one): Cell[] => [
      html`<a href="/requests/${one.requestId}">request ${one.requestId}</a>`,
      word(one.status),
      one.state === 'pending' ? `pending (${one.lastState})` : one.state,
      one.user,
      one.image,
      one.host === null ? one.computer : `${one.computer} on ${one.host}`,
      one.start,
      one.end,
    ]);
  const names = ['Request', 'Status', 'State', 'User', 'Image', 'Computer', 'Start', 'End'];
  const more =
    sorted.length > MOST_ROWS ? html`<p>${sorted.length - MOST_ROWS} more: provisiond list reservations</p>` : '';
  return html`<section id="counts" aria-label="Counts">
      <ul class="counts">
        ${[...counts].map(([status, count]) => html`<li><b>${count}</b> ${word(status)}</li>`)}
      </ul>
    </section>
    <section id="reservations">
      ${
        rows.length === 0
          ? html`<p>There are no reservations.</p>`
          : table('Reservations that are not over', columns(names), rows)
      }
      ${more}
    </section>`;
}

export function countsByStatus(reservations: readonly ReservationSummary[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { status } of reservations) counts.set(status, (counts.get(status) ?? 0) + 1);
  return counts;
}

export function requestView(details: PublicDetails, now: string): Html {
  const bars = barsOf(details.timeline, now);
  const whole = Math.max(1, ...bars.map(({ startMs, lengthMs }) => startMs + lengthMs));
  const { places, wholeMs } = placeBars(bars);
  const facts: [string, Html | string][] = [
    ['Status', word(details.status)],
    ['State', details.state === 'pending' ? `pending (${details.lastState})` : details.state],
    ['User', details.user],
    ['Image', details.image],
    ['Computer', details.host === null ? details.computer : `${details.computer} on ${details.host}`],
    ...details.power.map((machine): [string, Html] => [
      details.power.length === 1 ? 'Power' : `Power of ${machine.computer}`,
      html`${word(machine.powerState)}${powerNote(machine)}`,
    ]),
    ['From', details.start],
    ['Until', details.end],
  ];
  const names: [string, 'number' | 'line' | undefined][] = [
    ['Step', undefined],
    ['Result', undefined],
    ['Ended', undefined],
    ['After', 'number'],
    ['Took', 'number'],
    ['On the time line', 'line'],
  ];
  return html`<section id="facts" aria-label="Facts">
      <dl>
        ${facts.map(
          ([name, value]) =>
            html`<dt>${name}</dt>
              <dd>${value}</dd>`,
        )}
      </dl>
    </section>
    <section id="story" aria-labelledby="story-title">
      <h2 id="story-title">Time line, ${duration(whole)} in all</h2>
      ${whole > wholeMs ? html`<p class="dim">The bars leave out the time in which people were awaited.</p>` : ''}
      ${
        bars.length === 0
          ? html`<p>Nothing was done for it yet.</p>`
          : table(
              'Steps in the order in which they ended',
              names.map(([name, kind]) => ({ name, ...(kind && { kind }) })),
              bars.map((bar, index) => barRow(bar, places[index]!, wholeMs)),
            )
      }
    </section>`;
}

function powerNote({ guestSleeping, fault, reason }: PublicDetails['power'][number]): string {
  const more = [guestSleeping && 'asleep', fault].filter(Boolean).map((text) => `, ${text}`);
  return printable(`${more.join('')} (${reason})`);
}

function barRow(bar: Bar, place: Place, wholeMs: number): Cell[] {
  const at = (milliseconds: number) => ((milliseconds / wholeMs) * 1000).toFixed(1);
  const why = bar.reason === null ? '' : html`<br />${printable(bar.reason)}`;
  const hint = bar.hint === null ? '' : html`<br /><span class="dim">${printable(bar.hint)}</span>`;
  return [
    html`${printable(bar.step)}`,
    html`${word(bar.result)}${why}${hint}`,
    bar.time,
    duration(bar.startMs),
    bar.result === 'note' ? null : duration(bar.lengthMs),
    isWaitForPeople(bar)
      ? html`<span class="dim">people were awaited</span>`
      : drawBar(bar, at(place.atMs), at(place.lengthMs)),
  ];
}

function drawBar({ result }: Bar, at: string, length: string): Html {
  return html`<svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">
    <rect class="track" width="1000" height="10" />
    <rect class="${result}" x="${Math.min(Number(at), 998)}" width="${Math.max(2, Number(length))}" height="10" />
  </svg>`;
}

export function hostsView(hosts: readonly SeenHost[]): Html {
  const names = ['Host', 'Way', 'Loads', 'Computers', 'Load of the CPUs', 'Memory', 'Disk', 'Domains'];
  return html`<section id="hosts">
    ${
      hosts.length === 0
        ? html`<p>No VM host was entered yet: provisiond host add</p>`
        : table('VM hosts, their load and what they can take', columns(names), hosts.map(hostRow))
    }
  </section>`;
}

const WAYS = { closed: 'reachable', 'half-open': 'being tried', open: 'left alone' } as const;

function hostRow({ summary, state, computers, look }: SeenHost): Cell[] {
  const busy = computers.filter((computer) => computer.state !== 'available').length;
  const loads =
    state === null
      ? 'none yet'
      : html`${meter(state.loads.taken, state.loads.limit, 'places')}${state.loads.waiting > 0 ? `, ${state.loads.waiting} wait` : ''}`;
  const known = [html`${summary.name}`, word(wayOf(state, look)), loads, html`${busy} of ${computers.length} busy`];
  if (look === null) return [...known, 'being asked', null, null, null];
  if (typeof look === 'string') return [...known, look, null, null, null];
  const { cpus, loadAverage, memoryMiB, freeMemoryMiB, diskMiB, freeDiskMiB, domains } = look;
  const disk = diskMiB === null || freeDiskMiB === null ? null : meter(gib(diskMiB - freeDiskMiB), gib(diskMiB), 'GiB');
  const running = domains.filter((domain) => domain.state === 'running').length;
  return [
    ...known,
    meter(loadAverage, cpus, 'CPUs'),
    meter(gib(memoryMiB - freeMemoryMiB), gib(memoryMiB), 'GiB'),
    disk,
    `${running} of ${domains.length} running`,
  ];
}

function wayOf(state: SeenHost['state'], look: SeenHost['look']): string {
  if (state === null) return 'not tried yet';
  return state.way === 'closed' && typeof look === 'string' ? 'failed' : WAYS[state.way];
}

const gib = (mebibytes: number): number => Math.round(mebibytes / 102.4) / 10;
const columns = (names: readonly string[]) => names.map((name) => ({ name }));

type Domain = HostSurvey['domains'][number];

/** Image → revision → the disks that grow on it, by the identity that each domain carries. */
export function imagesView(images: readonly ImageSummary[], hosts: readonly SeenHost[]): Html {
  const domains = hosts.flatMap(({ summary, look }) =>
    look === null || typeof look === 'string' ? [] : look.domains.map((domain) => ({ domain, host: summary.name })),
  );
  const silent = hosts
    .filter(({ look }) => look === null || typeof look === 'string')
    .map(({ summary }) => summary.name);
  const on = (revisionId: number) => domains.filter(({ domain }) => domain.identity?.imageRevisionId === revisionId);
  const wild = domains.filter(({ domain }) => domain.identity === null);
  const imageIds = [...new Set(images.map(({ id }) => id))];
  const byImage = imageIds.map((imageId) => images.filter(({ id }) => id === imageId));
  return html`<section id="images" aria-label="Images">
      <ul class="tree">
        ${byImage.map(
          (revisions) =>
            html`<li>
              <strong>${revisions[0]!.prettyName}</strong> <span class="dim">${revisions[0]!.os}</span>
              <ul>
                ${revisions.map((revision) => revisionItem(revision, on(revision.revisionId)))}
              </ul>
            </li>`,
        )}
      </ul>
      ${images.length === 0 ? html`<p>There are no images: provisiond image add</p>` : ''}
      ${silent.length > 0 ? html`<p>Not known of: ${silent.join(', ')}</p>` : ''}
    </section>
    <section id="wild" aria-labelledby="wild-title">
      <h2 id="wild-title">Domains that are not ours</h2>
      ${
        wild.length === 0
          ? html`<p>None.</p>`
          : html`<ul>
              ${wild.map(domainItem)}
            </ul>`
      }
    </section>`;
}

function revisionItem(revision: ImageSummary, domains: readonly { domain: Domain; host: string }[]): Html {
  const production = revision.production ? html`, <span class="good">production</span>` : '';
  return html`<li>
    <code>${revision.name}</code> <span class="dim">${revision.sizeMiB} MiB</span>${production}
    ${
      domains.length > 0
        ? html`<ul>
            ${domains.map(domainItem)}
          </ul>`
        : ''
    }
  </li>`;
}

function domainItem({ domain, host }: { domain: Domain; host: string }): Html {
  const request =
    domain.identity &&
    html`, <a href="/requests/${domain.identity.requestId}">request ${domain.identity.requestId}</a>`;
  return html`<li>
    ${domain.name} on ${host}: ${word(domain.state)}${request}
    ${domain.disks.map((disk) => html`<br /><code>${disk}</code>`)}
  </li>`;
}

export function pluginsView(verdicts: readonly Verdict[]): Html {
  const rows = verdicts.map(({ kind, name, accepted, file, description, reason }): Cell[] => [
    name ?? 'no name',
    kind,
    word(accepted ? 'accepted' : 'rejected'),
    accepted ? description : reason,
    html`<code>${file}</code>`,
  ]);
  return html`<section id="plugins">
    ${table('Plugin files and what became of them', columns(['Name', 'Kind', 'Verdict', 'About', 'File']), rows)}
  </section>`;
}
