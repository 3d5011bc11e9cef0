/**
 * Every operation asked for while every other one is under way on the same VM, in a fake world (acceptance test 88); a few
 * of them here, all with `npm run test:life`.
 */
import { afterAll, beforeAll, describe, it } from '@jest/globals';
import type { PowerKind } from '../../../lib/model/vm-states';
import { NO_FAKE_GUESTS } from '../../support/fake-guest';
import { computerFor, LIFE_KINDS, type PairWorld, provePairs } from '../../support/operation-pairs';
import { VmWorld } from '../../support/vm-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;
const ALL = process.env.PROVISIOND_LIFE === 'long';
const ASKED: readonly PowerKind[] = ALL ? LIFE_KINDS : ['hard_shutdown', 'hard_reboot', 'snapshot', 'pause'];
const UNDER_WAY: readonly PowerKind[] = ALL ? LIFE_KINDS : ['suspend', 'checkpoint', 'hard_reboot'];
/** So many VMs at once: the machine has other work. */
const AT_ONCE = 6;

wherever('an operation that is asked for while another one is under way on the same VM', () => {
  let world: VmWorld;
  let pairs: PairWorld;

  beforeAll(async () => {
    world = await VmWorld.open(ASKED.map(computerFor));
    await world.startInbox();
    pairs = {
      bring: async (computer, condition, withSnapshot) => {
        const domain = world.domainOf(computer);
        for (const name of world.host.domain(domain)!.snapshots) await world.virsh('snapshot-delete', domain, name);
        await world.bring(computer, condition);
        if (withSnapshot) await world.virsh('snapshot-create-as', domain, 's1');
      },
      note: (computer) => world.host.path('vms', `.${computer}.load`),
      ask: (kind, more, computer) => world.ask(kind, more, computer),
      show: (id) => world.site.frontEnd.showOperation(id),
      condition: (computer) => world.condition(computer),
    };
  });
  afterAll(async () => world.close());

  it.each(UNDER_WAY)(
    '%s under way: softer ones are refused, harder ones take its place or wait, each after its end',
    async (running) => {
      for (let from = 0; from < ASKED.length; from += AT_ONCE) {
        await provePairs(pairs, running, ASKED.slice(from, from + AT_ONCE));
      }
    },
  );
});
