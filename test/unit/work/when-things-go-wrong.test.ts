/** The operator's chapter of lib/work/README.md: each heading names the test that does it, and the test is there. */
import { describe, expect, it } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(__dirname, '../../..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8').replace(/\s+/g, ' ');
const headings = readFileSync(path.join(root, 'lib/work/README.md'), 'utf8')
  .split('\n## When things go wrong')[1]!
  .split('\n## ')[0]!
  .split('\n### ')
  .slice(1)
  .map((text) => ({ title: text.split('\n')[0]!, text: text.replace(/\s+/g, ' ') }));

describe("a heading of 'When things go wrong'", () => {
  it('is there for each fault', () => {
    expect(headings.length).toBeGreaterThan(15);
  });

  it.each(headings)("'$title' names its test, which is there", ({ text }) => {
    const files = [...text.matchAll(/`(test\/[^`]*\.test\.ts)`/g)].map(([, file]) => file!);
    expect(files).not.toEqual([]);
    expect(files.filter((file) => !existsSync(path.join(root, file)))).toEqual([]);
    const titles = [...text.matchAll(/(?<= )'([^']{8,})'(?=[ .,;])/g)].map(([, title]) => title!);
    const said = files.map(read).join(' ');
    expect(titles.filter((title) => !said.includes(title))).toEqual([]);
  });
});

it('every file of fault tests is named there, or in the list of faults', () => {
  const faults = readdirSync(path.join(root, 'test/faults'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.test.ts'),
  );
  const list = read('test/faults/README.md');
  expect(faults.filter((file) => !list.includes(file))).toEqual([]);
});
