/** `provisiond reserve`: the rows that the web's "New Reservation" inserts. */
import os from 'node:os';
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import type { FrontEnd } from '../store/front-end';
import type { App } from './app';
import type { ExitCode } from './exit-codes';
import { EXIT } from './exit-codes';
import { describeReservation, reportRest } from './reservation-report';
import { type Execute, addVerb, wholeNumber } from './verb';
import { watchReservation } from './watch';

interface ReserveOptions {
  readonly image: string;
  readonly user: string;
  readonly start?: string;
  readonly minutes: number;
  readonly computer?: string;
  readonly wait?: true;
}

export function addReserveVerb(program: Command, execute: Execute): void {
  addVerb(program, 'reserve', {
    about: 'reserve a computer with an image on it',
    examples: ['reserve --image debian12 --user ada --minutes 120 --wait'],
  })
    .requiredOption('--image <name>', 'image, by its name or the base name of its files')
    .option('--user <login>', 'for whom', os.userInfo().username)
    .option('--start <time>', '"YYYY-MM-DD HH:MM", in the time of the database; default: now', startTime)
    .option('--minutes <n>', 'for how long', wholeNumber(1, 60 * 24 * 365), 60)
    .option('--computer <name>', 'this computer instead of any that is free')
    .option('--wait', 'show the progress until it is ready or has failed')
    .action((options: ReserveOptions, command: Command) => execute(command, (app) => reserve(app, options)));
}

async function reserve(app: App, options: ReserveOptions): Promise<ExitCode> {
  const { print } = app;
  const frontEnd = await app.frontEnd();
  await ensureLocalUser(app, frontEnd, options.user);
  const { image, user, minutes, computer } = options;
  const { requestId } = await frontEnd.addReservation({
    image,
    user,
    minutes,
    start: options.start ?? null,
    ...(computer === undefined ? {} : { computer }),
  });
  if (!options.wait) {
    const details = await frontEnd.show(requestId);
    print.result(details, () => describeReservation(details, print));
    return EXIT.ok;
  }
  print.line(`request ${print.paint('bold', String(requestId))}: waiting until it is ready`);
  const watched = await watchReservation(frontEnd, requestId, { print, signal: app.stopSignal, until: 'rest' });
  return reportRest(watched, print);
}

/** An embedded database has no web front end that would make its users. */
async function ensureLocalUser(app: App, frontEnd: FrontEnd, login: string): Promise<void> {
  if (app.config.database.startsWith('sqlite:')) await frontEnd.ensureUser(login);
}

function startTime(text: string): string {
  if (/^\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?$/.test(text) && !Number.isNaN(Date.parse(text))) return text;
  throw new InvalidArgumentError('It must look like "2026-01-31 14:30".');
}
