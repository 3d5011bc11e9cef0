/** A verb is loaded when it is called for: each alone, and all of them for the help. */
import { describe, expect, it } from '@jest/globals';
import { Command } from 'commander';
import { verbsFor } from '../../../lib/cli/verbs';

const execute = async () => {};

function namesAddedFor(name: string | undefined): string[] {
  const program = new Command('provisiond');
  for (const add of verbsFor(name)) add(program, execute);
  return program.commands.map((command) => command.name());
}

describe('a command line', () => {
  const all = namesAddedFor(undefined);

  it('that names a verb loads that one, under the very name by which it is called', () => {
    for (const name of all.filter((one) => one !== 'man')) {
      const added = namesAddedFor(name);
      expect(added).toContain(name);
      expect(added.length).toBeLessThanOrEqual(2); // a file may add two
    }
  });

  it('that asks for help, for the manual page, or makes a slip has all of them at hand', () => {
    for (const name of ['--help', 'help', 'man', 'shwo', '--json']) expect(namesAddedFor(name)).toEqual(all);
    expect(new Set(all).size).toBe(all.length);
  });
});
