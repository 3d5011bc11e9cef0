import { expect, it } from '@jest/globals';
import { judgeRival, type Rival } from '../../../lib/model/competition';

const MINE = 7;

it.each<[string, Partial<Rival>, ReturnType<typeof judgeRival>]>([
  ['that has ended', { state: 'complete', lastState: 'inuse' }, 'ignore'],
  ['that failed', { state: 'failed', lastState: 'new' }, 'ignore'],
  ['that begins later', { state: 'new', secondsToStart: 60 }, 'ignore'],
  ['that begins later, but is being loaded already', { state: 'pending', secondsToStart: 1800 }, 'wait'],
  ['that an admin put aside', { state: 'maintenance', lastState: 'image' }, 'refuse'],
  ['that is being captured', { state: 'pending', lastState: 'image' }, 'wait'],
  ['that is being captured, whenever it began', { state: 'image', secondsToStart: 60 }, 'wait'],
  ['that is being reclaimed', { state: 'pending', lastState: 'deleted' }, 'wait'],
  ['that a user works on', { state: 'inuse' }, 'wait'],
  ['that reloads what we need', { state: 'pending', lastState: 'reload', imageRevisionId: MINE }, 'wait'],
  ['that reloads something else', { state: 'pending', lastState: 'reload', imageRevisionId: 8 }, 'complete'],
  ['that waits to reload something else', { state: 'reload', imageRevisionId: 8 }, 'complete'],
])('another request on the computer %s', (_what, rival, verdict) => {
  const other: Rival = { state: 'new', lastState: 'new', secondsToStart: -1, imageRevisionId: 1, ...rival };
  expect(judgeRival(other, MINE, 'new')).toBe(verdict);
});

it('a reload gives way to a user who comes, instead of both waiting for the other', () => {
  const user: Rival = { state: 'pending', lastState: 'new', secondsToStart: -1, imageRevisionId: MINE };
  expect(judgeRival(user, MINE, 'reload')).toBe('yield');
  expect(judgeRival({ ...user, state: 'new', secondsToStart: 60 }, MINE, 'reload')).toBe('ignore');
  expect(judgeRival({ ...user, secondsToStart: 60 }, MINE, 'reload')).toBe('yield'); // it is loaded ahead of its start
  expect(judgeRival({ ...user, lastState: 'deleted' }, MINE, 'reload')).toBe('wait');
});
