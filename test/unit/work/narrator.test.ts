import { describe, expect, it } from '@jest/globals';
import { ProvisiondError } from '../../../lib/errors';
import type { Claim, Store, StoryLine } from '../../../lib/store/store';
import { runSteps, type Step } from '../../../lib/steps/step';
import { Narrator } from '../../../lib/work/narrator';
import { MemoryLog } from '../../fixtures/memory-log';
import { makeReservation } from '../../fixtures/reservation';

const claim = { requestId: 7, state: 'new' } as Claim;

describe('the story of a reservation while the database is away', () => {
  it('is kept, is written when it is back, and is complained of once for each outage', async () => {
    const written: string[] = [];
    let isAway = true;
    const tell = async (lines: readonly StoryLine[]) => {
      if (isAway) throw new ProvisiondError('DATABASE_UNAVAILABLE', 'the database is restarted');
      written.push(...lines.map((line) => line.text));
    };
    const log = new MemoryLog();
    const narrator = new Narrator({ tell } as unknown as Store, claim, makeReservation(), log);
    const outage = async (...lines: string[]) => {
      isAway = true;
      for (const line of lines) {
        narrator.note(null, line);
        await narrator.flush();
      }
      isAway = false;
      await narrator.flush();
    };
    await outage('first', 'second', 'third');
    expect(written).toEqual(['first', 'second', 'third']);
    await outage('fourth', 'fifth');
    expect(written.slice(3)).toEqual(['fourth', 'fifth']);
    expect(log.lines.filter(({ message }) => message.includes('could not write the story'))).toHaveLength(2);
  });
});

describe('the story of a step that was cut off', () => {
  it('is told to its end when the next try finds it done: the front end waits for its line', async () => {
    const told: (string | null)[] = [];
    const tell = async (lines: readonly StoryLine[]) => void told.push(...lines.map((line) => line.loadState));
    const narrator = new Narrator({ tell } as unknown as Store, claim, makeReservation(), new MemoryLog());
    const { signal } = new AbortController();
    let runs = false;
    const steps: Step<null>[] = [
      {
        name: 'power on the domain',
        story: { after: 'startvm' },
        done: () => runs,
        run: () => {
          runs = true; // and the answer is lost
          throw new ProvisiondError('COMMAND_TIMEOUT', 'the host took too long');
        },
      },
    ];
    const options = { signal, observe: narrator.observe, keepOnFailure: () => true };
    expect(await runSteps(steps, null, options)).toMatchObject({ kind: 'failed' });
    expect(await runSteps(steps, null, options)).toEqual({ kind: 'done' });
    expect(await runSteps(steps, null, options)).toEqual({ kind: 'done' });
    await narrator.flush();
    expect(told.filter((loadState) => loadState !== null)).toEqual(['startvm']);
  });
});
