/** `provisiond extend`: more time. */
import type { Command } from 'commander';
import type { App } from './app';
import { type Execute, addVerb, wholeNumber } from './verb';

export function addExtendVerb(program: Command, execute: Execute): void {
  addVerb(program, 'extend', {
    about: 'give a reservation more time',
    examples: ['extend 12 --minutes 30'],
  })
    .argument('<request>', 'number of the request', wholeNumber(1))
    .requiredOption('--minutes <n>', 'how much later it is to end', wholeNumber(1, 60 * 24 * 365))
    .action((request: number, { minutes }: { minutes: number }, command: Command) =>
      execute(command, (app) => extend(app, request, minutes)),
    );
}

async function extend(app: App, requestId: number, minutes: number): Promise<void> {
  const end = await (await app.frontEnd()).extend(requestId, minutes);
  app.print.result({ requestId, end }, () => `request ${requestId} ends at ${end}`);
}
