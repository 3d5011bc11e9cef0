/** `provisiond end`: the web's End button. */
import type { Command } from 'commander';
import type { App } from './app';
import { EXIT, type ExitCode } from './exit-codes';
import { describeRest } from './rest';
import { type Execute, addVerb, wholeNumber } from './verb';
import { newestEventId, watchReservation } from './watch';

export function addEndVerb(program: Command, execute: Execute): void {
  addVerb(program, 'end', {
    about: 'end a reservation; the daemon then clears its computer',
    examples: ['end 12 --wait'],
  })
    .argument('<request>', 'number of the request', wholeNumber(1))
    .option('--wait', 'show the progress until it is over')
    .action((request: number, { wait }: { wait?: true }, command: Command) =>
      execute(command, (app) => endReservation(app, request, wait === true)),
    );
}

async function endReservation(app: App, requestId: number, wait: boolean): Promise<ExitCode> {
  const { print } = app;
  const frontEnd = await app.frontEnd();
  const lastEventId = wait ? newestEventId((await frontEnd.show(requestId)).timeline) : undefined;
  const result = await frontEnd.end(requestId);
  if (!wait || result === 'deleted') {
    const words = { deleted: 'was deleted before it began', ending: 'is being ended' };
    print.result({ requestId, result }, () => `request ${requestId} ${words[result]}`);
    return EXIT.ok;
  }
  const options = { print, signal: app.stopSignal, until: 'over', sinceEventId: lastEventId } as const;
  const watched = await watchReservation(frontEnd, requestId, options);
  if (watched.rest !== 'stopped') {
    print.result({ requestId, result: 'gone' }, () => `request ${requestId} is over`);
    return EXIT.ok;
  }
  const failure = describeRest(watched);
  print.result({ requestId, error: failure }, () => `${failure?.message}\n  hint: ${failure?.hint}`);
  return EXIT.failed;
}
