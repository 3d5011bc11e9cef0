import { describe, expect, it } from '@jest/globals';
import { Printer } from '../../../lib/cli/printer';
import { describeRest } from '../../../lib/cli/rest';
import { watchReservation } from '../../../lib/cli/watch';
import { ProvisiondError } from '../../../lib/errors';
import type { FrontEnd, ReservationDetails, TimelineEntry } from '../../../lib/store/front-end';

const RESERVATION: ReservationDetails = {
  ...{ requestId: 12, reservationId: 12, state: 'pending', lastState: 'new', status: 'loading', user: 'ada' },
  ...{ image: 'debian', computer: 'vm1', host: 'kvm1', start: '2026-01-01 10:00:00', end: '2026-01-01 11:00:00' },
  ...{ address: null, password: null, port: null, acknowledged: false, power: [], timeline: [] },
};

function entry(id: number, kind: string, step: string, more: Partial<TimelineEntry> = {}): TimelineEntry {
  const nothing = { milliseconds: null, loadState: null, text: '', errorCode: null, blame: null, hint: null };
  return { id, time: '2026-01-01 10:00:00', state: 'new', kind, step, ...nothing, ...more };
}

/** A reservation whose story goes on at each look; at the end its rows are gone. */
function storyOf(...chapters: (Partial<ReservationDetails> | 'gone')[]): Pick<FrontEnd, 'show'> {
  const told: TimelineEntry[] = [];
  return {
    show: async (requestId, sinceEventId = 0) => {
      const chapter = chapters.length > 1 ? chapters.shift()! : chapters[0]!;
      if (chapter === 'gone') throw new ProvisiondError('REQUEST_NOT_FOUND', `no request ${requestId}`);
      told.push(...(chapter.timeline ?? []).filter(({ id }) => !told.some((one) => one.id === id)));
      return { ...RESERVATION, ...chapter, timeline: told.filter(({ id }) => id > sinceEventId) };
    },
  };
}

async function watch(frontEnd: Pick<FrontEnd, 'show'>, isTTY = false, env: Record<string, string> = {}) {
  const parts: string[] = [];
  const stdout = { isTTY, columns: 80, write: (text: string) => parts.push(text) };
  const print = new Printer({ stdout, stderr: stdout, env }, false);
  const signal = new AbortController().signal;
  const watched = await watchReservation(frontEnd as FrontEnd, 12, { print, signal, until: 'rest' });
  return { watched, text: parts.join('') };
}

describe('watching a reservation', () => {
  const begun = entry(1, 'begun', 'define the domain');
  const ended = entry(2, 'ended', 'define the domain', { milliseconds: 430 });

  it('tells each step once, with its time, until it is ready', async () => {
    const { watched, text } = await watch(
      storyOf(
        { timeline: [begun] },
        { timeline: [ended] },
        { status: 'ready', timeline: [entry(3, 'skipped', 'wait')] },
      ),
    );
    expect(watched.rest).toBe('ready');
    expect(watched.details.timeline.map(({ id }) => id)).toEqual([1, 2, 3]);
    expect(text.split('\n').map((line) => line.replace(/\s+/g, ' '))).toEqual([
      '10:00:00 done define the domain 0.4 s',
      '10:00:00 already wait',
      '',
    ]);
  });

  it('tells nothing twice when the last line is one of the loadlog, which bear no number', async () => {
    const looks: (number | undefined)[] = [];
    const chapters = [[begun, ended, entry(0, 'note', 'note')], []];
    const frontEnd: Pick<FrontEnd, 'show'> = {
      show: async (_requestId, sinceEventId) => {
        looks.push(sinceEventId);
        const timeline = chapters.shift()!;
        return { ...RESERVATION, status: chapters.length === 0 ? 'ready' : 'loading', timeline };
      },
    };
    await watch(frontEnd);
    expect(looks).toEqual([undefined, 2]);
  });

  it('shows the step in hand on a terminal, in colour unless that is unwelcome', async () => {
    const story = () => storyOf({ timeline: [begun] }, { status: 'ready', timeline: [ended] });
    const coloured = await watch(story(), true, { TERM: 'xterm' });
    expect(coloured.text).toContain('\r\u001b[2K          ...      define the domain  0.');
    expect(coloured.text).toContain('\u001b[32mdone');
    expect((await watch(story(), true, { TERM: 'xterm', NO_COLOR: '1' })).text).not.toContain('\u001b[32m');
  });

  it('gives the reason and the remedy when it has failed', async () => {
    const failure = {
      errorCode: 'HOST_DISK_FULL',
      blame: 'host',
      hint: 'Free space',
      text: 'no room on kvm1',
    } as const;
    const failed = entry(2, 'failed', 'define the domain', { milliseconds: 5, ...failure });
    const { watched, text } = await watch(storyOf({ timeline: [begun] }, { status: 'failed', timeline: [failed] }));
    expect(describeRest(watched)).toEqual({
      code: 'HOST_DISK_FULL',
      message: 'request 12 failed: no room on kvm1',
      hint: 'Free space',
      blame: 'host',
    });
    expect(text).toMatch(
      /failed {3}define the domain .*\n +HOST_DISK_FULL \(host\): no room on kvm1\n +hint: Free space/,
    );
  });

  it('says what was left behind, what others wrote, and why even without a code', async () => {
    const timeline = [
      entry(1, 'failed', 'write the XML file', { text: 'EIO' }),
      entry(2, 'undone', 'write the XML file', { text: 'rm failed' }),
      entry(3, 'undone', 'create the overlay', { text: 'create the overlay' }),
      entry(4, 'note', 'note', { text: 'the user\u001b[2J came' }),
    ];
    const { text } = await watch(storyOf({ status: 'failed', timeline }));
    expect(text.split('\n').map((line) => line.replace(/\s+/g, ' ').trim())).toEqual([
      ...['10:00:00 failed write the XML file', 'EIO'],
      ...['10:00:00 left write the XML file', 'rm failed'],
      '10:00:00 undone create the overlay',
      '10:00:00 note the user\\u001b[2J came',
      '',
    ]);
  });

  it('ends when the request was deleted meanwhile, and fails when it never was there', async () => {
    expect((await watch(storyOf({}, 'gone'))).watched.rest).toBe('gone');
    await expect(watch(storyOf('gone'))).rejects.toThrow('no request 12');
  });
});
