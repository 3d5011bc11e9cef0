/** `provisiond computer add`: a virtual machine that can be reserved. */
import { type Command, Option } from 'commander';
import type { NewComputer } from '../store/front-end';
import type { App } from './app';
import { ensureNode } from './host-add';
import { type Execute, addVerb, ipAddress, macAddress, machineName, wholeNumber } from './verb';

interface ComputerOptions {
  readonly host: string;
  readonly privateIp: string;
  readonly publicIp?: string;
  readonly mac?: string;
  readonly publicMac?: string;
  readonly ram: number;
  readonly cpus: number;
  readonly afterwards: NewComputer['afterwards'];
}

export function addComputerVerbs(program: Command, execute: Execute): void {
  const computer = program.command('computer').description('enter virtual machines that can be reserved');
  addVerb(computer, 'add', {
    about: 'enter a virtual machine, or change one of that name',
    examples: ['computer add vm1 --host kvm1 --private-ip 192.168.100.11 --ram 2048 --cpus 2'],
  })
    .argument('<name>', 'name of the computer', machineName)
    .requiredOption('--host <name>', 'VM host that it runs on', machineName)
    .requiredOption('--private-ip <ip>', 'address at which provisiond reaches the guest', ipAddress)
    .option('--public-ip <ip>', 'address at which users reach it; default: the private one', ipAddress)
    .option('--mac <mac>', 'MAC on the private network; default: derived from its id', macAddress)
    .option('--public-mac <mac>', 'MAC on the public network; default: derived from its id', macAddress)
    .option('--ram <mib>', 'memory', wholeNumber(1), 1024)
    .option('--cpus <n>', 'processors', wholeNumber(1, 1024), 1)
    .addOption(
      new Option('--afterwards <what>', 'what becomes of it after a reservation')
        .choices(['unload', 'reload'])
        .default('unload'),
    )
    .action((name: string, options: ComputerOptions, command: Command) =>
      execute(command, (app) => addComputer(app, name, options)),
    );
}

async function addComputer(app: App, name: string, options: ComputerOptions): Promise<void> {
  const { print } = app;
  const frontEnd = await app.frontEnd();
  const { host, privateIp, publicIp = null, mac = null, publicMac = null, ram, cpus, afterwards } = options;
  const computer = { name, host, privateIp, publicIp, privateMac: mac, publicMac, ramMiB: ram, cpus, afterwards };
  const nodeId = await ensureNode(frontEnd, app.config);
  const computerId = await frontEnd.putComputer(computer, nodeId);
  print.result({ computerId, ...computer }, () => `computer ${name} (id ${computerId}) on host ${host}, ${privateIp}`);
}
