/** Dashboard and alert rules of conf/, in the eyes of promtool, and held to the metrics that there are. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'yaml';
import { Health } from '../../../lib/metrics/health';
import { Metrics } from '../../../lib/metrics/metrics';

const CONF = path.resolve(__dirname, '../../../conf');
const folder = mkdtempSync(path.join(tmpdir(), 'provisiond-monitoring-'));
let known: Set<string>;

beforeAll(async () => {
  const health = new Health();
  const nothing = { version: '1', health: () => health.report(), census: async () => [], hosts: () => [] };
  const metrics = new Metrics({ ...nothing, lease: () => ({ secondsSinceRenewal: 1, token: 1 }) });
  const { body } = await metrics.text();
  const families = [...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
  known = new Set(
    families.flatMap(([, name, type]) =>
      type === 'histogram' ? ['_bucket', '_sum', '_count'].map((part) => `${name}${part}`) : [name!],
    ),
  );
  metrics.close();
  health.close();
});
afterAll(() => rmSync(folder, { recursive: true }));

function unknownIn(expression: string): string[] {
  const names = expression.match(/\b(?:provisiond|process|nodejs)_[a-z0-9_]+/g) ?? [];
  return names.filter((name) => !known.has(name));
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: Readonly<Record<string, string>>;
}

describe('the alert rules', () => {
  const file = path.join(CONF, 'prometheus-alerts.yml');
  const rules = (parse(readFileSync(file, 'utf8')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
    (group) => group.rules,
  );

  it('are accepted by promtool', () => {
    const checked = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' });
    expect(checked.stderr).toBe('');
    expect(checked.stdout).toContain(`SUCCESS: ${rules.length} rules found`);
  });

  it('ask for metrics that there are, and each says what to do', () => {
    expect(rules.flatMap(({ expr }) => unknownIn(expr))).toEqual([]);
    expect(rules.filter(({ annotations }) => !annotations.action || !annotations.summary)).toEqual([]);
  });

  it('ring when nobody works, and not while a standby waits beside an active daemon', () => {
    const instance = (name: string, values: string) => ({
      series: `provisiond_active{instance="${name}"}`,
      values,
    });
    const alert = { exp_labels: { severity: 'critical' }, exp_annotations: rules[0]!.annotations };
    const tests = {
      rule_files: [file],
      evaluation_interval: '30s',
      tests: [
        {
          interval: '30s',
          input_series: [instance('a', '1x5 0x10'), instance('b', '0x15')],
          alert_rule_test: [
            { eval_time: '2m', alertname: 'ProvisiondNobodyWorks', exp_alerts: [] },
            { eval_time: '6m', alertname: 'ProvisiondNobodyWorks', exp_alerts: [alert] },
          ],
        },
      ],
    };
    const written = path.join(folder, 'tests.json');
    writeFileSync(written, JSON.stringify(tests));
    const tested = spawnSync('promtool', ['test', 'rules', written], { encoding: 'utf8' });
    expect(tested.stdout + tested.stderr).toContain('SUCCESS');
  });
});

describe('the dashboard', () => {
  const dashboard = JSON.parse(readFileSync(path.join(CONF, 'grafana-dashboard.json'), 'utf8')) as {
    panels: { title: string; targets: { expr: string }[] }[];
  };
  const expressions = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));

  it('has queries that promtool accepts', () => {
    const rules = expressions.map((expr, index) => ({ record: `panel_${index}`, expr }));
    const file = path.join(folder, 'panels.json');
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'panels', rules }] }));
    const checked = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' });
    expect(checked.stdout).toContain(`SUCCESS: ${expressions.length} rules found`);
  });

  it('asks for metrics that there are, under titles of their own', () => {
    expect(expressions.flatMap(unknownIn)).toEqual([]);
    const titles = dashboard.panels.map(({ title }) => title);
    expect(new Set(titles).size).toBe(titles.length);
  });
});
