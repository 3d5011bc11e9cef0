/** The only place where argv becomes a shell string. */
import { ProvisiondError } from '../errors';

const NEEDS_NO_QUOTES = /^[A-Za-z0-9_@%+:,./-]+$/;

/**
 * One word for a POSIX shell. Inside single quotes nothing is special but the single quote itself.
 * @throws INTERNAL for a NUL, which no argument of a program can hold
 */
export function quoteWord(word: string): string {
  if (word.includes('\0')) {
    throw new ProvisiondError('INTERNAL', `quoting ${JSON.stringify(word)} for a shell: it holds a NUL character`);
  }
  return NEEDS_NO_QUOTES.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * A command line of a POSIX shell that runs exactly this argv.
 * @throws INTERNAL for an empty argv, for a program name that a shell would read as an option, and for a NUL
 */
export function quoteCommand(argv: readonly string[]): string {
  const program = argv[0];
  if (program === undefined || program === '' || program.startsWith('-')) {
    throw new ProvisiondError('INTERNAL', `quoting a command for a shell: '${program ?? ''}' is no program name`);
  }
  return argv.map(quoteWord).join(' ');
}
