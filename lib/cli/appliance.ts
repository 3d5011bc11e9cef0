/** `provisiond appliance`: named sets of VMs, and the operations on them. */
import { type Command, InvalidArgumentError } from 'commander';
import type { App } from './app';
import { EXIT, type ExitCode } from './exit-codes';
import { type Execute, addVerb, machineName, wholeNumber } from './verb';
import { watchOperation } from './vm-watch';
import type { ApplianceDetails } from '../store/instance-store';
import { askedBy } from './asked-by';

interface AskOptions {
  readonly vms?: string[];
  readonly update?: true;
  readonly requireQuiesce?: true;
  readonly oneMoment?: true;
  readonly acknowledgeDiscard?: string[];
  readonly compress?: true;
  readonly systemOnly?: true;
  readonly timeout?: number;
  readonly dryRun?: true;
  readonly key?: string;
  readonly by?: string;
  readonly wait: boolean;
}

export function addApplianceVerbs(program: Command, execute: Execute): void {
  const appliance = program
    .command('appliance')
    .description('named sets of VMs, which are captured as images and deployed together');
  addEntryVerbs(appliance, execute);
  addShowVerbs(appliance, execute);
  addCaptureVerb(appliance, execute);
  addDeployVerb(appliance, execute);
}

function addEntryVerbs(appliance: Command, execute: Execute): void {
  const add = (name: string, about: string) =>
    addVerb(appliance, name, { about, examples: [`appliance ${name} shop${name === 'create' ? '' : ' vm1 vm2'}`] });
  add('create', 'make an appliance, without VMs or with some')
    .argument('<name>', 'what to call it', applianceName)
    .argument('[computers...]', 'names of VMs', each(machineName))
    .action((name: string, computers: string[], _options: object, command: Command) =>
      execute(command, async (app) => {
        const frontEnd = await app.frontEnd();
        await frontEnd.createAppliance(name);
        await frontEnd.addToAppliance(name, computers);
        await show(app, name);
      }),
    );
  add('add', 'put VMs into it; a VM is in one appliance at most')
    .argument('<name>', 'which appliance', applianceName)
    .argument('<computers...>', 'names of VMs', each(machineName))
    .action((name: string, computers: string[], _options: object, command: Command) =>
      execute(command, async (app) => {
        await (await app.frontEnd()).addToAppliance(name, computers);
        await show(app, name);
      }),
    );
  add('remove', 'take VMs out of it; the VMs stay')
    .argument('<name>', 'which appliance', applianceName)
    .argument('<computers...>', 'names of VMs', each(machineName))
    .action((name: string, computers: string[], _options: object, command: Command) =>
      execute(command, async (app) => {
        await (await app.frontEnd()).removeFromAppliance(name, computers);
        await show(app, name);
      }),
    );
}

function addShowVerbs(appliance: Command, execute: Execute): void {
  addVerb(appliance, 'list', { about: 'all appliances', examples: ['appliance list'] }).action(
    (_options: object, command: Command) =>
      execute(command, async (app) => {
        const all = await (await app.frontEnd()).listAppliances();
        const rows = all.map(({ name, vms, created }) => {
          return [name, vms.map(({ computer }) => computer).join(' '), vms.filter((vm) => vm.deployed).length, created];
        });
        app.print.result(all, () =>
          rows.length > 0 ? app.print.table(['APPLIANCE', 'VMS', 'DEPLOYED', 'CREATED'], rows) : 'none',
        );
      }),
  );
  addVerb(appliance, 'show', { about: 'the VMs of an appliance', examples: ['appliance show shop'] })
    .argument('<name>', 'which appliance', applianceName)
    .action((name: string, _options: object, command: Command) => execute(command, (app) => show(app, name)));
  addVerb(appliance, 'delete', { about: 'forget an appliance; its VMs stay', examples: ['appliance delete shop'] })
    .argument('<name>', 'which appliance', applianceName)
    .action((name: string, _options: object, command: Command) =>
      execute(command, async (app) => {
        await (await app.frontEnd()).deleteAppliance(name);
        app.print.result({ appliance: name }, () => `appliance ${name} is deleted; its VMs stay`);
      }),
    );
}

async function show(app: App, name: string): Promise<void> {
  const details = await (await app.frontEnd()).showAppliance(name);
  app.print.result(details, () => describe(app, details));
}

function describe(app: App, { name, vms }: ApplianceDetails): string {
  if (vms.length === 0) return `appliance ${name} has no VMs`;
  const rows = vms.map((vm) => [vm.computer, vm.deployed ? 'yes' : 'no', vm.powerState, vm.image]);
  return app.print.table(['COMPUTER', 'DEPLOYED', 'POWER', 'IMAGE'], rows);
}

function addCaptureVerb(appliance: Command, execute: Execute): void {
  const verb = addVerb(appliance, 'capture', {
    about: 'make images of its VMs, all or none, running or not, and undeploy it',
    examples: [
      'appliance capture shop --dry-run',
      'appliance capture shop --vms vm1 --acknowledge-discard vm2 --update',
    ],
  })
    .argument('<name>', 'which appliance', applianceName)
    .option('--vms <names>', 'only these, with commas between; default: all', names)
    .option(
      '--update',
      'make the appliance of the new images, and delete those that it was made of, unless others need them',
    )
    .option('--require-quiesce', 'fail when the agent of a guest that runs cannot make it write all to its disks')
    .option('--one-moment', 'let all guests stand still while the copies begin, so that all are of one moment')
    .option('--acknowledge-discard <names>', 'VMs that are not captured, whose changes are lost', names)
    .option('--compress', 'compress the images (zstd): slower to make, smaller')
    .option('--system-only', 'leave data volumes out')
    .option('--timeout <seconds>', 'how long guests get to shut down at the end', wholeNumber(1, 86_400))
    .option('--dry-run', 'tell what would be done, and leave it at that');
  addAskOptions(verb).action((name: string, options: AskOptions, command: Command) =>
    execute(command, (app) => ask(app, 'capture_instances', name, options)),
  );
}

function addDeployVerb(appliance: Command, execute: Execute): void {
  const verb = addVerb(appliance, 'deploy', {
    about: 'start its VMs that are off, also those that were undeployed',
    examples: ['appliance deploy shop'],
  })
    .argument('<name>', 'which appliance', applianceName)
    .option('--vms <names>', 'only these, with commas between; default: all', names);
  addAskOptions(verb).action((name: string, options: AskOptions, command: Command) =>
    execute(command, (app) => ask(app, 'deploy_appliance', name, options)),
  );
}

function addAskOptions(verb: Command): Command {
  return verb
    .option('--no-wait', 'do not watch it: it goes on by itself')
    .option('--key <text>', 'ask for it once, however often this command is run with that key')
    .option('--by <name>', 'who asks for it; default: you');
}

async function ask(app: App, kind: string, name: string, options: AskOptions): Promise<ExitCode> {
  const { vms, acknowledgeDiscard, timeout } = options;
  const flags = ['update', 'requireQuiesce', 'oneMoment', 'compress', 'systemOnly', 'dryRun'] as const;
  const frontEnd = await app.frontEnd();
  await frontEnd.showAppliance(name); // a name that nobody knows is told at once, also when no daemon runs
  const asked = await frontEnd.addOperation({
    kind,
    computer: null,
    arguments: {
      appliance: name,
      ...(vms && { vms }),
      ...(acknowledgeDiscard && { acknowledgeDiscard }),
      ...(timeout !== undefined && { timeoutSeconds: timeout }),
      ...Object.fromEntries(flags.flatMap((flag) => (options[flag] ? [[flag, true]] : []))),
    },
    requestedBy: askedBy(options.by),
    ...(options.key !== undefined && { idempotencyKey: options.key }),
  });
  if (options.wait) return watchOperation(app, asked.id);
  app.print.result(asked, () => `operation ${asked.id}: ${kind} of ${name} is ${asked.state}`);
  return EXIT.ok;
}

function applianceName(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}$/.test(text)) return text;
  throw new InvalidArgumentError(
    'It must begin with a letter or digit; letters, digits, blanks and . _ - follow, 60 in all.',
  );
}

/** `vm1,vm2` */
function names(text: string): string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
    .map(machineName);
}

/** For arguments that may be given several times. */
function each(read: (text: string) => string): (text: string, before: string[] | undefined) => string[] {
  return (text, before = []) => [...before, read(text)];
}
