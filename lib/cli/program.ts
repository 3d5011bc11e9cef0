/** The program: all verbs, and what becomes of their errors. */
import { Command, CommanderError } from 'commander';
import { asProvisiondError } from '../errors';
import type * as Apps from './app';
import { EXIT, type ExitCode, exitCodeOf } from './exit-codes';
import { Printer, type Streams } from './printer';
import type { Execute, Work } from './verb';
import { verbsFor } from './verbs';

export interface ProgramOptions extends Streams {
  readonly version: string;
  readonly stopSignal: () => AbortSignal;
}

/**
 * Runs the verb that the arguments name. Never throws.
 * @param args without the program's name
 */
export async function runProgram(args: readonly string[], options: ProgramOptions): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.ok;
  const execute: Execute = async (command, work) => {
    exitCode = await executeVerb(command, work, options);
  };
  try {
    await buildProgram(execute, options, args).parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return reportUsage(error, args, options);
    throw error;
  }
}

function buildProgram(execute: Execute, options: ProgramOptions, args: readonly string[]): Command {
  const json = args.includes('--json');
  const program = new Command('provisiond')
    .description('Turns reservation rows in a database into running virtual machines on libvirt hosts, and back.')
    .version(options.version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => options.stdout.write(text),
      writeErr: (text) => (json ? undefined : options.stderr.write(text)),
    })
    .addHelpText('after', '\nprovisiond VERB --help shows the options of a verb, and an example.')
    .showHelpAfterError('(provisiond --help lists the verbs)');
  for (const add of verbsFor(args[0])) add(program, execute);
  return program;
}

async function executeVerb(command: Command, work: Work, options: ProgramOptions): Promise<ExitCode> {
  const { json, config } = command.optsWithGlobals<{ json?: true; config?: string }>();
  const print = new Printer(options, json === true);
  const { env, stopSignal, version } = options;
  // Configuration and database are loaded for work only, not for help.
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const { App } = require('./app') as typeof Apps;
  const app = new App({ configFile: config, env, print, version, stopSignal });
  try {
    return (await work(app)) ?? EXIT.ok;
  } catch (thrown) {
    const error = asProvisiondError(thrown, `provisiond ${command.name()}`);
    print.error(error);
    return exitCodeOf(error);
  } finally {
    await app.close();
  }
}

/** commander has told people already; programs get their document. */
function reportUsage(error: CommanderError, args: readonly string[], options: ProgramOptions): ExitCode {
  if (error.exitCode === 0) return EXIT.ok;
  if (args.includes('--json')) {
    const message = error.message.replace(/^error: /, '');
    const hint = 'provisiond VERB --help shows how it is used';
    const document = { error: { code: 'USAGE', message, hint, blame: 'request' } };
    options.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
  }
  return EXIT.usage;
}
