/** `provisiond recover`: the operator's way out, in every state of a request. */
import { type Command, Option } from 'commander';
import { ProvisiondError } from '../errors';
import type { Recovery, RecoveryKind } from '../store/front-end';
import type { App } from './app';
import { EXIT, type ExitCode } from './exit-codes';
import { type Execute, addVerb, wholeNumber } from './verb';

interface RecoverOptions {
  readonly retry?: true;
  readonly fail?: true;
  readonly release?: true;
  readonly yes?: true;
}

export function addRecoverVerb(program: Command, execute: Execute): void {
  addVerb(program, 'recover', {
    about: 'get a request out of whatever it is stuck in; says what it would do, and does it with --yes',
    examples: ['recover 12 --retry', 'recover 12 --release --yes'],
  })
    .argument('<request>', 'number of the request', wholeNumber(1))
    .addOption(new Option('--retry', 'work it once more').conflicts(['fail', 'release']))
    .addOption(new Option('--fail', 'end it as failed, and keep its computer as it is').conflicts(['retry', 'release']))
    .addOption(new Option('--release', 'clear its computer and remove it').conflicts(['retry', 'fail']))
    .option('--yes', 'do it')
    .action((request: number, options: RecoverOptions, command: Command) =>
      execute(command, (app) => recover(app, request, options)),
    );
}

async function recover(app: App, requestId: number, options: RecoverOptions): Promise<ExitCode> {
  const kind = (['retry', 'fail', 'release'] as const).find((name) => options[name]);
  if (kind === undefined) {
    const hint = 'Say which: --retry, --fail or --release';
    throw new ProvisiondError('REQUEST_INVALID', `nothing was said of what to do with request ${requestId}`, { hint });
  }
  const dryRun = options.yes !== true;
  const recovery = await (await app.frontEnd()).recover(requestId, kind, { dryRun });
  app.print.result({ ...recovery, done: !dryRun && recovery.to !== null }, () => describe(recovery, kind, dryRun));
  return EXIT.ok;
}

function describe({ requestId, from, to, says }: Recovery, kind: RecoveryKind, dryRun: boolean): string {
  const is = `request ${requestId} is ${from.state}/${from.lastState}`;
  if (to === null) return `${is}: ${says}; nothing to ${kind}`;
  const change = `${is}, ${dryRun ? 'and would become' : 'and became'} ${to.state}/${to.lastState}: ${says}`;
  return dryRun ? `${change}\nnothing was changed; --yes does it` : change;
}
