/** `provisiond log-level`: more or fewer lines about one request, while the daemon runs. */
import { type Command, Option } from 'commander';
import { LEVELS, readLevels, writeLevelOf } from '../log-levels';
import type { Level } from '../log-line';
import type { App } from './app';
import { type Execute, addVerb, wholeNumber } from './verb';

export function addLogLevelVerb(program: Command, execute: Execute): void {
  addVerb(program, 'log-level', {
    about: 'log more or less of one request, at once and without a restart; on the machine of the daemon',
    examples: ['log-level 12 --level debug', 'log-level 12', 'log-level'],
  })
    .argument('[request]', 'number of the request; left out: shows all that have a level of their own', wholeNumber(1))
    .addOption(new Option('--level <level>', 'left out: as all other requests again').choices(LEVELS))
    .action((request: number | undefined, { level }: { level?: Level }, command: Command) =>
      execute(command, (app) => {
        if (request === undefined) showLevels(app);
        else {
          writeLevelOf(app.config.stateDir, request, level ?? null);
          const says = level === undefined ? 'logged as all others' : `logged from ${level} on`;
          app.print.result({ request, level: level ?? null }, () => `request ${request} is ${says}`);
        }
        return Promise.resolve();
      }),
    );
}

function showLevels({ config, print }: App): void {
  const levels = [...readLevels(config.stateDir)].map(([request, level]) => ({ request, level }));
  print.result(levels, () =>
    levels.length === 0
      ? 'no request has a level of its own'
      : print.table(
          ['REQUEST', 'LEVEL'],
          levels.map(({ request, level }) => [request, level]),
        ),
  );
}
