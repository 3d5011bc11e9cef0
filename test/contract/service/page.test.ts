/** The page in a real browser, on a fake site whose daemon works real steps. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Browser, type Page, chromium } from 'playwright-core';
import { HostPool } from '../../../lib/host/host-pool';
import type { Listener } from '../../../lib/listener';
import { Health } from '../../../lib/metrics/health';
import { VmRecords } from '../../../lib/operations/vm-records';
import { startPage } from '../../../lib/page/page';
import { PluginRegistry } from '../../../lib/plugins/registry';
import { OperationInbox } from '../../../lib/work/operation-inbox';
import { eventually } from '../../support/eventually';
import { FakeDaemon } from '../../support/fake-daemon';
import { FakeSite } from '../../support/fake-site';

const CHROMIUM = '/usr/bin/chromium';
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** Kept, to be looked at. */
const SCREENSHOTS = path.resolve(__dirname, '../../../.state/screenshots');

/** As much of a browser's world as the functions below need; our own code has no browser in it. */
interface TabElement {
  readonly textContent: string;
  readonly parentElement: TabElement | null;
  readonly ownerDocument: { readonly activeElement: TabElement };
  getAttribute(name: string): string | null;
  getBoundingClientRect(): { readonly width: number };
}
interface Tab {
  readonly document: {
    readonly activeElement: TabElement;
    readonly documentElement: { readonly scrollWidth: number };
    querySelectorAll(selector: string): Iterable<TabElement>;
  };
  readonly getComputedStyle: (element: TabElement) => {
    readonly color: string;
    readonly backgroundColor: string;
    readonly outlineStyle: string;
    readonly outlineWidth: string;
  };
}

let site: FakeSite;
let daemon: FakeDaemon;
let operations: OperationInbox;
let health: Health;
let listener: Listener;
let browser: Browser;
let ready: number;
let failed: number;
const plugins = mkdtempSync(path.join(tmpdir(), 'provisiond-page-'));
const complaints: string[] = [];

beforeAll(async () => {
  site = await FakeSite.open({ computers: [{}, {}, {}] });
  health = new Health();
  daemon = new FakeDaemon(site);
  operations = new OperationInbox(site.adapters(), new VmRecords(site.store, site.log), site.lease, site.log);
  mkdirSync(path.join(plugins, 'drivers'));
  writeFileSync(path.join(plugins, 'drivers/broken.js'), 'module.exports = { name: "<b>broken</b>" };');
  const config = { ...site.config, pluginDirs: [plugins] };
  const hosts = new HostPool({ keyFiles: [], maxLoadsPerHost: 4 });
  // The hosts of a fake site answer at their own places.
  Object.assign(hosts, { get: site.adapters().hosts.get });
  const node = { hostname: 'node.test' };
  const { log, frontEnd, store } = site;
  const registry = new PluginRegistry(config, log);
  const parts = { config, log, version: '1', frontEnd, store, hosts, node, health, registry: () => registry };
  listener = await startPage('127.0.0.1:0', parts);
  ready = await site.reserve({ computer: 'vm1' });
  const lost = { prettyName: 'Lost Linux', os: 'vmwarelinux', ramMiB: 256, cpus: 1, sizeMiB: 1, owner: 'admin' };
  await site.frontEnd.addImage(lost); // and no file of it anywhere
  const wanted = { image: 'Lost Linux', user: 'student', start: null, minutes: 60, computer: 'vm2' };
  failed = (await site.frontEnd.addReservation(wanted)).requestId;
  await eventually(async () => (await site.frontEnd.show(failed)).status === 'failed');
  await eventually(async () => (await site.frontEnd.show(ready)).status === 'ready');
  operations.start();
  const refused = { kind: 'unpause', computer: 'vm1', arguments: {}, requestedBy: 'alice' };
  const { id } = await site.frontEnd.addOperation(refused);
  await eventually(async () => (await site.frontEnd.showOperation(id)).ended !== null);
  mkdirSync(SCREENSHOTS, { recursive: true });
  if (!existsSync(CHROMIUM)) throw new Error('chromium is not installed: test/lab/packages.txt');
  browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
});

afterAll(async () => {
  await browser?.close();
  await listener?.close();
  await operations?.stop('the test is over');
  await daemon?.stop();
  health?.close();
  await site?.close();
  rmSync(plugins, { recursive: true, force: true });
});

interface Circumstances {
  readonly javaScriptEnabled?: boolean;
  readonly colorScheme?: 'dark';
  readonly width?: number;
}

/** A tab that collects what the browser complains of: scripts, styles and addresses that the policy refuses too. */
async function open(where: string, { width = 1280, ...more }: Circumstances = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width, height: 800 }, ...more });
  const page = await context.newPage();
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${where}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`${where}: ${error.message}`));
  await page.goto(listener.address + where);
  return page;
}

const shoot = (page: Page, name: string) => page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`) });
const views = () => ['/', `/requests/${ready}`, `/requests/${failed}`, '/operations', '/hosts', '/images', '/plugins'];
const nameOf = (where: string) =>
  ({ '/': 'reservations', [`/requests/${ready}`]: 'request', [`/requests/${failed}`]: 'failed' })[where] ??
  where.slice(1);

describe('the page', () => {
  it('lists what is running, and leads to the time line of a reservation with a bar for each step', async () => {
    const page = await open('/');
    await page.getByRole('table', { name: 'Reservations that are not over' }).waitFor();
    await shoot(page, 'reservations');
    await page.getByRole('link', { name: `request ${ready}`, exact: true }).click();
    await page.getByRole('heading', { name: `Request ${ready}` }).waitFor();
    await page.getByRole('row', { name: 'power on the domain done' }).waitFor();
    const widths = await page
      .locator('svg.bar rect.done')
      .evaluateAll((all) => (all as unknown as TabElement[]).map((bar) => bar.getBoundingClientRect().width));
    expect(widths.length).toBeGreaterThan(10);
    expect(Math.min(...widths)).toBeGreaterThan(0);
    await shoot(page, 'request');
    await page.goto(`${listener.address}/requests/${failed}`);
    await page.getByRole('row', { name: /find the image failed IMAGE_NOT_FOUND \(image\)/ }).waitFor();
    await shoot(page, 'failed');
    await page.context().close();
  });

  it('shows hosts with their load and capacity, the tree of images, and plugins with their verdicts', async () => {
    const page = await open('/hosts');
    await page.getByRole('cell', { name: /of \d+ CPUs/ }).waitFor({ timeout: 20_000 });
    await page.getByRole('cell', { name: /GiB/ }).first().waitFor();
    await shoot(page, 'hosts');
    await page.getByRole('link', { name: 'Images' }).click();
    await page.getByText('vm1_TinyLinux').first().waitFor();
    expect(await page.locator('.tree li li li').first().innerText()).toContain(`request ${ready}`);
    await shoot(page, 'images');
    await page.getByRole('link', { name: 'Plugins' }).click();
    await page.getByRole('row', { name: /kvm driver accepted/ }).waitFor();
    await page.getByRole('row', { name: /rejected/ }).waitFor();
    await shoot(page, 'plugins');
    await page.context().close();
  });

  it('shows operations: what is under way with its step and percent, and why what ended was not done', async () => {
    site.host.makeDeaf();
    const wish = { computer: 'vm1', requestedBy: '<i>alice</i>' };
    const asked = await site.frontEnd.addOperation({ kind: 'clean_shutdown', arguments: {}, ...wish });
    await eventually(async () => (await site.frontEnd.showOperation(asked.id)).step === 'ask the guest to shut down');
    const page = await open('/operations');
    const underWay = page.getByRole('table', { name: 'Operations under way' });
    await underWay
      .getByRole('row', {
        name: new RegExp(
          `operation ${asked.id} clean_shutdown vm1 working \\d+ % ask the guest to shut down <i>alice</i>`,
        ),
      })
      .waitFor();
    await shoot(page, 'operations');
    await site.frontEnd.cancelOperation(asked.id);
    const over = page.getByRole('table', { name: 'Operations that ended, the last first' });
    await over.getByRole('row', { name: new RegExp(`operation ${asked.id} .* cancelled`) }).waitFor();
    expect(await over.getByRole('row').nth(2).innerText()).toMatch(/VM_BAD_POWER_STATE.*provisiond vm show/s);
    await page.goto(`${listener.address}/requests/${ready}`);
    await page.getByText('Running', { exact: true }).waitFor();
    await page.context().close();
  });

  it('comes up to date by itself, and what has the focus keeps it', async () => {
    const page = await open('/');
    await page.getByText('live', { exact: true }).waitFor();
    await page.getByRole('link', { name: `request ${failed}`, exact: true }).focus();
    const third = await site.reserve({ computer: 'vm3' });
    await page.getByRole('link', { name: `request ${third}`, exact: true }).waitFor({ timeout: 10_000 });
    const focused = await page.evaluate(() =>
      (globalThis as unknown as Tab).document.activeElement.getAttribute('href'),
    );
    expect(focused).toBe(`/requests/${failed}`);
    await page.context().close();
  });

  it('has its tables without JavaScript', async () => {
    for (const [where, text] of [
      ['/', `request ${ready}`],
      [`/requests/${ready}`, 'power on the domain'],
      ['/operations', 'VM_BAD_POWER_STATE'],
      ['/hosts', 'host1'],
      ['/images', 'Tiny Linux'],
      ['/plugins', 'linux'],
    ] as const) {
      const page = await open(where, { javaScriptEnabled: false });
      expect(await page.locator('main').innerText()).toContain(text);
      await page.context().close();
    }
  });

  it('can be walked with the keyboard, and tells screen readers what is where', async () => {
    const page = await open('/', { colorScheme: 'dark' });
    await page.keyboard.press('Tab');
    const first = page.getByRole('link', { name: 'To the content' });
    expect(await first.evaluate((link: unknown) => link === (link as TabElement).ownerDocument.activeElement)).toBe(
      true,
    );
    expect((await first.boundingBox())!.x).toBeGreaterThan(0); // shown while it has the focus
    await shoot(page, 'dark');
    const seen: string[] = [];
    for (let step = 0; step < 9; step++) {
      await page.keyboard.press('Tab');
      seen.push(await page.evaluate(() => (globalThis as unknown as Tab).document.activeElement.textContent.trim()));
    }
    expect(seen.slice(0, 5)).toEqual(['Reservations', 'Operations', 'Hosts', 'Images', 'Plugins']);
    expect(seen.some((text) => /^request \d+$/.test(text))).toBe(true);
    expect(await page.getByRole('main').ariaSnapshot()).toMatch(/- table "Reservations that are not over"/);
    expect(await page.getByRole('banner').ariaSnapshot()).toMatch(/navigation "Main"[\s\S]*status/);
    await page.context().close();
  });

  it('shows where the keyboard is: whatever has the focus has an outline, light and dark', async () => {
    for (const more of [{}, { colorScheme: 'dark' }] as const) {
      const page = await open('/operations', more);
      const faint: string[] = [];
      for (let step = 0; step < 7; step++) {
        await page.keyboard.press('Tab');
        const { what, width } = await page.evaluate(focusOutline);
        if (width < 2) faint.push(what || 'nothing');
      }
      expect(faint).toEqual([]);
      if (!('colorScheme' in more)) await shoot(page, 'focus');
      await page.context().close();
    }
  });

  it('is readable: words against their background have a contrast of 4.5 to 1 or better, light and dark', async () => {
    for (const more of [{}, { colorScheme: 'dark' }] as const) {
      for (const where of views()) {
        const page = await open(where, more);
        const worst = await page.evaluate(worstContrast);
        if (worst < 4.5) throw new Error(`${where}: a contrast of ${worst.toFixed(2)}`);
        if ('colorScheme' in more) await shoot(page, `${nameOf(where)}-dark`);
        await page.context().close();
      }
    }
  });

  it('fits on a screen of 400 points: nothing has to be pushed aside to be read, and cells say what they are', async () => {
    const tooWide: string[] = [];
    for (const where of views()) {
      const page = await open(where, { width: 400 });
      const width = await page.evaluate(() => (globalThis as unknown as Tab).document.documentElement.scrollWidth);
      if (width > 400) tooWide.push(`${where}: ${width}`);
      await page.screenshot({ path: path.join(SCREENSHOTS, `${nameOf(where)}-narrow.png`), fullPage: true });
      // A card is still the row of a table.
      if (where === '/') {
        const row = page.getByRole('table', { name: 'Reservations that are not over' }).getByRole('row').nth(1);
        expect(await row.getByRole('cell').count()).toBeGreaterThan(3);
      }
      await page.context().close();
    }
    expect(tooWide).toEqual([]);
  });

  it('gives the browser nothing to complain of: no script and no style in the page, nothing from elsewhere', () => {
    expect(complaints).toEqual([]);
  });

  it('has a policy that forbids what it does not need, and nothing in it that the policy would refuse', async () => {
    for (const where of ['/', `/requests/${ready}`, '/operations', '/hosts', '/images', '/plugins']) {
      const answer = await fetch(listener.address + where);
      expect(answer.headers.get('content-security-policy')).toMatch(/^default-src 'none';.*frame-ancestors 'none'$/);
      const text = await answer.text();
      expect(text).not.toMatch(/\sstyle=|\son[a-z]+=|javascript:/i);
      expect(text.match(/<script[^>]*>[^<]/g)).toBeNull();
    }
  });

  it('escapes what others wrote: a name with markup in it is shown as it is written', async () => {
    const nasty = '<img src=x onerror=alert(1)>';
    await site.database.change('update image set prettyname = ? where id = ?', [nasty, site.image.imageId]);
    try {
      const text = await (await fetch(`${listener.address}/images`)).text();
      const later = async () => (await (await fetch(`${listener.address}/images`)).text()).includes('&lt;img');
      await eventually(later);
      expect(text).not.toContain('<img');
    } finally {
      await site.database.change('update image set prettyname = ? where id = ?', ['Tiny Linux', site.image.imageId]);
    }
  });

  it('shows no password, cannot be written to, and answers nobody who was sent under another name', async () => {
    const { password } = await site.frontEnd.show(ready);
    expect(password).toBeTruthy();
    expect(await (await fetch(`${listener.address}/requests/${ready}`)).text()).not.toContain(password);
    expect((await fetch(listener.address, { method: 'POST' })).status).toBe(405);
    expect((await fetch(`${listener.address}/requests/4711`)).status).toBe(404);
    expect((await fetch(`${listener.address}/nowhere`)).status).toBe(404);
    const { port } = new URL(listener.address);
    const elsewhere = await new Promise((resolve) =>
      request({ port, headers: { host: 'evil.example' } }, (answer) => resolve(answer.statusCode)).end(),
    );
    expect(elsewhere).toBe(421);
  });

  it('left pictures to look at', () => {
    const wide = [...views().map(nameOf), 'dark', 'focus'];
    for (const name of [...wide, ...views().flatMap((where) => [`${nameOf(where)}-dark`, `${nameOf(where)}-narrow`])]) {
      const picture = readFileSync(path.join(SCREENSHOTS, `${name}.png`));
      expect(picture.length).toBeGreaterThan(10_000);
    }
  });
});

/** In the browser: the least contrast (WCAG 2) of any text against the nearest background that is not transparent. */
function worstContrast(): number {
  const { document, getComputedStyle } = globalThis as unknown as Tab;
  const parse = (colour: string) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const light = (rgb: number[]) => {
    const [r, g, b] = rgb.slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
  };
  const back = (element: TabElement): number[] => {
    for (let at: TabElement | null = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3]! > 0) return colour;
    }
    return [255, 255, 255];
  };
  let worst = 21;
  for (const element of document.querySelectorAll('a, th, td, h1, h2, span, strong, caption, b, li')) {
    if (element.textContent.trim() === '') continue;
    const [one, other] = [light(parse(getComputedStyle(element).color)), light(back(element))];
    worst = Math.min(worst, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05));
  }
  return worst;
}

/** In the browser: what has the focus, and how broad the line around it is. */
function focusOutline(): { what: string; width: number } {
  const { document, getComputedStyle } = globalThis as unknown as Tab;
  const focused = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(focused);
  const width = outlineStyle === 'none' ? 0 : Number.parseFloat(outlineWidth);
  return { what: focused.textContent.trim().slice(0, 40), width };
}
