import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { execFileSync } from 'node:child_process';
import { ProvisiondError } from '../../../lib/errors';
import { quoteCommand, quoteWord } from '../../../lib/host/shell-quote';
import { NASTY_WORDS } from '../../contract/host.contract';

/** What a real shell makes of a command line that prints its arguments, each ended by a NUL. */
function throughShell(words: readonly string[], shell: string): string[] {
  const line = quoteCommand(['printf', '%s\\0', ...words]);
  const { length } = words;
  // A shell that is no log-in shell reads no start-up files: bash judges by SHLVL.
  return execFileSync(shell, ['-c', line], { env: { LC_ALL: 'C', SHLVL: '5' } })
    .toString()
    .split('\0')
    .slice(0, length);
}

describe('quoting for a shell', () => {
  it.each(['sh', 'bash'])('brings every word through a real %s as it was', (shell) => {
    const word = fc.string({ unit: 'binary', maxLength: 40 }).filter((text) => !text.includes('\0'));
    const words = fc.array(
      word.map((text) => Buffer.from(text).toString()),
      { minLength: 1, maxLength: 30 },
    );
    fc.assert(
      fc.property(words, (all) => expect(throughShell(all, shell)).toEqual(all)),
      { numRuns: 60 },
    );
  });

  it('brings words made of what shells treat specially through as well', () => {
    const special = fc.string({ unit: fc.constantFrom(...`'"\\$\`!*?[]{}()<>|&;#~=%- \t\n\r`), maxLength: 20 });
    const words = fc.array(special, { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(words, (all) => expect(throughShell(all, 'sh')).toEqual(all)),
      { numRuns: 60 },
    );
    expect(throughShell(NASTY_WORDS, 'sh')).toEqual(NASTY_WORDS);
  });

  it('leaves plain words readable', () => {
    expect(quoteCommand(['virsh', '-q', 'list', '--all'])).toBe('virsh -q list --all');
    expect(quoteWord("it's")).toBe(`'it'\\''s'`);
  });

  it('refuses a NUL wherever it is', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => expect(() => quoteWord(`${a}\0${b}`)).toThrow(ProvisiondError)),
    );
  });

  it('refuses what is no program name', () => {
    for (const argv of [[], [''], ['-c', 'id']]) expect(() => quoteCommand(argv)).toThrow('no program name');
  });
});
