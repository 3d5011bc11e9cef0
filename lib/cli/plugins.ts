/** `provisiond plugins`: every plugin file and what became of it. */
import type { Command } from 'commander';
import { PluginRegistry } from '../plugins/registry';
import type { Verdict } from '../plugins/loader';
import type { App } from './app';
import { EXIT, type ExitCode } from './exit-codes';
import { type Execute, addVerb } from './verb';

export function addPluginsVerb(program: Command, execute: Execute): void {
  addVerb(program, 'plugins', {
    about: 'list every driver and OS module, accepted or not, and why not',
    examples: ['plugins', 'plugins --json'],
  }).action((_options, command: Command) => execute(command, (app) => Promise.resolve(listPlugins(app))));
}

/** @returns failed when a file was rejected */
export function listPlugins(app: App): ExitCode {
  const { print } = app;
  const verdicts = readVerdicts(app);
  print.result(verdicts, () =>
    print.table(
      ['KIND', 'NAME', 'VERDICT', 'FILE', 'ABOUT'],
      verdicts.map(({ kind, name, accepted, file, description, reason }) => [
        kind,
        name,
        accepted ? { text: 'accepted', style: 'green' } : { text: 'rejected', style: 'red' },
        file,
        accepted ? description : reason,
      ]),
    ),
  );
  return verdicts.every(({ accepted }) => accepted) ? EXIT.ok : EXIT.failed;
}

/** The verdicts are the answer; the loader's own lines about them would say it twice. */
export function readVerdicts(app: App): readonly Verdict[] {
  return openPlugins(app).verdicts();
}

export function openPlugins(app: App): PluginRegistry {
  return new PluginRegistry(app.config, silentLog());
}

function silentLog() {
  const log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
  return log;
}
