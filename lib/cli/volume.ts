/** `provisiond volume`: which volumes a load gives a VM beside its system volume. Those of a VM as it is: `provisiond vm`. */
import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { PLAN_OWNERS, type PlanOwner, VOLUME_NAME, type WantedVolume } from '../model/volume';
import { type Execute, addVerb, wholeNumber } from './verb';

const owner = () => new Argument('<kind>', 'what the name is of').choices(PLAN_OWNERS);

export function addVolumeVerbs(program: Command, execute: Execute): void {
  const volume = program.command('volume').description('volumes that loads give VMs beside their system volume');
  addVerb(volume, 'plan', {
    about: 'let loads make a volume; of one name that of the computer counts, then that of the image',
    examples: [
      'volume plan profile "KVM host" scratch --type temporary --size 20480',
      'volume plan computer vm1 home --size 10240',
    ],
  })
    .addArgument(owner())
    .argument('<name>', 'name of the computer, image or VM profile')
    .argument('<volume>', 'what to call it', volumeName)
    .addOption(new Option('--type <type>', 'what it is for').choices(['data', 'temporary']).default('data'))
    .requiredOption('--size <MiB>', 'how large it is', wholeNumber(1, 8 << 20))
    .action((kind: PlanOwner, name: string, called: string, options: PlanOptions, command: Command) =>
      execute(command, async (app) => {
        const planned = { name: called, type: options.type, sizeMiB: options.size };
        await (await app.frontEnd()).planVolume(kind, name, planned);
        const text = `loads of ${kind} ${name} make ${planned.type} volume ${called}, ${planned.sizeMiB} MiB`;
        app.print.result({ kind, owner: name, ...planned }, () => text);
      }),
    );
  addVerb(volume, 'unplan', {
    about: 'let loads make it no more; what is there stays',
    examples: ['volume unplan computer vm1 home'],
  })
    .addArgument(owner())
    .argument('<name>', 'name of the computer, image or VM profile')
    .argument('<volume>', 'which', volumeName)
    .action((kind: PlanOwner, name: string, called: string, _options: object, command: Command) =>
      execute(command, async (app) => {
        await (await app.frontEnd()).unplanVolume(kind, name, called);
        app.print.result(
          { kind, owner: name, name: called },
          () => `loads of ${kind} ${name} make no ${called} any more`,
        );
      }),
    );
  addVerb(volume, 'plans', { about: 'show what loads make', examples: ['volume plans'] }).action(
    (_options: object, command: Command) =>
      execute(command, async (app) => {
        const plans = await (await app.frontEnd()).listPlannedVolumes();
        const rows = plans.map((one) => [one.kind, one.owner, one.name, one.type, one.sizeMiB]);
        app.print.result(plans, () => app.print.table(['KIND', 'OF', 'VOLUME', 'TYPE', 'MIB'], rows));
      }),
  );
}

interface PlanOptions {
  readonly type: WantedVolume['type'];
  readonly size: number;
}

function volumeName(text: string): string {
  if (VOLUME_NAME.test(text)) return text;
  throw new InvalidArgumentError('It must be a small letter, then small letters and digits, 20 at most.');
}
