#!/usr/bin/env node
/** Arguments, signals and exit codes; everything else is elsewhere. */
import fs from 'node:fs';
import path from 'node:path';
import { runProgram } from './cli/program';

/** The first signal asks for an end; the second one ends at once. */
function watchSignals(): AbortSignal {
  const stop = new AbortController();
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(128 + number);
      stop.abort(signal);
    });
  }
  return stop.signal;
}

/** From package.json, beside `dist/` or beside `lib/`. */
function readVersion(): string {
  const files = ['../../package.json', '../package.json'].map((file) => path.join(__dirname, file));
  const file = files.find((candidate) => fs.existsSync(candidate));
  if (file === undefined) return 'unknown';
  return (JSON.parse(fs.readFileSync(file, 'utf8')) as { version: string }).version;
}

let watched: AbortSignal | undefined;
// A reader that has seen enough (head, less) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

void runProgram(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  version: readVersion(),
  stopSignal: () => (watched ??= watchSignals()),
}).then((exitCode) => {
  process.exitCode = exitCode;
});
