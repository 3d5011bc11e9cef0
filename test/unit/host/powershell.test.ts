import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { powershell } from '../../../lib/host/powershell';

/** As the program behind `-EncodedCommand` reads its input. */
const readWords = (stdin: string) =>
  stdin
    .split(/\s+/)
    .filter((word) => word !== '')
    .map((word) => Buffer.from(word.slice(1), 'base64').toString());

describe('a stage script of a Windows guest', () => {
  it('has a command line that cmd.exe, PowerShell and a POSIX shell read alike', () => {
    for (const word of powershell('param($a, $in)', [], '').argv) expect(word).toMatch(/^[A-Za-z0-9+/.-]+$/);
  });

  it('is a program that PowerShell is given as UTF-16, and that holds no word of ours', () => {
    const { argv } = powershell('secret program', ['secret argument'], 'secret input');
    const program = Buffer.from(argv.at(-1)!, 'base64').toString('utf16le');
    expect(program).toContain('FromBase64String');
    expect(program).not.toContain('secret');
  });

  it('brings programs, arguments and input as they are, whatever a row holds', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.integer())),
        fc.string({ unit: 'binary' }),
        (text, args, input) => {
          const { argv, stdin } = powershell(text, args, input);
          expect(argv).toEqual(powershell('', [], '').argv);
          expect(stdin).toMatch(/^(x[A-Za-z0-9+/=]*\n){3}$/);
          const [program, list, rest] = readWords(stdin);
          expect([program, JSON.parse(list!), rest]).toEqual([text, args.map(String), input]);
        },
      ),
    );
  });
});
