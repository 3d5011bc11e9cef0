/** `provisiond man`: the manual page, from the verbs themselves, so that it says what this version does. */
import type { Command } from 'commander';
import { SETTING_KEYS, type Setting, SETTINGS, environmentName } from '../config/schema';
import { EXIT } from './exit-codes';
import { type Execute, addVerb, examplesOf } from './verb';

export function addManVerb(program: Command, execute: Execute): void {
  addVerb(program, 'man', { about: 'print the manual page in the language of man', examples: ['man'] }).action(
    (_options, command: Command) =>
      execute(command, (app) => {
        const page = manualPage(program, app.version);
        app.print.result({ page }, () => page.trimEnd());
        return Promise.resolve();
      }),
  );
}

const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'It is done.',
  failed: 'It failed.',
  usage: 'The command line cannot be used.',
  notFound: 'What it names is not there.',
  conflict: 'Something else stands in the way.',
  tryAgain: 'The same may well succeed a little later.',
  configuration: 'The configuration has to be mended first.',
};

/** @returns roff for man(7) */
export function manualPage(program: Command, version: string): string {
  const verbs = leaves(program);
  return [
    `.TH PROVISIOND 8 "" "provisiond ${quoted(version)}" "System administration"`,
    section('NAME', [`provisiond \\- ${roff(lowerFirst(program.description()).replace(/\.$/, ''))}`]),
    section('SYNOPSIS', ['.B provisiond', '.I VERB', '[\\fIoptions\\fR]']),
    section('DESCRIPTION', [
      'A daemon that looks at the inbox of a management node, which is a SQL database with the tables of Apache VCL, and',
      'the commands around it. Every verb has \\-\\-json and \\-\\-help.',
    ]),
    section('VERBS', verbs.flatMap(verbLines)),
    section('CONFIGURATION', configurationLines()),
    section('SIGNALS', [
      ...tagged('SIGTERM, SIGINT', 'Takes up nothing more, ends at the next step border; the next start goes on.'),
      ...tagged('SIGHUP', 'Reads the configuration again and opens the log file anew.'),
    ]),
    section(
      'EXIT STATUS',
      Object.entries(EXIT).flatMap(([name, code]) => tagged(String(code), EXIT_MEANINGS[name as keyof typeof EXIT])),
    ),
    section('SEE ALSO', ['.BR virsh (1),', '.BR systemctl (1),', '.BR qemu-img (1)']),
  ].join('\n');
}

interface Leaf {
  readonly command: Command;
  readonly path: string;
}

/** The verbs that do something, with the names above them. */
function leaves(command: Command, path = ''): Leaf[] {
  return command.commands.flatMap((child) => {
    const whole = `${path}${child.name()}`;
    if (child.name() === 'help') return [];
    return child.commands.length > 0 ? leaves(child, `${whole} `) : [{ command: child, path: whole }];
  });
}

function verbLines({ command, path }: Leaf): string[] {
  const args = command.registeredArguments.map((one) => (one.required ? `<${one.name()}>` : `[${one.name()}]`));
  const explained = command.registeredArguments
    .filter(({ description }) => description !== '')
    .flatMap((argument) => tagged(argument.name(), argument.description));
  const options = command.options.flatMap(({ flags, description }) => tagged(flags, description));
  const examples = examplesOf(command).map((example) => `provisiond ${example}`);
  return [
    `.SS provisiond ${roff([path, ...args].join(' '))}`,
    roff(command.description()),
    ...explained,
    ...options,
    ...(examples.length > 0 ? ['.PP', 'Example:', '.PP', '.nf', '.RS', ...examples.map(roff), '.RE', '.fi'] : []),
  ];
}

function configurationLines(): string[] {
  return [
    'Read from the file that \\-\\-config or PROVISIOND_CONFIG names, else from /etc/provisiond/provisiond.yaml.',
    ...SETTING_KEYS.flatMap((key) => {
      const { about, expects } = SETTINGS[key] as Setting<unknown>;
      return tagged(`${key}, ${environmentName(key)}`, `${about} ${expects[0]!.toUpperCase()}${expects.slice(1)}.`);
    }),
  ];
}

function section(title: string, lines: readonly string[]): string {
  return [`.SH ${title}`, ...lines].join('\n');
}

function tagged(tag: string, text: string): string[] {
  return ['.TP', `.B ${roff(tag)}`, roff(text)];
}

/** No backslash, no hyphen that a reader could not copy, and no line that begins as a request. */
function roff(text: string): string {
  return text
    .replace(/\\/g, '\\e')
    .replace(/-/g, '\\-')
    .replace(/^([.'])/gm, '\\&$1');
}

const quoted = (text: string): string => roff(text).replace(/"/g, '');
const lowerFirst = (text: string): string => text[0]!.toLowerCase() + text.slice(1);
