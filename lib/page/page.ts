/**
 * The page to look at: read-only, on a loopback address or a socket, without a script or a style of its own in it.
 * Everything works without JavaScript; with it, sections are brought up to date by server-sent events.
 */
import { createAdaptorServer } from '@hono/node-server';
import type { Server } from 'node:http';
import { type Context, Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { html } from 'hono/html';
import { describeError, findError } from '../errors';
import { type Listener, isForUs, listen } from '../listener';
import { SCRIPT, STYLE } from './assets';
import { type Html, frame } from './layout';
import { operationsView } from './operations-view';
import { type PageParts, Sight } from './sight';
import { countsByStatus, hostsView, imagesView, pluginsView, requestView, reservationsView } from './views';

const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#0b57a4"/>' +
  '<path d="M4 11V5l4 3 4-3v6" fill="none" stroke="#fff" stroke-width="2"/></svg>';

const LIVE_EVERY_MS = 1000;
/** A proxy that hears nothing for long hangs up. */
const SILENCE_MS = 15_000;
const MOST_VIEWERS = 32;

/** @param address of the setting `http` @throws CONFIG_INVALID */
export async function startPage(address: string, parts: PageParts): Promise<Listener> {
  const app = pageApp(new Sight(parts), { overSocket: address.startsWith('/') });
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  const listener = await listen(server, address, 'http');
  parts.log.info('the page is shown', { address: listener.address });
  return listener;
}

export function pageApp(sight: Sight, { overSocket }: { readonly overSocket: boolean }): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    if (!overSocket && !isForUs(context.req.header('host'))) return context.text('not for this host', 421);
    if (context.req.method !== 'GET' && context.req.method !== 'HEAD') return context.text('only to be read', 405);
    for (const [name, value] of Object.entries(HEADERS)) context.header(name, value);
    return next();
  });
  app.get('/style.css', (context) => context.body(STYLE, 200, { 'content-type': 'text/css; charset=utf-8' }));
  app.get('/live.js', (context) => context.body(SCRIPT, 200, { 'content-type': 'text/javascript; charset=utf-8' }));
  app.get('/icon.svg', (context) => context.body(ICON, 200, { 'content-type': 'image/svg+xml' }));
  app.get('/events', (context) => tellLive(context, sight));
  app.get('*', async (context) => {
    const { status, body } = await render(sight, context.req.path);
    return context.html(body, status);
  });
  return app;
}

interface View {
  readonly title: string;
  readonly sections: Html;
  readonly status?: 404 | 503;
}

async function viewOf(sight: Sight, path: string): Promise<View> {
  const request = /^\/requests\/(\d{1,9})$/.exec(path)?.[1];
  if (request !== undefined) {
    const [details, now] = await Promise.all([sight.reservation(Number(request)), sight.now()]);
    return { title: `Request ${request}`, sections: requestView(details, now) };
  }
  switch (path) {
    case '/':
      return { title: 'Reservations', sections: reservationsView(await sight.reservations()) };
    case '/operations':
      return { title: 'Operations', sections: operationsView(await sight.operations()) };
    case '/hosts':
      return { title: 'Hosts', sections: hostsView(await sight.hosts()) };
    case '/images':
      return { title: 'Images', sections: imagesView(await sight.images(), await sight.hosts()) };
    case '/plugins':
      return { title: 'Plugins', sections: pluginsView(sight.plugins()) };
    default:
      return { title: 'There is no such page', sections: html`<p><a href="/">Reservations</a></p>`, status: 404 };
  }
}

async function render(sight: Sight, path: string): Promise<{ status: 200 | 404 | 503; body: string }> {
  const view = await viewOf(sight, path).catch(failed);
  const { node, version, health } = sight.about;
  const status = `${await summary(sight)}, ${health.says}`;
  const body = await frame({ title: view.title, path, node, version, status }, view.sections);
  return { status: view.status ?? 200, body: String(body) };
}

function failed(error: unknown): View {
  if (findError(error, 'REQUEST_NOT_FOUND'))
    return { title: 'There is no such request', sections: html`<p><a href="/">Reservations</a></p>`, status: 404 };
  const sections = html`<section id="failure"><p class="bad">${describeError(error)}</p></section>`;
  return { title: 'This cannot be shown now', sections, status: 503 };
}

async function summary(sight: Sight): Promise<string> {
  try {
    const counts = countsByStatus(await sight.reservations());
    const texts = [...counts].map(([status, count]) => `${count} ${status}`);
    return texts.length > 0 ? texts.join(', ') : 'no reservations';
  } catch {
    return 'the database does not answer';
  }
}

let viewers = 0;

/** The whole page again, as often as it has changed. */
function tellLive(context: Context, sight: Sight): Response | Promise<Response> {
  const path = context.req.query('path') ?? '/';
  if (viewers >= MOST_VIEWERS) return context.text('too many look at it live', 503);
  return streamSSE(context, async (stream) => {
    viewers++;
    let open = true;
    stream.onAbort(() => void (open = false));
    try {
      let [told, toldAt] = ['', 0];
      while (open) {
        const { body } = await render(sight, path);
        const now = performance.now();
        if (body !== told) await stream.writeSSE({ event: 'page', data: body });
        else if (now - toldAt > SILENCE_MS) await stream.writeSSE({ event: 'still', data: '' });
        if (body !== told || now - toldAt > SILENCE_MS) [told, toldAt] = [body, now];
        await stream.sleep(LIVE_EVERY_MS);
      }
    } finally {
      viewers--;
    }
  });
}
