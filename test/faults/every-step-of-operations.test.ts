/**
 * kill -9 before, inside and after every step of every kind of operation, on the fake world: who comes after finishes it,
 * once. The lists are those of the registry of kinds; a new kind needs a scene (`support/operation-scenes.ts`).
 */
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { KINDS } from '../../lib/operations';
import { NO_FAKE_GUESTS } from '../support/fake-guest';
import { FaultSite } from '../support/fault-site';
import { EVERY, LONG, round, writeTable } from '../support/fault-table';
import { beginScene, OPERATION_SCENES, type OperationScene } from '../support/operation-scenes';
import { VmWorld } from '../support/vm-world';

if (NO_FAKE_GUESTS !== null) process.stderr.write(`NOT RUN: ${NO_FAKE_GUESTS}\n`);
const wherever = NO_FAKE_GUESTS === null ? describe : describe.skip;

const MOMENTS = ['before', 'inside', 'after'] as const;

interface Round {
  readonly scene: OperationScene;
  readonly kind: string;
  readonly point: string;
}

/** In the long form one moment a step in turn; PROVISIOND_FAULTS=every tries all three of each. */
const ROUNDS: readonly Round[] = OPERATION_SCENES.flatMap((scene, place) =>
  KINDS.get(scene.kind)!.steps.flatMap(({ name }, index) => {
    const moments = EVERY ? MOMENTS : [MOMENTS[(index + place) % 3]!];
    return moments.map((moment) => ({ scene, kind: scene.kind, point: `${name}:${moment}` }));
  }),
);

wherever('kill -9 at a step border of an operation, in the fake world', () => {
  let fault: FaultSite | undefined;
  afterEach(() => fault?.close());
  afterAll(writeTable);

  it('has a scene for every kind of operation on VMs', () => {
    const kinds = [...KINDS.values()].filter(({ subject }) => subject !== 'none').map(({ name }) => name);
    expect(kinds.filter((kind) => !OPERATION_SCENES.some((scene) => scene.kind === kind))).toEqual([]);
  });

  it.each(LONG ? ROUNDS : ROUNDS.slice(1, 2))(
    "'$kind' that dies at '$point' is finished by who comes after",
    async ({ scene, kind, point }) => {
      await round(`kill -9 at every border of ${kind} (fake world)`, 'P1 P2 P3', async () => {
        const world = await VmWorld.open(['vm1']);
        // It holds what its row says: kept ready for whom comes next.
        const { imageId, revisionId } = world.site.image;
        const holds = 'update computer set currentimageid = ?, imagerevisionid = ? where hostname = ?';
        await world.site.database.change(holds, [imageId, revisionId, 'vm1']);
        fault = await FaultSite.of(world.site);
        const { id } = await beginScene(world, scene);
        const isOver = async () => (await world.site.frontEnd.showOperation(id)).ended !== null;
        fault.startDaemon(point);
        await fault.crashed(isOver);
        await fault.killDaemon();
        fault.startDaemon();
        const ended = await world.ended({ id }, 30).catch((error: unknown) => {
          throw new Error(`${String(error)}\n${fault!.lastWords(30)}`);
        });
        expect(ended).toMatchObject({ state: 'done', error: null });
        expect(world.condition('vm1')).toBe(scene.to);
        const { snapshots } = world.host.domain(world.domainOf('vm1'))!;
        expect(snapshots).toEqual(snapshotsAfter(scene));
        await fault.killDaemon();
        expect(await fault.audit()).toEqual([]);
      });
    },
  );
});

function snapshotsAfter({ kind, arguments: given = {} }: OperationScene): string[] {
  if ('name' in given) return [String(given.name)];
  return kind === 'revert' ? ['s1'] : [];
}
