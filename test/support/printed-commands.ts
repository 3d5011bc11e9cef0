/** Every command of `provisiond` that is printed for people to copy: in the documents, and in the help (so in the manual page). */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { printed } from './in-process';

export const ROOT = path.resolve(__dirname, '../..');

export interface PrintedLine {
  /** `README.md`, or `help`. */
  readonly file: string;
  /** As it is printed, without its comment; continued lines are one. */
  readonly line: string;
}

/** The documents, in the order in which a new admin reads them. */
export function documents(): string[] {
  // Not through what a lab makes and removes meanwhile.
  const folders = readdirSync(ROOT, { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && !['node_modules', 'dist'].includes(entry.name) && !entry.name.startsWith('.'),
  );
  const all = folders.flatMap(({ name }) =>
    readdirSync(path.join(ROOT, name), { recursive: true, encoding: 'utf8' })
      .filter((file) => path.basename(file) === 'README.md')
      .map((file) => path.join(name, file)),
  );
  const first = ['README.md', 'conf/README.md', 'conf/host/README.md', 'drivers/README.md', 'os-modules/README.md'];
  return [...first, ...all.filter((name) => !first.includes(name)).sort()];
}

/** Lines of code blocks for a shell. */
export function blockLines(): PrintedLine[] {
  return documents().flatMap((file) => {
    const text = readFileSync(path.join(ROOT, file), 'utf8').replace(/\\\n\s*/g, '');
    const blocks = [...text.matchAll(/```(?:sh|bash|console)\n([\s\S]*?)```/g)].flatMap(([, block]) =>
      block!.split('\n'),
    );
    return blocks
      .map(withoutComment)
      .filter(Boolean)
      .map((line) => ({ file, line }));
  });
}

/** Commands of ours within sentences and tables. */
export function inlineLines(): PrintedLine[] {
  return documents().flatMap((file) => {
    const text = readFileSync(path.join(ROOT, file), 'utf8').replace(/```[\s\S]*?```/g, '');
    return [...text.matchAll(/`(provisiond [a-z][^`]*)`/g)].map(([, code]) => ({
      file,
      line: code!.replace(/\s+/g, ' '),
    }));
  });
}

/** The examples of every verb, from the manual page, which has those of the help. */
export async function helpLines(): Promise<PrintedLine[]> {
  const page = (await printed('man')).replace(/\\-/g, '-');
  const examples = [...page.matchAll(/^\.nf\n\.RS\n([\s\S]*?)^\.RE$/gm)].flatMap(([, block]) =>
    block!.trim().split('\n'),
  );
  return examples.map((line) => ({ file: 'help', line }));
}

const withoutComment = (line: string): string => line.replace(/(^|\s)#.*$/, '').trim();

/** Words as a shell takes them apart, without redirections; `'…'` and `"…"` hold blanks together. */
export function words(line: string): string[] {
  return (line.replace(/ [>|].*$/, '').match(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g) ?? []).map((word) =>
    word.replace(/'([^']*)'|"([^"]*)"/g, (_all, one?: string, two?: string) => one ?? two ?? ''),
  );
}
