/** The program: all verbs, and what becomes of their errors. */
import { Command, CommanderError } from 'commander';
import { asProvisiondError } from '../errors';
import { App } from './app';
import { addApplianceVerbs } from './appliance';
import { addAuditVerbs } from './audit';
import { addBootVerbs } from './boot';
import { addCheckVerb } from './check';
import { addComputerVerbs } from './computer-add';
import { addConfigVerb } from './config';
import { addConnectVerb } from './connect';
import { addEndVerb } from './end';
import { EXIT, type ExitCode, exitCodeOf } from './exit-codes';
import { addExtendVerb } from './extend';
import { addHostVerbs } from './host-add';
import { addImageVerbs } from './image-add';
import { addImportVcldVerb } from './import-vcld';
import { addInitVerb } from './init';
import { addListVerbs } from './list';
import { addDoctorVerb } from './doctor';
import { addExplainVerb } from './explain';
import { addPlanVerb } from './plan';
import { addInstanceVerbs } from './instance';
import { addLogLevelVerb } from './log-level';
import { addManVerb } from './man';
import { addPluginsVerb } from './plugins';
import { Printer, type Streams } from './printer';
import { addRecoverVerb } from './recover';
import { addReserveVerb } from './reserve';
import { addRunVerb } from './run';
import { addShowVerb } from './show';
import type { Execute, Work } from './verb';
import { addVmVerbs } from './vm';
import { addVolumeVerbs } from './volume';

export interface ProgramOptions extends Streams {
  readonly version: string;
  readonly stopSignal: () => AbortSignal;
}

const ADD_VERBS = [
  addRunVerb,
  addInitVerb,
  addImportVcldVerb,
  addCheckVerb,
  addReserveVerb,
  addListVerbs,
  addShowVerb,
  addConnectVerb,
  addExtendVerb,
  addEndVerb,
  addHostVerbs,
  addComputerVerbs,
  addImageVerbs,
  addAuditVerbs,
  addRecoverVerb,
  addBootVerbs,
  addVmVerbs,
  addVolumeVerbs,
  addApplianceVerbs,
  addInstanceVerbs,
  addPluginsVerb,
  addConfigVerb,
  addDoctorVerb,
  addPlanVerb,
  addExplainVerb,
  addLogLevelVerb,
  addManVerb,
];

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
    await buildProgram(execute, options, args.includes('--json')).parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return reportUsage(error, args, options);
    throw error;
  }
}

function buildProgram(execute: Execute, options: ProgramOptions, json: boolean): Command {
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
  for (const add of ADD_VERBS) add(program, execute);
  return program;
}

async function executeVerb(command: Command, work: Work, options: ProgramOptions): Promise<ExitCode> {
  const { json, config } = command.optsWithGlobals<{ json?: true; config?: string }>();
  const print = new Printer(options, json === true);
  const { env, stopSignal, version } = options;
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
