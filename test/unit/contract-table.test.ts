/** The tables of rules and their proofs name tests that are there: VCL's (test/contract/README.md), of every section, and of images. */
import { expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(__dirname, '../..');
const plain = (text: string) => text.replace(/\s+/g, ' ');
const table = readFileSync(path.join(root, 'test/contract/README.md'), 'utf8');
const images = readFileSync(path.join(root, 'lib/images/README.md'), 'utf8');
const proofs = [
  ...plain(`${table}\n${images}`).matchAll(/`(test\/[^`]*\.test\.ts)`((?:,? '[^']{8,}?'(?=[ ,;.|]))*)/g),
].map(([, file, titles]) => ({ file: file!, titles: [...titles!.matchAll(/'([^']+)'/g)].map(([, title]) => title!) }));

it('every section of the state machine has a proof', () => {
  const sections = [...table.matchAll(/^\| (2\.\d+) /gm)].map(([, section]) => section);
  expect(new Set(sections)).toEqual(new Set(Array.from({ length: 10 }, (_, index) => `2.${index + 1}`)));
});

it.each(proofs)('$file has the tests that the table names', ({ file, titles }) => {
  expect(existsSync(path.join(root, file))).toBe(true);
  const said = plain(readFileSync(path.join(root, file), 'utf8'));
  expect(titles.filter((title) => !said.includes(title))).toEqual([]);
});
