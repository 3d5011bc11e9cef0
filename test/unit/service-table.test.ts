/** The table of what a service promises and of the proofs (test/contract/service/README.md) names tests and rows that are there. */
import { expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(__dirname, '../..');
const plain = (text: string) => text.replace(/\s+/g, ' ');
const table = readFileSync(path.join(root, 'test/contract/service/README.md'), 'utf8');
const rows = table.split('\n').filter((line) => line.startsWith('| ') && !/^\| (-+|promise) /.test(line));
const proofs = rows.flatMap((row) =>
  [...plain(row).matchAll(/`(test\/[^`]+)`((?:,? (?:'[^']{8,}?'|`[A-Z]+`)(?=[ ,;|]))*)/g)].map(([, file, titles]) => ({
    file: file!,
    titles: [...titles!.matchAll(/'([^']+)'|`([A-Z]+)`/g)].map(([, title, name]) => title ?? name!),
  })),
);

it('every promise has a proof', () => {
  expect(rows.length).toBeGreaterThan(30);
  expect(rows.filter((row) => !row.split('|')[2]!.includes('`test/'))).toEqual([]);
  expect(proofs.filter(({ titles }) => titles.length === 0)).toEqual([]);
});

it.each(proofs)('$file has what the table names', ({ file, titles }) => {
  expect(existsSync(path.join(root, file))).toBe(true);
  const said = plain(readFileSync(path.join(root, file), 'utf8'));
  expect(titles.filter((title) => !said.includes(title))).toEqual([]);
});
