/** What Prometheus is told, and what it says of it itself. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Health } from '../../../lib/metrics/health';
import { Metrics } from '../../../lib/metrics/metrics';
import { startMonitor } from '../../../lib/metrics/monitor';
import { SIGNALS } from '../../../lib/signals';
import type { Census } from '../../../lib/store/store';
import type { Listener } from '../../../lib/listener';
import { MemoryLog } from '../../fixtures/memory-log';

const census: Census[] = [
  { state: 'pending', lastState: 'new', youngerThanSeconds: 60, requests: 3, oldestSeconds: 41 },
  { state: 'inuse', lastState: 'reserved', youngerThanSeconds: Infinity, requests: 2, oldestSeconds: 90_000 },
  { state: 'new', lastState: 'new', youngerThanSeconds: 0, requests: 5, oldestSeconds: 0 },
];

describe('the metrics', () => {
  let now = 0;
  let counts: () => Promise<readonly Census[]>;
  let health: Health;
  let metrics: Metrics;

  beforeEach(() => {
    now = 0;
    counts = async () => census;
    health = new Health(() => now);
    metrics = new Metrics({
      version: '1.2.3',
      health: () => health.report(),
      census: () => counts(),
      hosts: () => [{ computerId: 7, name: 'kvm1', way: 'open', loads: { taken: 2, waiting: 1, limit: 4 } }],
      lease: () => ({ secondsSinceRenewal: 3, token: 12 }),
    });
  });

  afterEach(() => {
    metrics.close();
    health.close();
  });

  function tellOfADay(): void {
    const step = { requestId: 1, state: 'new', step: 'make the disks', milliseconds: 200 };
    SIGNALS.step.tell({ ...step, ok: true });
    SIGNALS.step.tell({ ...step, ok: false, error: { code: 'HOST_DISK_FULL', blame: 'host' } });
    SIGNALS.outcome.tell({ requestId: 1, state: 'new', next: 'reserved' });
    SIGNALS.statement.tell({ milliseconds: 2, ok: true });
    SIGNALS.command.tell({ host: 'kvm1', milliseconds: 30, ok: true });
    SIGNALS.command.tell({ host: 'vm17', milliseconds: 30, ok: false });
    SIGNALS.imageCopy.tell({ host: 'kvm1', bytes: 1000, milliseconds: 3000, ok: true });
    SIGNALS.loop.tell({ role: 'active', milliseconds: 4, ok: true });
    now += 2500;
  }

  it('tell what the work took, what went wrong and who must act', async () => {
    tellOfADay();
    const { body } = await metrics.text();
    for (const line of [
      'provisiond_step_duration_seconds_count{state="new",step="make the disks",result="ok"} 1',
      'provisiond_errors_total{blame="host",code="HOST_DISK_FULL"} 1',
      'provisiond_errors_total{blame="plugin",code="PLUGIN_TIMEOUT"} 0',
      'provisiond_outcomes_total{state="new",next="reserved"} 1',
      'provisiond_database_statement_duration_seconds_count{result="ok"} 1',
      'provisiond_host_command_duration_seconds_count{host="kvm1",result="ok"} 1',
      'provisiond_host_command_duration_seconds_count{host="guests",result="failed"} 1',
      'provisiond_image_copied_bytes_total{host="kvm1"} 1000',
      'provisiond_poll_lag_seconds 2.5',
      'provisiond_lease_age_seconds 3',
      'provisiond_lease_token 12',
      'provisiond_active 1',
      'provisiond_host_way{host="kvm1",state="open"} 1',
      'provisiond_host_way{host="kvm1",state="closed"} 0',
      'provisiond_host_loads{host="kvm1",state="waiting"} 1',
      'provisiond_reservations{state="pending",last_state="new",age="1m"} 3',
      'provisiond_reservations{state="inuse",last_state="reserved",age="older"} 2',
      'provisiond_reservations{state="new",last_state="new",age="future"} 5',
      'provisiond_reservation_oldest_seconds{state="inuse"} 90000',
      'provisiond_build_info{version="1.2.3"} 1',
    ]) {
      expect(body.split('\n')).toContain(line);
    }
  });

  it('are clean in the eyes of promtool', async () => {
    tellOfADay();
    const { body } = await metrics.text();
    const checked = spawnSync('promtool', ['check', 'metrics'], { input: body, encoding: 'utf8' });
    expect(checked.stdout + checked.stderr).toBe('');
    expect(checked.status).toBe(0);
  });

  it('leave the counts out while the database is away, and tell the rest', async () => {
    counts = () => Promise.reject(new Error('away'));
    const { body } = await metrics.text();
    expect(body).not.toMatch(/^provisiond_reservations\{/m);
    expect(body).toMatch(/^provisiond_lease_token 12$/m);
  });

  it('stop listening when they are closed', async () => {
    metrics.close();
    tellOfADay();
    expect((await metrics.text()).body).not.toContain('make the disks');
  });
});

describe('health', () => {
  const clock = { now: 0 };
  let health: Health;
  const loop = (role: 'active' | 'standby', ok: boolean) => SIGNALS.loop.tell({ role, ok, milliseconds: 1 });

  beforeEach(() => {
    clock.now = 0;
    health = new Health(() => clock.now);
  });
  afterEach(() => health.close());

  it('is ready from the first look at the inbox that succeeded', () => {
    expect(health.report()).toMatchObject({ alive: true, ready: false, role: 'starting' });
    loop('active', false);
    expect(health.report()).toMatchObject({ ready: false });
    loop('active', true);
    expect(health.report()).toMatchObject({ alive: true, ready: true, role: 'active' });
  });

  it('is alive but not ready while the database is away', () => {
    loop('active', true);
    for (let second = 0; second < 120; second++) {
      clock.now += 1000;
      loop('active', false);
    }
    expect(health.report()).toMatchObject({ alive: true, ready: false, says: 'the database does not answer' });
  });

  it('is dead when the loop stands still', () => {
    loop('active', true);
    clock.now += 61_000;
    expect(health.report()).toMatchObject({ alive: false, ready: false });
  });

  it('is alive as standby, and not ready', () => {
    loop('standby', true);
    expect(health.report()).toMatchObject({ alive: true, ready: false, role: 'standby' });
  });
});

describe('the place where metrics are told', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'provisiond-monitor-'));
  const socket = path.join(folder, 'metrics.sock');
  let health: Health;
  let metrics: Metrics;
  let listener: Listener | undefined;

  beforeEach(() => {
    health = new Health();
    const nothing = { version: '1', health: () => health.report(), census: async () => [], hosts: () => [] };
    metrics = new Metrics({ ...nothing, lease: () => ({ secondsSinceRenewal: null, token: null }) });
  });
  afterEach(async () => {
    await listener?.close();
    metrics.close();
    health.close();
  });

  it('answers on a loopback port, with 503 as long as it is not ready', async () => {
    listener = await startMonitor('127.0.0.1:0', metrics, health, new MemoryLog());
    expect((await fetch(`${listener.address}/healthz`)).status).toBe(200);
    expect((await fetch(`${listener.address}/readyz`)).status).toBe(503);
    SIGNALS.loop.tell({ role: 'active', milliseconds: 1, ok: true });
    expect((await fetch(`${listener.address}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${listener.address}/metrics`)).text()).toContain('provisiond_active 1');
    expect((await fetch(`${listener.address}/metrics`, { method: 'POST' })).status).toBe(405);
    expect((await fetch(`${listener.address}/`)).status).toBe(404);
  });

  it('answers on a socket, also where a killed daemon left one, and takes none from a living one', async () => {
    const killed = `require('net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 9))`;
    spawnSync(process.execPath, ['-e', killed]);
    listener = await startMonitor(socket, metrics, health, new MemoryLog());
    const curl = () => execFileSync('stat', ['-c', '%F %a', socket], { encoding: 'utf8' });
    expect(curl()).toBe('socket 660\n');
    await expect(startMonitor(socket, metrics, health, new MemoryLog())).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
    const status = await new Promise((resolve) =>
      request({ socketPath: socket, path: '/metrics' }, (answer) => resolve(answer.statusCode)).end(),
    );
    expect(status).toBe(200);
    await listener.close();
    listener = undefined;
    rmSync(folder, { recursive: true });
  });

  it('does not answer a browser that was sent here under another name', async () => {
    listener = await startMonitor('127.0.0.1:0', metrics, health, new MemoryLog());
    const { port } = new URL(listener.address);
    const status = await new Promise((resolve) =>
      request({ port, path: '/metrics', headers: { host: `evil.example:${port}` } }, (answer) =>
        resolve(answer.statusCode),
      ).end(),
    );
    expect(status).toBe(421);
  });
});
