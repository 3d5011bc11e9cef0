/**
 * What Prometheus may know. What happens comes from lib/signals.ts, what is comes from the ports when it is asked for.
 * Labels have few values each: names of hosts, states, steps and codes, never of requests, users or guests.
 */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { CATALOGUE } from '../errors';
import type { HostState } from '../host/host-pool';
import { SIGNALS, type StepSignal, type Took } from '../signals';
import type { Census } from '../store/store';
import type { HealthReport } from './health';

/** What is asked when Prometheus comes. */
export interface MetricSources {
  readonly version: string;
  readonly health: () => HealthReport;
  /** @throws when the database does not answer: the counts are left out then, and nothing else */
  readonly census: () => Promise<readonly Census[]>;
  readonly hosts: () => readonly HostState[];
  readonly lease: () => { readonly secondsSinceRenewal: number | null; readonly token: number | null };
}

const PREFIX = 'provisiond_';
const LAG_PRECISION_MS = 200;
const WAY_STATES = ['closed', 'half-open', 'open'] as const;
/** Gauges of prom-client under the name of a counter; what they tell, their parts without `_total` tell as well. */
const MISNAMED = ['handles', 'requests', 'resources'].map((what) => `nodejs_active_${what}_total`);
const STEP_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900];
const CALL_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];
const COPY_SECONDS = [1, 5, 15, 60, 300, 900, 3600];

export class Metrics {
  private readonly registry = new Registry();
  private readonly ends: (() => void)[] = [];

  constructor(private readonly sources: MetricSources) {
    // By default Node is woken up a hundred times a second to see how late it is.
    collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision: LAG_PRECISION_MS });
    for (const name of MISNAMED) this.registry.removeSingleMetric(name);
    this.listen();
    this.ask();
  }

  /** The text that Prometheus reads. */
  async text(): Promise<{ readonly contentType: string; readonly body: string }> {
    return { contentType: this.registry.contentType, body: await this.registry.metrics() };
  }

  close(): void {
    for (const end of this.ends) end();
    this.registry.clear();
  }

  // ------------------------------------------------------------------------------------------------ what happens

  private listen(): void {
    const steps = this.histogram('step_duration_seconds', 'Time that steps of reservations took', STEP_SECONDS, [
      'state',
      'step',
      'result',
    ]);
    const errors = this.counter('errors_total', 'Failed steps by who must act and by code', ['blame', 'code']);
    for (const [code, { blame }] of Object.entries(CATALOGUE)) errors.inc({ blame, code }, 0);
    const outcomes = this.counter('outcomes_total', 'Requests worked to an end, by state and what followed', [
      'state',
      'next',
    ]);
    this.ends.push(
      SIGNALS.step.listen((step) => this.countStep(step, steps, errors)),
      SIGNALS.outcome.listen(({ state, next }) => outcomes.inc({ state, next })),
    );
    this.listenToCalls();
  }

  private listenToCalls(): void {
    const statements = this.histogram('database_statement_duration_seconds', 'Time of statements', CALL_SECONDS, [
      'result',
    ]);
    const commands = this.histogram('host_command_duration_seconds', 'Time of commands on hosts', CALL_SECONDS, [
      'host',
      'result',
    ]);
    const polls = this.histogram('poll_duration_seconds', 'Time of looks at the inbox', CALL_SECONDS, ['result']);
    const copies = this.histogram('image_copy_duration_seconds', 'Time of image copies', COPY_SECONDS, [
      'host',
      'result',
    ]);
    const bytes = this.counter('image_copied_bytes_total', 'Bytes of images copied to hosts', ['host']);
    this.ends.push(
      SIGNALS.statement.listen((took) => statements.observe(resultOf(took), took.milliseconds / 1000)),
      SIGNALS.command.listen(({ host, ...took }) =>
        commands.observe({ host: this.hostLabel(host), ...resultOf(took) }, took.milliseconds / 1000),
      ),
      SIGNALS.loop.listen(({ role, ...took }) => {
        if (role === 'active') polls.observe(resultOf(took), took.milliseconds / 1000);
      }),
      SIGNALS.imageCopy.listen(({ host, bytes: copied, ...took }) => {
        copies.observe({ host, ...resultOf(took) }, took.milliseconds / 1000);
        if (took.ok) bytes.inc({ host }, copied);
      }),
    );
  }

  private countStep(
    { state, step, milliseconds, ok, error }: StepSignal,
    steps: Histogram<string>,
    errors: Counter<string>,
  ): void {
    steps.observe({ state, step, result: ok ? 'ok' : 'failed' }, milliseconds / 1000);
    if (error) errors.inc({ blame: error.blame, code: error.code });
  }

  /** Guests come and go with every reservation: they share one label. */
  private hostLabel(name: string): string {
    return this.sources.hosts().some((host) => host.name === name) ? name : 'guests';
  }

  // ------------------------------------------------------------------------------------------------ what is

  private ask(): void {
    const { version, health, lease, hosts } = this.sources;
    this.gauge('build_info', 'The version in the label', ['version'], (gauge) => gauge.set({ version }, 1));
    this.gauge('active', '1: this daemon works for its management node; 0: it waits as standby', [], (gauge) =>
      gauge.set(health().role === 'active' ? 1 : 0),
    );
    this.gauge('poll_lag_seconds', 'Time since the inbox was last looked at with success', [], (gauge) =>
      gauge.set(health().secondsSincePoll ?? Infinity),
    );
    this.gauge('lease_age_seconds', 'Time since the lease of the management node was renewed', [], (gauge) =>
      gauge.set(lease().secondsSinceRenewal ?? Infinity),
    );
    this.gauge('lease_token', 'Fencing token of the lease: grows by one at each takeover', [], (gauge) =>
      gauge.set(lease().token ?? 0),
    );
    this.gauge('host_way', '1 in the state of the circuit breaker of a host', ['host', 'state'], (gauge) => {
      for (const { name, way } of hosts())
        for (const state of WAY_STATES) gauge.set({ host: name, state }, way === state ? 1 : 0);
    });
    this.gauge('host_loads', 'Loads on a host, running or waiting for a place', ['host', 'state'], (gauge) => {
      for (const { name, loads } of hosts()) {
        gauge.set({ host: name, state: 'running' }, loads.taken);
        gauge.set({ host: name, state: 'waiting' }, loads.waiting);
      }
    });
    this.gauge('host_load_places', 'Loads that may run at once on a host', ['host'], (gauge) => {
      for (const { name, loads } of hosts()) gauge.set({ host: name }, loads.limit);
    });
    this.askCensus();
  }

  private askCensus(): void {
    let counted: Promise<readonly Census[]> = Promise.resolve([]);
    this.gauge(
      'reservations',
      'Requests of this management node by state, last state and age since their start (future: still to come)',
      ['state', 'last_state', 'age'],
      async (gauge) => {
        counted = this.sources.census().catch(() => []);
        for (const { state, lastState, youngerThanSeconds, requests } of await counted)
          gauge.inc({ state, last_state: lastState, age: ageLabel(youngerThanSeconds) }, requests);
      },
    );
    this.gauge('reservation_oldest_seconds', 'Age of the oldest request of a state', ['state'], async (gauge) => {
      const oldest = new Map<string, number>();
      for (const { state, oldestSeconds } of await counted)
        oldest.set(state, Math.max(oldest.get(state) ?? 0, oldestSeconds));
      for (const [state, seconds] of oldest) gauge.set({ state }, seconds);
    });
  }

  // ------------------------------------------------------------------------------------------------

  private counter(name: string, help: string, labelNames: string[]): Counter<string> {
    return new Counter({ name: PREFIX + name, help, labelNames, registers: [this.registry] });
  }

  private histogram(name: string, help: string, buckets: number[], labelNames: string[]): Histogram<string> {
    return new Histogram({ name: PREFIX + name, help, labelNames, buckets, registers: [this.registry] });
  }

  /** @param fill is called when Prometheus comes; what it does not set is not there */
  private gauge(
    name: string,
    help: string,
    labelNames: string[],
    fill: (gauge: Gauge<string>) => void | Promise<void>,
  ): void {
    new Gauge({
      name: PREFIX + name,
      help,
      labelNames,
      registers: [this.registry],
      async collect(this: Gauge<string>) {
        if (labelNames.length > 0) this.reset();
        await fill(this);
      },
    });
  }
}

const resultOf = ({ ok }: Took) => ({ result: ok ? 'ok' : 'failed' });

function ageLabel(youngerThanSeconds: number): string {
  const names: Record<number, string> = { 0: 'future', 60: '1m', 600: '10m', 3600: '1h', 86_400: '1d' };
  return names[youngerThanSeconds] ?? 'older';
}
