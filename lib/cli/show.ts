/** `provisiond show`: one reservation and its story. */
import type { Command } from 'commander';
import type { App } from './app';
import { EXIT, type ExitCode } from './exit-codes';
import { describeReservation, reportRest } from './reservation-report';
import { timelineLines } from './timeline';
import { type Execute, addVerb, wholeNumber } from './verb';
import { watchReservation } from './watch';

export function addShowVerb(program: Command, execute: Execute): void {
  addVerb(program, 'show', {
    about: 'show a reservation, the steps taken for it with their times, and what went wrong',
    examples: ['show 12', 'show 12 --follow'],
  })
    .argument('<request>', 'number of the request', wholeNumber(1))
    .option('--follow', 'go on until it is ready, has failed or is over')
    .action((request: number, { follow }: { follow?: true }, command: Command) =>
      execute(command, (app) => (follow ? followRequest(app, request) : showRequest(app, request))),
    );
}

async function showRequest(app: App, request: number): Promise<ExitCode> {
  const { print } = app;
  const details = await (await app.frontEnd()).show(request);
  print.result(details, () => {
    const story = details.timeline.flatMap((entry) => timelineLines(entry, print));
    return [describeReservation(details, print), ...(story.length > 0 ? ['', ...story] : [])].join('\n');
  });
  return EXIT.ok;
}

async function followRequest(app: App, request: number): Promise<ExitCode> {
  const { print, stopSignal: signal } = app;
  const watched = await watchReservation(await app.frontEnd(), request, { print, signal, until: 'rest' });
  return reportRest(watched, print);
}
