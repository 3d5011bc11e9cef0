/** `provisiond vm`: asks for operations on VMs by rows of the inbox, watches them, and shows what is known of VMs. */
import { type Command, Option } from 'commander';
import { ProvisiondError } from '../errors';
import { CRASH_POLICIES, type CrashPolicy } from '../model/vm-rules';
import { KINDS } from '../operations';
import type { OperationKind } from '../operations/kind';
import type { NewOperation } from '../store/vm-front-end';
import type { App } from './app';
import { askedBy } from './asked-by';
import { EXIT, type ExitCode } from './exit-codes';
import { type Execute, addVerb, machineName, wholeNumber } from './verb';
import { describeOperation, describeVm, operationTable, vmTable } from './vm-report';
import { watchOperation } from './vm-watch';

interface AskOptions {
  readonly paused?: true;
  readonly coreDump?: true;
  readonly timeout?: number;
  readonly snapshot?: string;
  readonly description?: string;
  readonly volume?: string;
  readonly type?: string;
  readonly image?: string;
  readonly iso?: string;
  readonly size?: number;
  readonly hard?: true;
  readonly discardState?: true;
  readonly dryRun?: true;
  readonly base?: string;
  readonly stop?: true;
  readonly parallel?: number;
  readonly canary?: true;
  readonly key?: string;
  readonly by?: string;
  readonly wait: boolean;
}

export function addVmVerbs(program: Command, execute: Execute): void {
  const vm = program
    .command('vm')
    .description('the power of VMs, their snapshots, what they are made of, and what is allowed now');
  for (const kind of KINDS.values()) if (kind.subject === 'vm') addKindVerb(vm, execute, kind);
  addShowVerbs(vm, execute);
  addOperationVerbs(vm, execute);
  addSettingVerbs(vm, execute);
}

/** Each kind is a verb; its options are those that its example has. */
function addKindVerb(vm: Command, execute: Execute, kind: OperationKind): void {
  const has = (name: string) => Object.hasOwn(kind.example as object, name);
  const named = has('snapshot')
    ? ' --snapshot before-the-upgrade'
    : has('volume')
      ? ` --volume home${has('sizeMiB') ? ' --size 10240' : ''}`
      : has('base')
        ? ' --base vm3'
        : '';
  const verb = addVerb(vm, kind.name, { about: kind.about, examples: [`vm ${kind.name} vm1${named}`] })
    .argument('<computer>', 'name of the VM', machineName)
    .option('--no-wait', 'do not watch it: it goes on by itself')
    .option('--key <text>', 'ask for it once, however often this command is run with that key')
    .option('--by <name>', 'who asks for it; default: you');
  if (has('paused')) verb.option('--paused', 'leave its processors stopped');
  if (has('timeoutSeconds')) verb.option('--timeout <seconds>', 'how long the guest gets', wholeNumber(1, 86_400));
  if (has('coreDump')) verb.option('--core-dump', 'keep the memory of a guest that crashed, beside its disks');
  if (has('snapshot')) verb.requiredOption('--snapshot <name>', 'which snapshot');
  if (has('volume')) verb.requiredOption('--volume <name>', 'which volume');
  if (has('type')) verb.addOption(new Option('--type <type>', 'what it is for').choices(['data', 'temporary']));
  if (has('image')) verb.option('--image <name>', 'another image, by its pretty name or that of its files');
  if (has('iso')) verb.option('--iso <file>', 'an ISO image of the datastore');
  if (has('sizeMiB')) verb.option('--size <MiB>', 'how large the volume is to be', wholeNumber(1, 8 << 20));
  if (has('hard')) verb.option('--hard', 'pull the plug when the guest does not obey');
  if (has('discardState')) verb.option('--discard-state', 'discard the saved memory of a suspended VM');
  if (has('base')) verb.requiredOption('--base <computer>', 'the VM that is the base', machineName);
  if (has('stop')) verb.option('--stop', 'shut a guest that runs down, and start it again');
  if (has('parallel')) verb.option('--parallel <n>', 'how many at a time; default: 2', wholeNumber(1, 50));
  if (has('canary')) verb.option('--canary', 'one first, the others only when that went well');
  if (has('dryRun')) verb.option('--dry-run', 'tell what would be done, and leave it at that');
  if (has('name')) verb.option('--snapshot <name>', 'what to call it').option('--description <text>', 'what for');
  verb.action((computer: string, options: AskOptions, command: Command) =>
    execute(command, (app) => ask(app, { kind, computer, options })),
  );
}

async function ask(app: App, wish: { kind: OperationKind; computer: string; options: AskOptions }): Promise<ExitCode> {
  const { kind, computer, options } = wish;
  const {
    paused,
    coreDump,
    timeout,
    snapshot,
    description,
    key,
    size,
    volume,
    type,
    image,
    iso,
    hard,
    discardState,
    dryRun,
  } = options;
  const { base, stop, parallel, canary } = options;
  const isTaken = Object.hasOwn(kind.example as object, 'name');
  const operation: NewOperation = {
    kind: kind.name,
    computer,
    arguments: {
      ...(paused && { paused }),
      ...(coreDump && { coreDump }),
      ...(timeout !== undefined && { timeoutSeconds: timeout }),
      ...(snapshot !== undefined && { [isTaken ? 'name' : 'snapshot']: snapshot }),
      ...(description !== undefined && { description }),
      ...(size !== undefined && { sizeMiB: size }),
      ...(volume !== undefined && { volume }),
      ...(type !== undefined && { type }),
      ...(image !== undefined && { image }),
      ...(iso !== undefined && { iso }),
      ...(hard && { hard }),
      ...(discardState && { discardState }),
      ...(dryRun && { dryRun }),
      ...(base !== undefined && { base }),
      ...(stop && { stop }),
      ...(parallel !== undefined && { parallel }),
      ...(canary && { canary }),
    },
    requestedBy: askedBy(options.by),
    ...(key !== undefined && { idempotencyKey: key }),
  };
  const frontEnd = await app.frontEnd();
  const asked = await frontEnd.addOperation(operation);
  if (!options.wait) {
    app.print.result(asked, () => `operation ${asked.id}: ${asked.kind} of ${asked.computer} is ${asked.state}`);
    return EXIT.ok;
  }
  return watchOperation(app, asked.id);
}

function addShowVerbs(vm: Command, execute: Execute): void {
  addVerb(vm, 'show', { about: 'what is known of a VM, and what is allowed now', examples: ['vm show vm1 --json'] })
    .argument('<computer>', 'name of the VM', machineName)
    .action((computer: string, _options: object, command: Command) =>
      execute(command, async (app) => {
        const details = await (await app.frontEnd()).showVm(computer);
        app.print.result(details, () => describeVm(details, app.print));
      }),
    );
  addVerb(vm, 'list', { about: 'all VMs and their power states', examples: ['vm list'] }).action(
    (_options: object, command: Command) =>
      execute(command, async (app) => {
        const vms = await (await app.frontEnd()).listVms();
        app.print.result(vms, () => vmTable(vms, app.print));
      }),
  );
}

function addOperationVerbs(vm: Command, execute: Execute): void {
  addVerb(vm, 'operations', { about: 'the newest operations', examples: ['vm operations'] })
    .option('--limit <n>', 'how many', wholeNumber(1, 1000), 20)
    .action(({ limit }: { limit: number }, command: Command) =>
      execute(command, async (app) => {
        const operations = await (await app.frontEnd()).listOperations(limit);
        app.print.result(operations, () => operationTable(operations, app.print));
      }),
    );
  addVerb(vm, 'operation', {
    about: 'one operation and its story',
    examples: ['vm operation 7', 'vm operation 7 --follow'],
  })
    .argument('<operation>', 'its number', wholeNumber(1))
    .option('--follow', 'go on until it is over')
    .action((id: number, { follow }: { follow?: true }, command: Command) =>
      execute(command, async (app) => {
        if (follow) return watchOperation(app, id);
        const frontEnd = await app.frontEnd();
        const operation = await frontEnd.showOperation(id);
        const story = await frontEnd.operationStory(id);
        app.print.result({ ...operation, story }, () => describeOperation(operation, story, app.print));
        return EXIT.ok;
      }),
    );
  addVerb(vm, 'cancel', { about: 'take an operation back', examples: ['vm cancel 7'] })
    .argument('<operation>', 'its number', wholeNumber(1))
    .action((id: number, _options: object, command: Command) =>
      execute(command, async (app) => {
        await (await app.frontEnd()).cancelOperation(id);
        return watchOperation(app, id, 'cancelled');
      }),
    );
}

function addSettingVerbs(vm: Command, execute: Execute): void {
  const kindOf = (name: string) => {
    if (KINDS.has(name)) return name;
    throw new ProvisiondError('OPERATION_INVALID', `there is no operation '${name}'`);
  };
  addVerb(vm, 'block', {
    about: 'let nobody begin an operation on a VM',
    examples: ["vm block vm1 start --reason 'moving'"],
  })
    .argument('<computer>', 'name of the VM', machineName)
    .argument('<operation>', 'which')
    .requiredOption('--reason <text>', 'what whoever tries is told')
    .action((computer: string, name: string, { reason }: { reason: string }, command: Command) =>
      execute(command, async (app) => {
        await (await app.frontEnd()).blockOperation(computer, kindOf(name), reason);
        app.print.result({ computer, operation: name, reason }, () => `${name} of ${computer} is blocked: ${reason}`);
      }),
    );
  addVerb(vm, 'unblock', { about: 'take a block back', examples: ['vm unblock vm1 start'] })
    .argument('<computer>', 'name of the VM', machineName)
    .argument('<operation>', 'which')
    .action((computer: string, name: string, _options: object, command: Command) =>
      execute(command, async (app) => {
        await (await app.frontEnd()).blockOperation(computer, kindOf(name), null);
        app.print.result({ computer, operation: name }, () => `${name} of ${computer} is not blocked`);
      }),
    );
  addVerb(vm, 'after-crash', {
    about: 'what follows when the guest crashes',
    examples: ['vm after-crash vm1 --policy restart'],
  })
    .argument('<computer>', 'name of the VM', machineName)
    .addOption(new Option('--policy <policy>', 'what').choices(CRASH_POLICIES).makeOptionMandatory())
    .action((computer: string, { policy }: { policy: CrashPolicy }, command: Command) =>
      execute(command, async (app) => {
        await (await app.frontEnd()).setAfterCrash(computer, policy);
        app.print.result({ computer, afterCrash: policy }, () => `${computer} after a crash: ${policy}`);
      }),
    );
}
