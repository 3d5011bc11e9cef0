/**
 * `rebase_clones`: all clones of a base are put onto another one. Each is an operation of its own, asked for under a key of this one, so
 * that who resumes it asks for none twice; a failure stops none of the others, and who asks again moves those that are left.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { ProvisiondError } from '../../errors';
import type { Clone } from '../../model/vm-base';
import type { ChildOperation } from '../../store/store';
import { type VmJob, vmKind } from '../kind';
import { STOPPING } from '../volumes/restore';
import { requireBase } from './bases';
import { BASE_NAME } from './clone';

const { timeoutSeconds, hard } = STOPPING;
const REBASE_CLONES = z.strictObject({
  base: BASE_NAME,
  parallel: z.number().int().min(1).max(50).default(2),
  /** One first; the others only when that went well. */
  canary: z.boolean().default(false),
  stop: z.boolean().default(false),
  timeoutSeconds,
  hard,
  dryRun: z.boolean().default(false),
});
type RebaseClones = z.output<typeof REBASE_CLONES>;

/** How often those under way are looked at. */
const LOOK_MS = 300;

export const rebase_clones = vmKind<RebaseClones>({
  name: 'rebase_clones',
  about: 'put all clones of a base onto another base, some at a time; those that fail stay on the old one',
  arguments: REBASE_CLONES,
  example: { base: 'vm3', parallel: 2, canary: true, stop: true, timeoutSeconds: 120, hard: false, dryRun: false },
  steps: [
    { name: 'check that it is allowed', done: (job) => job.journal !== null, run: check },
    {
      name: 'tell what would be done',
      done: (job) => !job.arguments.dryRun,
      run: async (job) => {
        job.result.clones = (await clonesOf(job)).map(({ shortName }) => shortName);
        return 'looked' as const;
      },
    },
    { name: 'move the clones', run: moveAll },
  ],
});

async function check(job: VmJob<RebaseClones>): Promise<void> {
  const { computer, arguments: args, store } = job;
  const rival = job.underWay()[0];
  if (rival) {
    const message = `rebase_clones of ${computer.shortName}: operation ${rival.id} (${rival.kind}) is under way`;
    throw new ProvisiondError('OTHER_OPERATION_IN_PROGRESS', message, { details: { operation: rival.id } });
  }
  if (!(await store.vmBases()).some(({ computerId }) => computerId === computer.id)) {
    throw new ProvisiondError('NOT_FOUND', `${computer.shortName} is no base`);
  }
  const base = await requireBase(job, args.base);
  if (base.computerId === computer.id) {
    throw new ProvisiondError('OPERATION_INVALID', `the clones of ${computer.shortName} stand on it already`);
  }
  await job.keepJournal({ from: 'Halted', domainId: null });
}

const keyOf = (job: VmJob) => `rebase_clones ${job.operation.id}:`;

/** Those that were asked for by this operation before it was resumed count as well, wherever they stand now. */
async function clonesOf(job: VmJob): Promise<readonly Clone[]> {
  return job.store.clonesOf(job.computer.id);
}

async function moveAll(job: VmJob<RebaseClones>): Promise<void> {
  const { parallel, canary } = job.arguments;
  const waiting = [...(await clonesOf(job))];
  const total = new Set([
    ...waiting.map(({ computerId }) => computerId),
    ...(await asked(job)).map((one) => one.computerId),
  ]).size;
  for (;;) {
    job.signal.throwIfAborted();
    const children = await asked(job);
    const open = children.filter(({ state }) => state === 'queued' || state === 'working');
    const failed = children.filter(({ state }) => state === 'failed' || state === 'cancelled');
    const isHeldBack = canary && (children.length === 0 ? false : !children.some(({ state }) => state === 'done'));
    const next = waiting.find(({ computerId }) => !children.some((child) => child.computerId === computerId));
    if (next && !isHeldBack && open.length < (canary && children.length === 0 ? 1 : parallel)) {
      await ask(job, next);
      continue;
    }
    if (open.length === 0) return report(job, total, children, failed);
    await sleep(LOOK_MS, undefined, { signal: job.signal }).catch(() => {});
  }
}

const asked = (job: VmJob): Promise<ChildOperation[]> => job.store.operationsKeyed(keyOf(job));

async function ask(job: VmJob<RebaseClones>, { computerId, shortName }: Clone): Promise<void> {
  const { base, stop, timeoutSeconds: seconds, hard: plug } = job.arguments;
  const more = { ...(seconds !== undefined && { timeoutSeconds: seconds }) };
  await job.store.askForOperation({
    ...{ kind: 'rebase', computerId, arguments: { base, stop, hard: plug, ...more } },
    requestedBy: `operation ${job.operation.id}`,
    idempotencyKey: `${keyOf(job)}${computerId}`,
  });
  job.tell(`${shortName} is asked to move to ${base}`);
}

/** @throws CONFLICT when some are left on the old base: which, and why */
async function report(
  job: VmJob<RebaseClones>,
  total: number,
  children: readonly ChildOperation[],
  failed: readonly ChildOperation[],
): Promise<void> {
  const left = await clonesOf(job);
  const nameOf = (id: number) => left.find(({ computerId }) => computerId === id)?.shortName ?? `computer ${id}`;
  Object.assign(job.result, {
    total,
    done: children.filter(({ state }) => state === 'done').length,
    failed: failed.map(({ id, computerId, error }) => ({ computer: nameOf(computerId), operation: id, error })),
    pending: left
      .filter(({ computerId }) => !children.some((child) => child.computerId === computerId))
      .map((one) => one.shortName),
  });
  if (left.length === 0) return;
  const why = failed.map(({ computerId, id }) => `${nameOf(computerId)} (operation ${id})`).join(', ');
  const message = `${left.length} of ${total} clones stay on ${job.computer.shortName}; failed: ${why || 'none'}`;
  throw new ProvisiondError('CONFLICT', message, {
    blame: 'request',
    hint: 'Mend what their operations say and ask again: only those that are left are moved',
  });
}
