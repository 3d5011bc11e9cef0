import { describe, expect, it } from '@jest/globals';
import { Progress } from '../../../lib/states/capture-progress';

describe('the progress of a copy', () => {
  const watch = () => {
    const lines: string[] = [];
    let now = 0;
    const progress = new Progress(
      (text) => lines.push(text),
      'copying',
      () => now,
    );
    return { lines, progress, wait: (ms: number) => (now += ms) };
  };

  it('is told at every tenth, and at its end', () => {
    const { lines, progress } = watch();
    for (let percent = 0; percent <= 100; percent++) progress.at(percent);
    expect(lines).toHaveLength(10);
    expect(lines.at(-1)).toBe('copying: 100 %');
  });

  it('is told every few seconds when it is slow, and not again when it stands still', () => {
    const { lines, progress, wait } = watch();
    for (let percent = 1; percent <= 4; percent++) {
      wait(10_000);
      progress.at(percent);
      progress.at(percent);
    }
    expect(lines).toEqual(['copying: 1 %', 'copying: 2 %', 'copying: 3 %', 'copying: 4 %']);
  });
});
