/** `provisiond instance`: images that were made of the machines of appliances. */
import type { Command } from 'commander';
import type { App } from './app';
import { askedBy } from './asked-by';
import type { ExitCode } from './exit-codes';
import { type Execute, addVerb, wholeNumber } from './verb';
import { watchOperation } from './vm-watch';

export function addInstanceVerbs(program: Command, execute: Execute): void {
  const instance = program
    .command('instance')
    .description('images that were made of the VMs of appliances, each under its master');
  addVerb(instance, 'list', { about: 'all instances', examples: ['instance list'] }).action(
    (_options: object, command: Command) =>
      execute(command, async (app) => {
        const all = await (await app.frontEnd()).listInstances();
        const rows = all.map((one) => {
          const MiB = Math.ceil(one.files.reduce((sum, file) => sum + file.sizeBytes, 0) / 2 ** 20);
          return [one.prettyName, one.master, one.computer, one.consistency, one.moment, `${MiB} MiB`];
        });
        const heads = ['INSTANCE', 'MASTER', 'OF VM', 'CONSISTENCY', 'MOMENT', 'SIZE'];
        app.print.result(all, () => (rows.length > 0 ? app.print.table(heads, rows) : 'none'));
      }),
  );
  addEditVerb(instance, execute);
  addPromoteVerb(instance, execute);
  addDeleteVerb(instance, execute, 'instance');
}

function addPromoteVerb(instance: Command, execute: Execute): void {
  addVerb(instance, 'promote', {
    about: 'copy an instance to an image of its own, a master that depends on nothing',
    examples: ['instance promote "Debian 12-0b5e4c1a-7f3d-8c52-9a61-1d2e3f405162" --name "Web shop"'],
  })
    .argument('<instance>', 'its name, or that of its files')
    .requiredOption('--name <pretty name>', 'what users see')
    .action((name: string, options: { name: string }, command: Command) =>
      execute(command, (app) => ask(app, 'promote_instance', { instance: name, name: options.name })),
    );
}

/** @param what `image`: the same for a master */
export function addDeleteVerb(parent: Command, execute: Execute, what: 'instance' | 'image'): void {
  addVerb(parent, 'delete', {
    about: `delete an ${what} that nothing needs: no VM, no request, no instance under it`,
    examples: [`${what} delete "Debian 12"`],
  })
    .argument(`<${what}>`, 'its name, or that of its files')
    .action((name: string, _options: object, command: Command) =>
      execute(command, (app) => ask(app, 'delete_image', { image: name })),
    );
}

async function ask(app: App, kind: string, wish: object): Promise<ExitCode> {
  const frontEnd = await app.frontEnd();
  const asked = await frontEnd.addOperation({ kind, computer: null, arguments: wish, requestedBy: askedBy(undefined) });
  return watchOperation(app, asked.id);
}

interface EditOptions {
  readonly name?: string;
  readonly description?: string;
  readonly ram?: number;
  readonly cpus?: number;
}

function addEditVerb(instance: Command, execute: Execute): void {
  addVerb(instance, 'edit', {
    about: 'change what is written of an instance; its master stays as it is',
    examples: ['instance edit "Debian 12-0b5e4c1a-7f3d-8c52-9a61-1d2e3f405162" --description "before the upgrade"'],
  })
    .argument('<instance>', 'its name, or that of its files')
    .option('--name <pretty name>', 'what users see')
    .option('--description <text>', 'what it is for')
    .option('--ram <mib>', 'least memory of a computer for it', wholeNumber(1))
    .option('--cpus <n>', 'least processors of a computer for it', wholeNumber(1, 1024))
    .action((name: string, { name: prettyName, description, ram, cpus }: EditOptions, command: Command) =>
      execute(command, async (app) => {
        await (
          await app.frontEnd()
        ).editInstance(name, {
          ...(prettyName !== undefined && { prettyName }),
          ...(description !== undefined && { description }),
          ...(ram !== undefined && { ramMiB: ram }),
          ...(cpus !== undefined && { cpus }),
        });
        app.print.result({ instance: prettyName ?? name }, () => `instance ${prettyName ?? name} is changed`);
      }),
    );
}
