/** `provisiond config`: what is in force, and where it came from. */
import type { Command } from 'commander';
import { renderDefaults } from '../config/document';
import { SETTINGS, SETTING_KEYS, type Setting, type SettingKey, environmentName } from '../config/schema';
import type { App } from './app';
import { type Execute, addVerb } from './verb';

export function addConfigVerb(program: Command, execute: Execute): void {
  addVerb(program, 'config', {
    about: 'show the configuration in force and where each value came from',
    examples: ['config', 'config --defaults > /etc/provisiond/provisiond.yaml'],
  })
    .option('--defaults', 'print a configuration file with every key and its default')
    .action(({ defaults }: { defaults?: true }, command: Command) =>
      execute(command, (app) => Promise.resolve(defaults ? showDefaults(app) : showInForce(app))),
    );
}

function showDefaults(app: App): void {
  const text = renderDefaults();
  app.print.result({ file: text }, () => text.trimEnd());
}

function showInForce(app: App): void {
  const { print } = app;
  const { file } = app.loaded;
  const rows = SETTING_KEYS.map((key) => ({
    key,
    value: print.redaction.data(valueOf(app, key)),
    origin: app.loaded.origins.get(key) ?? 'default',
    variable: environmentName(key),
    about: (SETTINGS[key] as Setting<unknown>).about,
  })).filter(({ value }) => value !== undefined);
  print.result({ file, settings: rows }, () => {
    const table = print.table(
      ['KEY', 'VALUE', 'FROM'],
      rows.map(({ key, value, origin }) => [key, typeof value === 'string' ? value : JSON.stringify(value), origin]),
    );
    return `${file ?? 'no configuration file'}\n\n${table}`;
  });
}

/** Undefined for what only completes another setting. */
function valueOf(app: App, key: SettingKey): unknown {
  return key.split('.').reduce<unknown>((value, name) => (value as Record<string, unknown>)[name], app.config);
}
