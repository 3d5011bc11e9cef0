/** The tables of rules and their proofs in the READMEs of test/contract and lib/images name tests that are there, for every rule. */
import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(__dirname, '../..');
const plain = (text: string) => text.replace(/\s+/g, ' ');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');

function proofsIn(table: string) {
  const found = plain(table).matchAll(/`(test\/[^`]*\.test\.ts)`((?:,? '[^']{8,}?'(?=[ ,;.|]))*)/g);
  return [...found].map(([, file, titles]) => ({
    file: file!,
    titles: [...titles!.matchAll(/'([^']+)'/g)].map(([, title]) => title!),
  }));
}

/** Of the lifecycle rules, as they are counted there. */
const VOLUMES = [
  ...[1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 19, 21, 22, 23, 24],
  ...[26, 27, 28, 29, 31, 32, 33, 35, 36, 37, 38, 39, 41, 42, 44, 46, 49, 50, 51],
  ...[53, 54, 56, 57, 59, 60, 61, 62, 63, 64],
];
const CAPTURE = [65, 67, 68, 69, 71, 72, 74, 75, 76, 78, 79, 80, 81, 82, 83, 85];
const LIFE = [86, 87, 88, 90, 91, 92, 94, 96, 97, 98, 99, 101, 102, 103, 104, 105, 106, 107, 110];
const ACCEPTANCE_TESTS = { volumes: VOLUMES, instances: CAPTURE, operations: LIFE };

const TABLES = [
  {
    readme: 'test/contract/README.md',
    numbers: /^\| (2\.\d+) /gm,
    wanted: Array.from({ length: 10 }, (_, index) => `2.${index + 1}`),
  },
  ...Object.entries(ACCEPTANCE_TESTS).map(([folder, numbers]) => ({
    readme: `test/contract/${folder}/README.md`,
    numbers: /^\| (\d+) /gm,
    wanted: numbers.map(String),
  })),
  // Of images: the lines of what must work have no numbers.
  { readme: 'lib/images/README.md', numbers: /^\| bad (input) /gm, wanted: ['input'] },
];

it.each(Object.keys(ACCEPTANCE_TESTS))(
  'each acceptance test of %s is proved by a title, not by a file alone',
  (folder) => {
    const rows = read(`test/contract/${folder}/README.md`)
      .split('\n')
      .filter((line) => /^\| \d/.test(line));
    expect(rows.filter((row) => !proofsIn(row).some(({ titles }) => titles.length > 0))).toEqual([]);
  },
);

describe.each(TABLES)('the table of $readme', ({ readme, numbers, wanted }) => {
  it('has a proof for every rule', () => {
    const rows = [...read(readme).matchAll(numbers)].map(([, number]) => number);
    expect(new Set(rows)).toEqual(new Set(wanted));
  });

  it.each(proofsIn(read(readme)))('names tests that $file has', ({ file, titles }) => {
    expect(existsSync(path.join(root, file))).toBe(true);
    const said = plain(read(file));
    expect(titles.filter((title) => !said.includes(title))).toEqual([]);
  });
});
