/** A reservation on a fake site, as metrics tell of it. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Health } from '../../../lib/metrics/health';
import { Metrics } from '../../../lib/metrics/metrics';
import { eventually } from '../../support/eventually';
import { FakeDaemon } from '../../support/fake-daemon';
import { FakeSite } from '../../support/fake-site';

let site: FakeSite;
let health: Health;
let metrics: Metrics;
let daemon: FakeDaemon;

beforeEach(async () => {
  site = await FakeSite.open();
  health = new Health();
  metrics = new Metrics({
    version: '1',
    health: () => health.report(),
    census: () => site.store.census(site.managementNodeId),
    hosts: () => [],
    lease: () => ({ secondsSinceRenewal: 1, token: site.lease.token }),
  });
  daemon = new FakeDaemon(site);
});

afterEach(async () => {
  await daemon.stop();
  metrics.close();
  health.close();
  await site.close();
});

async function value(line: RegExp): Promise<number | undefined> {
  const { body } = await metrics.text();
  const found = body.split('\n').find((text) => line.test(text));
  return found === undefined ? undefined : Number(found.split(' ').at(-1));
}

async function until(line: RegExp, wanted: number): Promise<void> {
  await eventually(
    async () => (await value(line)) === wanted,
    20,
    async () => {
      const there = (await metrics.text()).body.match(/^provisiond_(out|res).*/gm)?.join('\n');
      return `${String(line)}, not ${wanted}: ${there}`;
    },
  );
}

it('a load shows with its steps, its commands, its statements and what followed', async () => {
  const requestId = await site.reserve({ computer: 'vm1' });
  await until(/^provisiond_outcomes_total\{state="new",next="reserved"\}/, 1);
  await until(/^provisiond_reservations\{state="pending",last_state="reserved"/, 1);
  expect(await value(/^provisiond_step_duration_seconds_count\{.*step="power on the domain",result="ok"/)).toBe(1);
  expect(await value(/^provisiond_database_statement_duration_seconds_count\{result="ok"/)).toBeGreaterThan(10);
  expect(await value(/^provisiond_host_command_duration_seconds_count\{/)).toBeGreaterThan(3);
  expect(health.report()).toMatchObject({ ready: true, role: 'active' });
  await site.overwrite(requestId, 'deleted');
  await until(/^provisiond_outcomes_total\{state="deleted",next="complete"\}/, 1);
});

it('a failed load shows with its code and who must act', async () => {
  await site.database.change("update imagerevision set imagename = 'nowhere-to-be-found' where id = ?", [
    site.image.revisionId,
  ]);
  await site.reserve({ computer: 'vm1' });
  await until(/^provisiond_errors_total\{blame="image",code="IMAGE_NOT_FOUND"\}/, 1);
  await until(/^provisiond_outcomes_total\{state="new",next="failed"\}/, 1);
});
