/** `provisiond boot`: how the guests of a computer, an image or a VM profile boot. */
import { Argument, type Command } from 'commander';
import { ProvisiondError } from '../errors';
import { KERNEL_FOLDERS, planBoot } from '../libvirt/boot-plan';
import { BOOT_FIELDS, type BootParameters } from '../model/boot';
import type { BootOwner } from '../store/front-end';
import type { App } from './app';
import { type Execute, addVerb } from './verb';

const OWNERS: readonly BootOwner[] = ['computer', 'image', 'profile'];

export function addBootVerbs(program: Command, execute: Execute): void {
  const boot = program.command('boot').description('how guests boot, where it is not the way of their hypervisor');
  const owner = () => new Argument('<kind>', 'what the name is of').choices(OWNERS);
  addVerb(boot, 'set', {
    about: `say how they boot, by ${BOOT_FIELDS.join(', ')}`,
    examples: [
      'boot set image "Debian 12" pvKernel=/boot/guest/vmlinuz pvRamdisk=/boot/guest/initrd pvArgs="root=/dev/xvda1 ro"',
      'boot set computer vm1 hvmPolicy="BIOS order" hvmOrder=dc',
    ],
  })
    .addArgument(owner())
    .argument('<name>', 'name of the computer, image or VM profile')
    .argument('<field=value...>', 'all that is to be known; what was set before is forgotten')
    .action((kind: BootOwner, name: string, fields: string[], _options, command: Command) =>
      execute(command, (app) => setBoot(app, kind, name, fields)),
    );
  addVerb(boot, 'clear', { about: 'leave it to the hypervisor again', examples: ['boot clear computer vm1'] })
    .addArgument(owner())
    .argument('<name>', 'name of the computer, image or VM profile')
    .action((kind: BootOwner, name: string, _options, command: Command) =>
      execute(command, async (app) => {
        await (await app.frontEnd()).putBoot(kind, name, null);
        app.print.result({ kind, name }, () => `${kind} ${name} boots as its hypervisor does`);
      }),
    );
  addVerb(boot, 'show', { about: 'show what was said', examples: ['boot show'] }).action((_options, command: Command) =>
    execute(command, async (app) => {
      const entries = await (await app.frontEnd()).listBoot();
      const rows = entries.map(({ kind, name, parameters }) => [kind, name, describe(parameters)]);
      app.print.result(entries, () => app.print.table(['KIND', 'NAME', 'PARAMETERS'], rows));
    }),
  );
}

async function setBoot(app: App, kind: BootOwner, name: string, fields: readonly string[]): Promise<void> {
  const parameters = readFields(fields);
  const verbs = await app.frontEnd();
  const datastores = (await verbs.listHosts()).map(({ facts }) => facts.profile.datastorePath);
  planBoot(parameters, [...new Set(datastores), ...KERNEL_FOLDERS]);
  await verbs.putBoot(kind, name, parameters);
  app.print.result({ kind, name, parameters }, () => `${kind} ${name} boots with ${describe(parameters)}`);
}

/** @throws BOOT_INVALID for a field that does not exist */
function readFields(fields: readonly string[]): BootParameters {
  const entries = fields.map((field) => {
    const [, name = field, value = ''] = /^([^=]*)=(.*)$/s.exec(field) ?? [];
    if ((BOOT_FIELDS as readonly string[]).includes(name)) return [name, value];
    throw new ProvisiondError(
      'BOOT_INVALID',
      `there is no boot parameter '${name}'; there are: ${BOOT_FIELDS.join(', ')}`,
    );
  });
  return Object.fromEntries(entries) as BootParameters;
}

function describe(parameters: BootParameters): string {
  return Object.entries(parameters)
    .map(([field, value]) => `${field}=${value}`)
    .join(' ');
}
