/** The log of a real daemon over real loads: one reservation from its first line to its last, and what must not be in it. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { readFileSync, rmSync } from 'node:fs';
import { Site } from '../support/site';

let site: Site;
let lines: string[];
let [first, second, lost] = [0, 0, 0];
let password: string;

beforeAll(async () => {
  site = await Site.open({ settings: { guestBootTimeoutMs: 240_000 } });
  [first, second] = [await site.reserve({ computer: 'vm1' }), await site.reserve({ computer: 'vm2' })];
  ({ password } = (await site.waitUntilReady(first, 300)) as { password: string });
  await site.waitUntilReady(second, 300);
  await site.endAsUsed(first);
  await site.waitForRequest(first, null, 60);
  await site.frontEnd.end(second);
  await site.waitForRequest(second, null, 60);
  rmSync(site.masterFile, { force: true });
  lost = await site.reserve({ computer: 'vm1' });
  await site.waitForRequest(lost, 'failed/new', 60);
  await site.stopDaemon();
  lines = readFileSync(site.logFile, 'utf8').split('\n');
}, 600_000);

afterAll(() => site?.close());

/** What `journalctl -g '\[request 12[] ]'` finds. */
const of = (requestId: number) => lines.filter((line) => new RegExp(`\\[request ${requestId}[\\] ]`).test(line));

it('a reservation is found from its first line to its last by its number, and no line of the other is among them', () => {
  const story = of(first);
  expect(story[0]).toMatch(/working on 'new'/);
  const text = story.join('\n');
  for (const step of [
    'check the computer',
    'make the disks',
    'define the domain',
    'power on the domain',
    'add the user',
  ])
    expect(text).toContain(step);
  expect(text).toMatch(/working on 'deleted'[\s\S]*'deleted' is done/);
  expect(text).not.toMatch(/\bvm2[_ ]/);
});

it('no line about a machine of a reservation is without its number', () => {
  const nobodys = lines.filter((line) => /\bvm[12]\b|\bvm[12]_/.test(line) && !/\[request \d+/.test(line));
  // The watch on the power of VMs is of no reservation: `vm1: Running → Halted: …`
  expect(nobodys.filter((line) => !/ vm[12]: .* → /.test(line))).toEqual([]);
});

it('no password is in it', () => {
  expect(password).toMatch(/^\S{8,}$/);
  expect(lines.filter((line) => line.includes(password))).toEqual([]);
});

it('a failure is told once with who must act, all that led to it and what to do, under the number of its request', () => {
  const text = of(lost).join('\n');
  expect(text).toMatch(/IMAGE_NOT_FOUND \(image\)/);
  expect(text).toMatch(/Put the image file into the datastore/);
});
