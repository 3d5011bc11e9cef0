/** `provisiond plugins`: every plugin file and what became of it; the trial of a file; a skeleton for a new one. */
import { type Command, InvalidArgumentError } from 'commander';
import { PluginRegistry } from '../plugins/registry';
import type { Verdict } from '../plugins/loader';
import type { App } from './app';
import { EXIT, type ExitCode } from './exit-codes';
import { newPlugin } from './plugins-new';
import { testPlugin } from './plugins-test';
import { type Execute, addVerb } from './verb';

export function addPluginsVerb(program: Command, execute: Execute): void {
  addVerb(program, 'plugins', {
    about: 'list every driver and OS module, accepted or not, and why not',
    examples: [
      'plugins',
      'plugins --test ./my-driver.js',
      'plugins --new my-driver',
      'plugins --new my-os --os-module',
    ],
  })
    .option('--test <file>', 'say what is wrong with a plugin file, without using it')
    .option('--new <name>', 'write a skeleton of a driver to NAME.js', pluginName)
    .option('--os-module', 'with --test or --new: an OS module, no driver')
    .action((options: PluginsOptions, command: Command) =>
      execute(command, async (app) => {
        const kind = options.osModule ? 'os-module' : undefined;
        if (options.new !== undefined) return newPlugin(app, options.new, kind ?? 'driver');
        if (options.test !== undefined) return testPlugin(app, options.test, kind);
        return listPlugins(app);
      }),
    );
}

interface PluginsOptions {
  readonly test?: string;
  readonly new?: string;
  readonly osModule?: boolean;
}

function pluginName(text: string): string {
  if (/^[a-z][a-z0-9-]{0,31}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be lower case letters, digits and hyphens, a letter first.');
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

export function silentLog() {
  const log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
  return log;
}
