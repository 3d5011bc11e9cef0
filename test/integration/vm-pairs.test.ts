/**
 * Operations that meet on one VM, on real guests of a real libvirt: whatever is under way, something soft, a hard reboot and
 * a hard shut-down are asked for; and snapshots and checkpoints beside each other. A few here, all with `npm run test:life`.
 */
import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { PowerKind } from '../../lib/model/vm-states';
import { computerFor, LIFE_KINDS, type PairWorld, provePairs } from '../support/operation-pairs';
import { Site } from '../support/site';
import { TinyGuests } from '../support/tiny-conditions';

const ALL = process.env.PROVISIOND_LIFE === 'long';
const TOGETHER: readonly PowerKind[] = ['snapshot', 'checkpoint'];
const ASKED: readonly PowerKind[] = ['hard_shutdown', 'hard_reboot', 'suspend'];
const UNDER_WAY: readonly PowerKind[] = ALL ? LIFE_KINDS : ['suspend'];

let site: Site;
let pairs: PairWorld;

beforeAll(async () => {
  const computers = [...ASKED, ...TOGETHER].map((kind) => ({ name: computerFor(kind) }));
  site = await Site.open({ computers, settings: { guestShutdownTimeoutMs: 30_000 } });
  mkdirSync(site.vms, { recursive: true });
  const guests = new TinyGuests(site);
  pairs = {
    bring: async (computer, condition, withSnapshot) => void (await guests.bring(computer, condition, withSnapshot)),
    note: (computer) => path.join(site.vms, `.${computer}.load`),
    ask: (kind, more, computer) =>
      site.frontEnd.addOperation({ kind, computer, arguments: more, requestedBy: 'the test' }),
    show: (id) => site.frontEnd.showOperation(id),
    condition: (computer) => guests.condition(computer),
  };
});
afterAll(async () => site.close());

describe('an operation on a real guest that is asked for while another one is under way', () => {
  it.each(UNDER_WAY)(
    '%s under way: softer ones are refused, harder ones take its place or wait, each after its end',
    async (running) => {
      const kinds = TOGETHER.includes(running) ? [...ASKED, ...TOGETHER] : ASKED;
      await provePairs(pairs, running, kinds);
    },
  );
});
