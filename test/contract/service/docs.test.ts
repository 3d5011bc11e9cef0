/** Commands that stand in the documents: each is one that the program knows, with options that it knows. */
import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { printed } from '../../support/in-process';

const ROOT = path.resolve(__dirname, '../../..');
const FOLDERS = ['.', 'conf', 'lib', 'lib/states', 'lib/work', 'lib/libvirt', 'lib/store', 'drivers', 'os-modules'];

interface Printed {
  readonly file: string;
  readonly words: string[];
}

/** In code only; continued lines are one. */
function printedCommands(): Printed[] {
  return FOLDERS.flatMap((folder) => {
    const there = readdirSync(path.join(ROOT, folder)).includes('README.md');
    if (!there) return [];
    const file = path.join(folder, 'README.md');
    const text = readFileSync(path.join(ROOT, file), 'utf8').replace(/\\\n\s*/g, '');
    const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) => block!.split('\n'));
    const inline = [...text.replace(/```[\s\S]*?```/g, '').matchAll(/`(provisiond [^`]+)`/g)].map(([, code]) => code!);
    return [...blocks, ...inline]
      .filter((line) => /^(npx )?provisiond [a-z]/.test(line))
      .map((line) => ({ file, words: split(line.replace(/ +#.*$/, '').replace(/ \|.*$/, '')) }));
  });
}

const split = (line: string): string[] => (line.match(/'[^']*'|\S+/g) ?? []).filter((word) => word !== 'npx').slice(1);

describe('the documents', () => {
  const helps = new Map<string, Promise<string>>();

  const help = (verb: string): Promise<string> => {
    if (!helps.has(verb)) helps.set(verb, printed(...verb.split(' ').filter(Boolean), '--help'));
    return helps.get(verb)!;
  };

  it('print commands that the program knows, with options that it knows', async () => {
    const commands = printedCommands();
    expect(commands.length).toBeGreaterThan(15);
    const verbs = [...(await help('')).matchAll(/^ {2}([a-z-]+)/gm)].map(([, verb]) => verb!);
    const wrong: string[] = [];
    for (const { file, words } of commands) {
      const [verb, next] = words as [string, string?];
      if (!verbs.includes(verb)) {
        wrong.push(`${file}: provisiond ${verb}`);
        continue;
      }
      const isGroup = ['host', 'computer', 'image', 'list'].includes(verb);
      const text = await help(isGroup ? `${verb} ${next ?? ''}`.trim() : verb);
      const options = words.filter((word) => /^--[a-z]/.test(word)).map((word) => word.replace(/[=,;:.].*$/, ''));
      wrong.push(...options.filter((option) => !text.includes(option)).map((option) => `${file}: ${verb} ${option}`));
    }
    expect(wrong).toEqual([]);
  });
});
