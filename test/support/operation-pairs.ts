/**
 * Pairs of operations on one VM (lifecycle rules of the Xen API): one is held where it is about to act, another is asked
 * for, and what becomes of both is what the table of states and the rules of rank say. For fake and real hosts: what
 * holds the first one is the lock of its computer's fence.
 */
import { expect } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Encounter, encounter } from '../../lib/model/vm-rules';
import { type Condition, type PowerKind, resultOf } from '../../lib/model/vm-states';
import type { OperationDetails } from '../../lib/store/vm-front-end';
import { eventually } from './eventually';

/**
 * Operations of the Xen API: they change the power of a VM, or its snapshots. The others change what it is made of and have
 * prerequisites of their own: test/contract/volumes, test/contract/clones and their like.
 */
export const LIFE_KINDS: readonly PowerKind[] = [
  ...(['start', 'pause', 'unpause', 'suspend', 'resume', 'wake', 'power_state_reset'] as const),
  ...(['clean_shutdown', 'hard_shutdown', 'shutdown', 'clean_reboot', 'hard_reboot'] as const),
  ...(['snapshot', 'checkpoint', 'revert', 'delete_snapshot'] as const),
];

/** Of a clone or a base: of any other VM they are refused for that, if not for its power. */
export const OF_BASES: readonly PowerKind[] = ['prepare_base', 'remove_base', 'clone', 'rebase'];

/** In which condition each kind is begun, so that it has something to do. */
export function beginsIn(kind: PowerKind): Condition {
  switch (kind) {
    case 'start':
      return 'Halted';
    case 'unpause':
      return 'Paused';
    case 'resume':
    case 'power_state_reset':
      return 'Suspended';
    case 'wake':
      return 'Asleep';
    default:
      return 'Running';
  }
}

export function argumentsFor(kind: PowerKind): object {
  if (kind === 'revert' || kind === 'delete_snapshot') return { snapshot: 's1' };
  return kind === 'clean_shutdown' || kind === 'clean_reboot' || kind === 'shutdown' ? { timeoutSeconds: 10 } : {};
}

/** What whoever asks for `kind` while `running` is held is to meet: the power state is looked at first. */
export function meeting(kind: PowerKind, running: PowerKind): Encounter | 'bad power state' {
  return resultOf(kind, beginsIn(running)) === null ? 'bad power state' : encounter(kind, running);
}

/** Holds whatever is about to change something of a computer. @param note of its fence, lib/host/fence.ts */
export class HeldFence {
  private constructor(private readonly holder: ChildProcess) {}

  static async of(note: string): Promise<HeldFence> {
    const holder = spawn('flock', ['-x', note, 'sh', '-c', 'echo held; exec sleep 300'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    await once(holder.stdout, 'data');
    return new HeldFence(holder);
  }

  /** Twice is once. */
  async release(): Promise<void> {
    if (this.holder.exitCode !== null || this.holder.signalCode !== null) return;
    const ended = once(this.holder, 'exit');
    process.kill(-this.holder.pid!, 'SIGKILL');
    await ended;
  }
}

/** Where pairs are put to the proof. */
export interface PairWorld {
  /** The computer's VM is in that condition, with a snapshot `s1` when it is to be used. */
  bring(computer: string, condition: Condition, withSnapshot: boolean): Promise<void>;
  /** The note of the computer's fence. */
  note(computer: string): string;
  ask(kind: string, more: object, computer: string): Promise<OperationDetails>;
  show(id: number): Promise<OperationDetails>;
  condition(computer: string): Condition | Promise<Condition>;
}

const FIRST_STEPS = ['check that it is allowed', 'make sure that the VM is gone'];

async function until(
  world: PairWorld,
  { id }: OperationDetails,
  isSo: (one: OperationDetails) => boolean,
): Promise<OperationDetails> {
  let one!: OperationDetails;
  const complaint = () => `operation ${id} (${one.kind}) is ${one.state} at '${one.step}'`;
  await eventually(async () => isSo((one = await world.show(id))), 60, complaint);
  return one;
}

const ended = (one: OperationDetails) => one.ended !== null;

/** Asks for `kind` while `running` is held, lets go, and expects what the rules say of both, and of the VM. */
export async function provePair(world: PairWorld, computer: string, running: PowerKind, kind: PowerKind) {
  const pair = `${kind} while ${running}`;
  await world.bring(computer, beginsIn(running), running === 'revert' || running === 'delete_snapshot');
  const held = await HeldFence.of(world.note(computer));
  try {
    const first = await world.ask(running, argumentsFor(running), computer);
    const isHeld = ({ step, ended: end }: OperationDetails) =>
      end !== null || (step !== null && (running === 'power_state_reset' || !FIRST_STEPS.includes(step)));
    expect([pair, await until(world, first, isHeld)]).toMatchObject([pair, { state: 'working', error: null }]);
    const second = await world.ask(kind, argumentsFor(kind), computer);
    const met = meeting(kind, running);
    if (met === 'refuse' || met === 'bad power state') {
      const code = met === 'refuse' ? 'OTHER_OPERATION_IN_PROGRESS' : 'VM_BAD_POWER_STATE';
      const refused = await until(world, second, ended);
      expect([pair, refused]).toMatchObject([pair, { state: 'failed', error: { code } }]);
      await held.release();
      expect([pair, await until(world, first, ended)]).toMatchObject([pair, { state: 'done' }]);
      return;
    }
    await until(world, second, ({ step }) => step !== null && FIRST_STEPS.includes(step));
    await new Promise((resolve) => setTimeout(resolve, 300));
    // Nothing of it is done before the first has ended (which one that was cancelled in time may have).
    const waiting = await world.show(second.id);
    const isOver = ended(await world.show(first.id));
    if (!isOver) expect([pair, waiting.step]).toEqual([pair, expect.stringMatching(FIRST_STEPS.join('|'))]);
    expect([pair, isOver && met === 'wait']).toEqual([pair, false]);
    await held.release();
    const over = await until(world, first, ended);
    // Told to stop, it may have been done at that moment.
    expect([pair, over.state]).toEqual([pair, expect.stringMatching(met === 'wait' ? /^done$/ : /^(cancelled|done)$/)]);
    expect([pair, await until(world, second, ended)]).toMatchObject([pair, { state: 'done', error: null }]);
    const result = resultOf(kind, beginsIn(running));
    expect([pair, await world.condition(computer)]).toEqual([pair, result === 'same' ? beginsIn(running) : result]);
  } finally {
    await held.release();
  }
}

/** Several pairs at once, each on a VM of its own. @throws what the first that failed says, when all are over */
export async function provePairs(world: PairWorld, running: PowerKind, kinds: readonly PowerKind[]): Promise<void> {
  const proofs = await Promise.allSettled(kinds.map((kind) => provePair(world, computerFor(kind), running, kind)));
  for (const proof of proofs) if (proof.status === 'rejected') throw proof.reason;
}

/** The VM on which a kind is asked for. */
export const computerFor = (kind: PowerKind): string => kind.replaceAll('_', '-');
